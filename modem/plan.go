package modem

import (
	"context"

	"imei-attest/attest/imei"
)

// step is one command of the plan.
type step struct {
	command string
	method  Method
	slot    int // whose IMEI it reads; 0 when that is not said
}

const modelCommand = "AT+CGMM" // its answer is known after the first time, so it can fence the others

// What is asked of every modem. +CGSN=1 comes first: of all the forms it alone means the IMEI by the standard, and the
// earlier a command is sent the less can stand between it and its answer.
var (
	standardSteps = []step{{"AT+CGSN=1", MethodSNT1, 0}, {"AT+CGSN=2", MethodSNT2, 0}, {"AT+CGSN=3", MethodSNT3, 0}}
	serialSteps   = []step{{"AT+CGSN", MethodCGSN, 0}, {"AT+GSN", MethodGSN, 0}}
)

// anyWitness is asked where no vendor form is known: many modems have a line `IMEI:` in it (V.250 clause 6.1.3).
const anyWitness = "ATI"

// pass is one walk through the plan.
type pass struct {
	channel                       *Channel
	profiles                      []Profile
	manufacturer, model, revision string
	fence                         *Answer // the first answer to modelCommand
	answers                       []Answer
	restart                       bool
	mixedUp                       bool // an answer may have been given to the wrong command
	timedOut                      bool
}

func (p *pass) run(ctx context.Context) error {
	awake, err := p.channel.wake(ctx)
	if err != nil {
		return err
	}
	if !awake {
		p.answers = []Answer{{Command: standardSteps[0].command, Method: MethodSNT1, Word: WordTimeout}}
		return nil
	}
	for _, part := range []func(context.Context) error{p.askStandard, p.askLabels, p.askSerials, p.askAgain} {
		if err := part(ctx); err != nil {
			return err
		}
		if p.channel.lost || p.mixedUp {
			return nil
		}
	}
	return nil
}

func (p *pass) askStandard(ctx context.Context) error { return p.askAll(ctx, standardSteps) }

func (p *pass) askLabels(ctx context.Context) error {
	for _, label := range []struct {
		command string
		into    *string
	}{{"AT+CGMI", &p.manufacturer}, {modelCommand, &p.model}, {"AT+CGMR", &p.revision}} {
		a, err := p.ask(ctx, step{command: label.command})
		if err != nil {
			return err
		}
		*label.into = a.Text
		if label.command == modelCommand {
			p.fence = &a
		}
	}
	return nil
}

func (p *pass) askSerials(ctx context.Context) error {
	if err := p.askAll(ctx, serialSteps); err != nil {
		return err
	}
	if err := p.askAll(ctx, p.witnesses()); err != nil {
		return err
	}
	if p.channel.echoes && !p.timedOut {
		return nil // every answer has proved by its echo whose it is
	}
	return p.checkFence(ctx)
}

// witnesses are the vendor's own read forms, one for each slot.
func (p *pass) witnesses() []step {
	commands := profileOf(p.profiles, p.manufacturer, p.model).Commands
	if len(commands) == 0 {
		return []step{{anyWitness, MethodVendor, 0}}
	}
	var steps []step
	for i, command := range commands {
		steps = append(steps, step{command, MethodVendor, i + 1})
	}
	return steps
}

// askAgain repeats the commands that the IMEIs came from: an identity that changes while it is read is no identity.
func (p *pass) askAgain(ctx context.Context) error {
	again := standardSteps[:1]
	if first := p.answers[0]; first.IMEI.IsZero() {
		again = serialSteps
	}
	if err := p.askAll(ctx, again); err != nil {
		return err
	}
	if slots := p.witnesses(); len(slots) > 1 {
		if err := p.askAll(ctx, slots); err != nil {
			return err
		}
	}
	return p.checkFence(ctx)
}

func (p *pass) askAll(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if _, err := p.ask(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) ask(ctx context.Context, s step) (Answer, error) {
	a, late, err := p.channel.ask(ctx, s.command)
	if err != nil {
		return Answer{}, err
	}
	a.Method, a.Slot = s.method, s.slot
	p.answers = append(p.answers, a)
	p.restart = p.restart || a.Restart
	p.timedOut = p.timedOut || a.Word == WordTimeout
	p.mixedUp = p.mixedUp || late
	return a, nil
}

// checkFence asks for the model again. If answers have moved by one command, this one is another command's, and not
// the same one as the first time.
func (p *pass) checkFence(ctx context.Context) error {
	a, err := p.ask(ctx, step{command: modelCommand})
	if err == nil && p.fence != nil && (a.Word != p.fence.Word || a.Text != p.fence.Text) {
		p.mixedUp = true
	}
	return err
}

// reading sums the pass up.
func (p *pass) reading() Reading {
	r := Reading{
		Manufacturer: p.manufacturer, Model: p.model, Revision: p.revision,
		RestartSeen: p.restart || p.channel.restart,
		Answers:     p.answers,
	}
	for _, a := range p.answers {
		if a.Method != 0 && a.Word != WordTimeout {
			r.LastAnswer = a.Ended
		}
	}
	r.Slots, r.Agreement = judgeSlots(p.answers)
	switch {
	case p.mixedUp && p.timedOut: // a slow modem lies no more than a silent one
		r.Slots, r.Agreement = []Slot{{Number: 1, Word: WordTimeout}}, AgreementNone
	case p.mixedUp:
		r.Slots, r.Agreement = []Slot{{Number: 1, Word: WordAmbiguous}}, AgreementConflict
	}
	r.Alternating = alternating(p.answers)
	return r
}

// cutText is what of an answer goes into a slot.
func cutText(a Answer) string {
	text := a.Text
	if a.Word == string(imei.WordIMEISV) {
		text = a.IMEISV.Digits()
	}
	return printableASCII(text, maxKeptText)
}
