package modem

import (
	"context"
	"errors"
	"slices"
	"strings"

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
	fenced                        int     // so many answers stand before a fence that was what it must be
	answers                       []Answer
	restart                       bool
	unknown                       string // why the modem did not say what it is, this time; "" if it did
	mixedUp                       bool   // an answer may have been given to the wrong command
	timedOut                      bool
	missed                        bool // a command was not answered in its time
	over                          bool // the time for the whole ended before the last command
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
			break
		}
	}
	p.mixedUp = p.mixedUp || p.isUnproven()
	return nil
}

func (p *pass) askStandard(ctx context.Context) error { return p.askAll(ctx, standardSteps) }

// askLabels asks what the modem is: how many slots it has depends on it.
func (p *pass) askLabels(ctx context.Context) error {
	for _, label := range []struct {
		command, other string // V.250 clauses 6.1.4 to 6.1.6 for the other
		into           *string
	}{{"AT+CGMI", "AT+GMI", &p.manufacturer}, {modelCommand, "AT+GMM", &p.model}, {"AT+CGMR", "AT+GMR", &p.revision}} {
		a, err := p.ask(ctx, step{command: label.command})
		if err != nil {
			return err
		}
		if label.command == modelCommand {
			first := a
			p.fence = &first
		}
		if a.Text == "" { // ERROR may mean anything while +CMEE is 0
			if a, err = p.ask(ctx, step{command: label.other}); err != nil {
				return err
			}
		}
		if *label.into = a.Text; mayPass(a.Word) && label.into != &p.revision {
			p.unknown = a.Word
		}
	}
	return nil
}

// mayPass reports the failure of a command that may succeed when it is asked again.
func mayPass(word string) bool {
	switch strings.ToLower(word) {
	case "", wordCME + "100", wordCME + "unknown", wordCME + "unknown error":
		return false
	}
	return !isPermanent(word)
}

func (p *pass) askSerials(ctx context.Context) error {
	if err := p.askAll(ctx, serialSteps); err != nil {
		return err
	}
	return p.askOwn(ctx, p.witnesses())
}

// witnesses are the vendor's own read forms, one for each slot.
func (p *pass) witnesses() []step {
	commands := p.profile().Commands
	if len(commands) == 0 {
		return []step{{anyWitness, MethodVendor, 0}}
	}
	var steps []step
	for i, command := range commands {
		steps = append(steps, step{command, MethodVendor, i + 1})
	}
	return steps
}

func (p *pass) profile() Profile { return profileOf(p.profiles, p.manufacturer, p.model) }

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
		slices.Reverse(slots) // so that what changes from answer to answer does not meet the same form again
		if err := p.askOwn(ctx, slots); err != nil {
			return err
		}
	}
	return p.checkFence(ctx)
}

// askOwn asks forms of slots. They have one prefix, so that an answer could pass for the next one's.
func (p *pass) askOwn(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := p.askAll(ctx, []step{s}); err != nil {
			return err
		}
		if !p.isUnproven() && !p.timedOut {
			continue // every answer has proved by its echo whose it is
		}
		if err := p.checkFence(ctx); err != nil {
			return err
		}
	}
	return nil
}

// askAll asks one after the other for as long as the whole reading may take; what was not asked told nothing.
func (p *pass) askAll(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if p.isOver(ctx) {
			return nil
		}
		if _, err := p.ask(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) isOver(ctx context.Context) bool {
	p.over = p.over || errors.Is(ctx.Err(), context.DeadlineExceeded)
	p.timedOut = p.timedOut || p.over
	return p.over
}

func (p *pass) ask(ctx context.Context, s step) (Answer, error) {
	a, late, err := p.channel.ask(ctx, s.command)
	if err != nil {
		return Answer{}, err
	}
	if a.Word != WordTimeout || !p.isOver(ctx) { // an answer that the end of the reading cut off told nothing
		a.Method, a.Slot = s.method, s.slot
		p.missed = p.missed || a.Word == WordTimeout
	}
	p.answers = append(p.answers, a)
	p.restart = p.restart || a.Restart
	p.timedOut = p.timedOut || a.Word == WordTimeout
	p.mixedUp = p.mixedUp || late
	return a, nil
}

// checkFence asks for the model again. If answers have moved by one command, this one is another command's, and not
// the same one as the first time.
func (p *pass) checkFence(ctx context.Context) error {
	if p.isOver(ctx) {
		return nil
	}
	a, err := p.ask(ctx, step{command: modelCommand})
	switch {
	case err != nil:
		return err
	case a.Word == WordTimeout: // proves nothing
	case p.fence != nil && (a.Word != p.fence.Word || a.Text != p.fence.Text):
		p.mixedUp = true
	default:
		p.fenced = len(p.answers)
	}
	return nil
}

// isUnproven reports an answer about the identity that neither its echo nor a fence behind it shows to be its command's.
func (p *pass) isUnproven() bool {
	return slices.ContainsFunc(p.answers[p.fenced:], func(a Answer) bool {
		return a.Method != 0 && !a.echoed && (a.Word == "" || isIdentityWord(a.Word))
	})
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
	r.Slots, r.Agreement = judgeSlots(p.answers, p.profile().slots())
	switch {
	case p.mixedUp && p.timedOut, p.missed && (p.over || p.channel.lost) && slices.ContainsFunc(r.Slots, Slot.isTold):
		// A slow modem lies no more than a silent one, but what it told was not asked again.
		r.Slots, r.Agreement = []Slot{{Number: 1, Word: WordTimeout}}, AgreementNone
	case p.mixedUp:
		r.Slots, r.Agreement = []Slot{{Number: 1, Word: WordAmbiguous}}, AgreementConflict
	case p.unknown != "": // it may have several slots, and nobody can say which one answered
		r.Slots, r.Agreement = []Slot{{Number: 1, Word: p.unknown}}, AgreementNone
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
