package modem

import (
	"context"
	"strings"

	"imei-attest/attest/imei"
)

// step is one command of the plan.
type step struct {
	command string
	method  Method
}

const modelCommand = "AT+CGMM" // its answer is known after the first time, so it can fence the others

// What is asked of every modem. +CGSN=1 comes first: of all the forms it alone means the IMEI by the standard, and the
// earlier a command is sent the less can stand between it and its answer.
var (
	standardSteps = []step{{"AT+CGSN=1", MethodSNT1}, {"AT+CGSN=2", MethodSNT2}, {"AT+CGSN=3", MethodSNT3}}
	serialSteps   = []step{{"AT+CGSN", MethodCGSN}, {"AT+GSN", MethodGSN}}
)

// witnesses are vendors' own read forms, by a word of the manufacturer's name. The name is the modem's own
// claim; a wrong one costs an ERROR.
var witnesses = []struct{ maker, command string }{
	{"quectel", "AT+EGMR=0,7"},
	{"mediatek", "AT+EGMR=0,7"},
	{"simcom", "AT+SIMEI?"},
	{"sim tech", "AT+SIMEI?"},
	{"sierra", "AT+KGSN=0"},
	{"telit", "AT#CGSN=1"},
	{"u-blox", "AT+CGSN=255"},
	{"fibocom", "AT+CGSN?"},
	{"motorola", "AT+CGSN?"},
}

// anyWitness is asked where no vendor form is known: many modems have a line `IMEI:` in it (V.250 clause 6.1.3).
const anyWitness = "ATI"

func witnessOf(manufacturer string) string {
	manufacturer = strings.ToLower(manufacturer)
	for _, w := range witnesses {
		if strings.Contains(manufacturer, w.maker) {
			return w.command
		}
	}
	return anyWitness
}

// pass is one walk through the plan.
type pass struct {
	channel                       *Channel
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
	witness := step{witnessOf(p.manufacturer), MethodVendor}
	if err := p.askAll(ctx, append(serialSteps[:len(serialSteps):len(serialSteps)], witness)); err != nil {
		return err
	}
	if p.channel.echoes && !p.timedOut {
		return nil // every answer has proved by its echo whose it is
	}
	return p.checkFence(ctx)
}

// askAgain repeats the command the IMEI came from: an identity that changes while it is read is no identity.
func (p *pass) askAgain(ctx context.Context) error {
	again := standardSteps[0]
	if first := p.answers[0]; first.IMEI.IsZero() {
		again = serialSteps[0]
	}
	if err := p.askAll(ctx, []step{again}); err != nil {
		return err
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
	a.Method = s.method
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
	slot, agreement := judge(p.answers)
	if p.mixedUp {
		slot, agreement = Slot{Word: WordAmbiguous}, AgreementConflict
	}
	slot.Number = 1
	r.Slots, r.Agreement = []Slot{slot}, agreement
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
