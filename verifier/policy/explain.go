package policy

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// Explain tells people what a policy does, and where it is weaker or stricter than the shipped one that enforces. It
// names no subscriber.
func Explain(p *verifier.Policy) string {
	reference := mustParse(Enforce)
	var b strings.Builder
	fmt.Fprintf(&b, "Policy %s, SHA-256 %x\n\n", p.Name, p.Digest)
	explainSettings(&b, p, reference)
	b.WriteString("\nWhat each reason gets, the strictest first, and what the fronts answer where nothing stricter was found:\n\n")
	explainReasons(&b, p, reference)
	b.WriteString(notCaught)
	return trailingBlanks.ReplaceAllString(b.String(), "")
}

var trailingBlanks = regexp.MustCompile(`(?m) +$`) // of cells that are empty

const notCaught = `
No policy catches:
- an accomplice who relays the challenge to a good phone that he controls and signs there;
- a modem whose firmware lies on every channel, unless the network is shown another IMEI;
- an interposer on the bus of a discrete TPM.
`

// setting is one that is not about a reason. Of two values of it, the one with the higher strictness is stricter; where
// that is the same, neither is.
type setting struct {
	key, text  string
	strictness int64
}

func settings(p *verifier.Policy) []setting {
	ages := p.Ages
	return []setting{
		{"affirming", p.Affirming.String(), 0},
		{"default", p.Default.String(), int64(p.Default)},
		{"contraindicated", orNone(slices.Sorted(maps.Keys(p.Contraindicated))), int64(len(p.Contraindicated))},
		{"ceilings.t1", p.CeilingT1.String(), int64(p.CeilingT1)},
		{"ceilings.prior", p.CeilingPrior.String(), int64(p.CeilingPrior)},
		{"ages.prior", short(ages.Prior), -int64(ages.Prior)},
		{"ages.proof", short(ages.Proof), -int64(ages.Proof)},
		{"ages.reading", short(ages.Reading), -int64(ages.Reading)},
		{"ages.interleave", short(ages.Interleave), int64(ages.Interleave)},
		{"msc_servers", orNone(slices.Sorted(maps.Keys(p.MSCServers))), -int64(len(p.MSCServers))},
		{"exceptions", fmt.Sprint(len(p.Exceptions)), -int64(len(p.Exceptions))},
		{"breaker", breakerText(p.Breaker), 0},
	}
}

func explainSettings(w io.Writer, p, reference *verifier.Policy) {
	t := table(w)
	fmt.Fprintln(t, "SETTING\tVALUE\tNEXT TO ENFORCE")
	want := settings(reference)
	for i, s := range settings(p) {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.key, s.text, compare(s.text, want[i].text, s.strictness, want[i].strictness))
	}
	t.Flush()
}

func explainReasons(w io.Writer, p, reference *verifier.Policy) {
	t := table(w)
	fmt.Fprintln(t, "REASON\tACTION\tSIP\t5G-EIR\tS13\tNEXT TO ENFORCE\tMEANING")
	for _, r := range byStrictness(p) {
		a, want, front := p.ReasonAction(r), reference.ReasonAction(r), answer(p, r)
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%s\t%s\n", r, a, front.SIPCode, front.EIRStatus, front.S13Status,
			compare(a.String(), want.String(), int64(a), int64(want)), r.Info().Sentence)
	}
	t.Flush()
}

func table(w io.Writer) *tabwriter.Writer {
	const gap = 2
	return tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
}

// answer is what the fronts answer to a reason where nothing stricter was found.
func answer(p *verifier.Policy, r attest.Reason) verifier.Answer {
	var alone attest.Submod // what the reason makes of a device that is otherwise in order
	alone.Add(attest.ReasonIMEIConsistent, r)
	action := p.ReasonAction(r)
	if alone.Status == attest.StatusAffirming {
		action = max(action, p.Affirming)
	}
	return action.Answer(&attest.Result{Submods: []attest.Submod{alone}})
}

// byStrictness are all reasons, those with the strictest action first, and in alphabetical order otherwise.
func byStrictness(p *verifier.Policy) []attest.Reason {
	reasons := attest.Reasons()
	slices.SortStableFunc(reasons, func(a, b attest.Reason) int { return cmp.Compare(p.ReasonAction(b), p.ReasonAction(a)) })
	return reasons
}

func compare(got, want string, strictness, reference int64) string {
	switch {
	case got == want:
		return ""
	case strictness < reference:
		return "weaker than " + want
	case strictness > reference:
		return "stricter than " + want
	}
	return "in place of " + want
}

func breakerText(b verifier.Breaker) string {
	if b.Share == 0 {
		return "none"
	}
	return fmt.Sprintf("%.4g%% of at least %d within %s", b.Share*100, b.Minimum, short(b.Within))
}

func orNone[S ~string](all []S) string {
	if len(all) == 0 {
		return "none"
	}
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

// short writes a duration without the zeros at its end, as in 24h.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
