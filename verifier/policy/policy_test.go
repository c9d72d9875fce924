package policy_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/policy"
	"imei-attest/verifier/strictyaml"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const full = `name: night shift
affirming: accept
default: warn
reasons:
  imei-tampered: deny
  evidence-missing: challenge
  slots-swapped: warn
  stale: observe
contraindicated: [subscriber-differs, weakness-unremedied]
ceilings: {t1: affirming, prior: warning}
ages: {prior: 12h, proof: 48h, reading: 90s, interleave: 1h30m}
msc_servers: ["msc1.example", msc2.example]
exceptions:
  - {imei: 49015420323751, subscriber: "alice@example", until: 2026-12-24T01:00:00+01:00, reason: "replacement on its way"}
  - imei: "869955062511428"
    subscriber: imsi-262019876543210
    until: 2026-11-20T12:00:01Z
    reason: test
breaker: {share: 0.5%, within: 10m, minimum: 100}
`

func mustIMEI(t testing.TB, body string) imei.IMEI {
	t.Helper()
	id, err := imei.FromBody(body)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAFileIsReadAsWritten(t *testing.T) {
	got, warnings, err := policy.Parse([]byte(full), now)
	if err != nil || len(warnings) != 2 { // of the two that are raised and refuse nobody
		t.Fatal(warnings, err)
	}
	want := &verifier.Policy{
		Name: "night shift", Digest: sha256.Sum256([]byte(full)), Affirming: verifier.ActionAccept, Default: verifier.ActionWarn,
		Actions: map[attest.Reason]verifier.Action{attest.ReasonIMEITampered: verifier.ActionDeny, attest.ReasonEvidenceMissing: verifier.ActionChallenge,
			attest.ReasonStale: verifier.ActionObserve, attest.ReasonSlotsSwapped: verifier.ActionWarn},
		Rules: verifier.Rules{
			Contraindicated: map[attest.Reason]bool{attest.ReasonSubscriberDiffers: true, attest.ReasonWeaknessUnremedied: true},
			CeilingT1:       attest.StatusAffirming, CeilingPrior: attest.StatusWarning,
			Ages:       verifier.Ages{Prior: 12 * time.Hour, Proof: 48 * time.Hour, Reading: 90 * time.Second, Interleave: 90 * time.Minute},
			MSCServers: map[string]bool{"msc1.example": true, "msc2.example": true},
		},
		Exceptions: map[verifier.Pairing]verifier.Exception{
			{IMEI: mustIMEI(t, "49015420323751"), Subscriber: "alice@example"}:   {Until: time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC), Reason: "replacement on its way"},
			{IMEI: mustIMEI(t, "86995506251142"), Subscriber: "262019876543210"}: {Until: now.Add(time.Second), Reason: "test"},
		},
		Breaker: verifier.Breaker{Share: 0.005, Within: 10 * time.Minute, Minimum: 100},
	}
	want.Counter = policy.NewBreaker(want.Breaker)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTheDefaultNeverExceedsALimitAndSparesWhatSpeaksAgainstNobody(t *testing.T) {
	p := parse(t, "name: strict\ndefault: deny\nreasons: {slots-swapped: warn}\n")
	for r, want := range map[attest.Reason]verifier.Action{
		attest.ReasonIMEITampered:   verifier.ActionDeny,
		attest.ReasonNotEndorsed:    verifier.ActionDeny,
		attest.ReasonIMEINotRead:    verifier.ActionChallenge,
		attest.ReasonEmergency:      verifier.ActionObserve,
		attest.ReasonIMEIConsistent: verifier.ActionObserve,
		attest.ReasonTPMCleared:     verifier.ActionObserve,
		attest.ReasonSlotsSwapped:   verifier.ActionWarn, // listed
	} {
		if got := p.ReasonAction(r); got != want {
			t.Errorf("%s gets %s, want %s", r, got, want)
		}
	}
}

func parse(t testing.TB, text string) *verifier.Policy {
	t.Helper()
	p, _, err := policy.Parse([]byte(text), now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMistakes(t *testing.T) {
	const show = "imei-verifier policy show prints a policy to start from"
	exception := func(edit string) string {
		e := "imei: 49015420323751, subscriber: alice@example, until: 2026-12-24T00:00:00Z, reason: why"
		if key, _, found := strings.Cut(edit, ":"); found {
			e = regexp.MustCompile(key+": [^,]+").ReplaceAllString(e, edit)
		}
		return "exceptions: [{" + e + "}]"
	}
	for _, c := range []struct {
		name, text string // after the line of the name
		want       string // the mistake
	}{
		{"an unknown key", "reason: {}", `line 2: unknown key "reason": did you mean reasons?`},
		{"a key that resembles none", "weather: fine", `line 2: unknown key "weather": want affirming, ages, breaker, ceilings, contraindicated, default, exceptions, msc_servers, name or reasons`},
		{"a key twice", "name: b", `line 2: "name" stands twice, first in line 1: remove one`},
		{"a merged key", "<<: {default: warn}", `line 2: unknown key "<<": want affirming, ages, breaker, ceilings, contraindicated, default, exceptions, msc_servers, name or reasons`},
		{"a reference", "affirming: &a accept\ndefault: *a", `line 3, default: want one value, not a reference to a value elsewhere`},
		{"a tag", "affirming: !!binary accept", `line 2, affirming: tags such as "!!binary" are not read: remove it`},
		{"a list for a word", "default: [warn]", `line 2, default: want one value, not a list`},
		{"keys for a word", "default: {warn: deny}", `line 2, default: want one value, not keys with values`},
		{"nothing for a word", "default:", `line 2, default: is empty: give a value, or remove the key`},
		{"a null for a word", "default: null", `line 2, default: is empty: give a value, or remove the key`},
		{"a word for keys", "reasons: deny", `line 2, reasons: want keys with values, as KEY: VALUE, not a single value`},
		{"nothing for keys", "reasons:", `line 2, reasons: want keys with values, as KEY: VALUE, not nothing`},
		{"a word for a list", "msc_servers: msc1.example", `line 2, msc_servers: want a list, as [ONE, TWO], not a single value`},
		{"a key that is a list", "? [a]\n: b", `line 2: a key must be one word, not a list`},
		{"a line break", `msc_servers: ["a\nb"]`, `line 2, msc_servers[1]: has a line break or another character that does not print`},

		{"an affirming result that is denied", "affirming: deny", `line 2, affirming: unknown word "deny": want observe or accept`},
		{"a default that accepts", "default: accept", `line 2, default: unknown word "accept": want observe, warn, challenge or deny`},
		{"a reason misspelt", "reasons: {imei-tamperd: deny}", `line 2, reasons: unknown reason "imei-tamperd": did you mean imei-tampered?`},
		{"a reason with underscores", "reasons: {imei_not_read: warn}", `line 2, reasons: unknown reason "imei_not_read": did you mean imei-not-read?`},
		{"a reason that resembles none", "reasons: {moon: deny}", `line 2, reasons: unknown reason "moon": imei-verifier policy explain lists them`},
		{"a reason twice", "reasons:\n  stale: warn\n  stale: deny", `line 4, reasons: "stale" stands twice, first in line 3: remove one`},
		{"an action misspelt", "reasons: {stale: dney}", `line 2, reasons.stale: unknown word "dney": want observe, warn, challenge or deny`},
		{"a fault of reading that is denied", "reasons: {imei-not-read: deny}",
			`line 2, reasons.imei-not-read: deny is more than this reason allows, challenge: "The modem's IMEI could not be read this time; ask again."`},
		{"an emergency that is labelled", "reasons: {emergency: warn}",
			`line 2, reasons.emergency: warn is more than this reason allows, observe: "An emergency registration is never refused and not judged."`},
		{"an honest device that is asked again", "reasons: {hardware-vault: challenge}",
			`line 2, reasons.hardware-vault: challenge is more than this reason allows, warn: "The device key and the IMEI are kept in a TPM."`},
		{"a reason that may not be contraindicated", "contraindicated: [not-endorsed]",
			`line 2, contraindicated[1]: "not-endorsed" cannot be made contraindicated: want subscriber-differs or weakness-unremedied; to refuse for another reason, list it under reasons`},
		{"a contraindicated reason twice", "contraindicated: [subscriber-differs, subscriber-differs]", `line 2, contraindicated[2]: "subscriber-differs" stands twice: remove one`},

		{"a ceiling below warning", "ceilings: {t1: contraindicated}", `line 2, ceilings.t1: unknown word "contraindicated": want affirming or warning`},
		{"a ceiling of none", "ceilings: {prior: none}", `line 2, ceilings.prior: unknown word "none": want affirming or warning`},
		{"an unknown ceiling", "ceilings: {t2: warning}", `line 2, ceilings: unknown key "t2": did you mean t1?`},
		{"earlier results for two days", "ages: {prior: 48h}", `line 2, ages.prior: 48h is more than 24h, the most`},
		{"an age of zero", "ages: {proof: 0s}", `line 2, ages.proof: 0s is not above zero`},
		{"an age below zero", "ages: {reading: -1m}", `line 2, ages.reading: -1m is not above zero`},
		{"an age without a unit", "ages: {interleave: 24}", `line 2, ages.interleave: "24" is no duration: want a number with h, m or s, such as 24h or 15m`},
		{"an age in days", "ages: {prior: 1d}", `line 2, ages.prior: "1d" is no duration: want a number with h, m or s, such as 24h or 15m`},
		{"an age of a century", "ages: {proof: 876000h}", `line 2, ages.proof: 876000h is more than 87600h, the most`},
		{"an MSC server twice", "msc_servers: [a, a]", `line 2, msc_servers[2]: "a" stands twice: remove one`},

		{"an exception without an end", strings.Replace(exception(""), "until: 2026-12-24T00:00:00Z, ", "", 1), `line 2, exceptions[1].until: is missing`},
		{"an exception without a reason", strings.Replace(exception(""), ", reason: why", "", 1), `line 2, exceptions[1].reason: is missing`},
		{"an exception of a wrong check digit", exception("imei: 490154203237519"),
			`line 2, exceptions[1].imei: luhn: "49015420*****19" has a wrong check digit: see whether a digit was mistyped; want the 14 digits, or 15 with the check digit`},
		{"an exception of 13 digits", exception("imei: 4901542032375"),
			`line 2, exceptions[1].imei: malformed: "4901542032375" is not 15 decimal digits; want the 14 digits, or 15 with the check digit`},
		{"an exception of an IMEISV", exception("imei: 4901542032375101"),
			`line 2, exceptions[1].imei: is_imeisv: "49015420******01" has 16 digits: an IMEISV, not an IMEI; want the 14 digits, or 15 with the check digit`},
		{"an exception of zeros", exception("imei: 00000000000000"),
			`line 2, exceptions[1].imei: zero_imei: "00000000****00" is all zeros: the equipment holds no IMEI; want the 14 digits, or 15 with the check digit`},
		{"an exception until a day", exception("until: 2026-12-24"), `line 2, exceptions[1].until: "2026-12-24" is no time: want date and time of day, such as 2026-12-24T00:00:00Z`},
		{"an exception for nobody", exception(`subscriber: ""`), `line 2, exceptions[1].subscriber: is empty: give a value, or remove the key`},
		{"an exception of a misspelt key", exception("reason: why, untill: x"), `line 2, exceptions[1]: unknown key "untill": did you mean until?`},
		{"a pairing twice, written otherwise", exception("") + "\n  ,{imei: 490154203237518, subscriber: alice@example, until: 2026-12-25T00:00:00Z, reason: b}]",
			`line 3, exceptions[2]: the pairing of 49015420*****18 with this subscriber stands twice, first in line 2: remove one`},

		{"a share without a sign", "breaker: {share: 5, within: 10m, minimum: 1}", `line 2, breaker.share: "5": want a percentage above 0 % and at most 100 %, such as 5%`},
		{"a share of nothing", "breaker: {share: 0%, within: 10m, minimum: 1}", `line 2, breaker.share: "0%": want a percentage above 0 % and at most 100 %, such as 5%`},
		{"a share of more than all", "breaker: {share: 100.1%, within: 10m, minimum: 1}", `line 2, breaker.share: "100.1%": want a percentage above 0 % and at most 100 %, such as 5%`},
		{"a share that is no number", "breaker: {share: NaN%, within: 10m, minimum: 1}", `line 2, breaker.share: "NaN%": want a percentage above 0 % and at most 100 %, such as 5%`},
		{"a minimum of none", "breaker: {share: 5%, within: 10m, minimum: 0}", `line 2, breaker.minimum: "0": want a whole number from 1 to 2147483647`},
		{"a breaker without a minimum", "breaker: {share: 5%, within: 10m}", `line 2, breaker.minimum: is missing`},

		{"two documents", "---\nname: b", `not one document of YAML: expected single document, found multiple; ` + show},
		{"broken YAML", "reasons: [", `line 3: not one document of YAML: while parsing a flow node: did not find expected node content; ` + show},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			text := strings.Replace("name: a\n"+c.text+"\n", "}]\n  ,{", "}\n  ,{", 1)
			if got := mistakes(t, text); !slices.Equal(got, []string{c.want}) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), c.want)
			}
		})
	}
}

// mistakes is what is wrong with a text.
func mistakes(t *testing.T, text string) (found []string) {
	t.Helper()
	p, warnings, err := policy.Parse([]byte(text), now)
	var bad *strictyaml.Error
	if !errors.As(err, &bad) || p != nil || warnings != nil {
		t.Fatalf("%q gives %+v, %q, %v", text, p, warnings, err)
	}
	for _, m := range bad.Mistakes {
		found = append(found, m.String())
		if !strings.Contains(err.Error(), m.String()) {
			t.Errorf("%v does not have %s", err, m)
		}
	}
	return found
}

func TestMistakesInTheWholeFile(t *testing.T) {
	const show = "imei-verifier policy show prints a policy to start from"
	for text, want := range map[string]string{
		"":                                   "the file is empty: " + show,
		"# nothing yet\n":                    "not one document of YAML: no documents in stream; " + show,
		"enforce":                            "line 1: want keys with values, as KEY: VALUE, not a single value",
		"\xff":                               "not one document of YAML: invalid leading UTF-8 octet (value: 255); " + show,
		"default: warn\n":                    "line 1, name: is missing",
		"name: " + strings.Repeat("é", 65):   "line 1, name: has more than 64 characters: shorten it",
		"name: a\n49015420323751: stale\n":   `line 2: unknown key "49015420****51": want affirming, ages, breaker, ceilings, contraindicated, default, exceptions, msc_servers, name or reasons`,
		"name: a\ndefault: *49015420323751A": "line 2: not one document of YAML: unknown anchor '49015420****51A' referenced; " + show,
	} {
		if got := mistakes(t, text); !slices.Equal(got, []string{want}) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if _, _, err := policy.Parse([]byte("name: "+strings.Repeat("é", 64)), now); err != nil {
		t.Error(err)
	}
}

func TestAllMistakesAreListed(t *testing.T) {
	got := mistakes(t, `nam: x
affirming: deny
reasons:
  imei-not-read: deny
  moon: deny
  stale: dney
ages: {prior: 25h, proof: 0s}
exceptions:
  - {imei: "490154203237510", until: never}
breaker: {share: 0%}
`)
	if want := 15; len(got) != want {
		t.Errorf("got %d mistakes, want %d:\n%s", len(got), want, strings.Join(got, "\n"))
	}
	for _, m := range got {
		for _, bad := range []string{"490154203237510", "verifier.", "yaml.", "attest.", "float64", "time.Duration", "strconv", "map["} {
			if strings.Contains(m, bad) {
				t.Errorf("%s has %s", m, bad)
			}
		}
	}
}

func TestAnExceptionThatHasEndedIsAWarning(t *testing.T) {
	const text = "name: a\nexceptions:\n- {imei: 49015420323751, subscriber: alice@example, until: 2026-11-20T12:00:00Z, reason: x}\n"
	p, warnings, err := policy.Parse([]byte(text), now)
	want := []string{"line 3, exceptions[1]: the exception for 49015420*****18 ended at 2026-11-20T12:00:00Z: remove it, or say until when it goes on"}
	if err != nil || !slices.Equal(warnings, want) || len(p.Exceptions) != 1 {
		t.Errorf("got %+v, %q, %v, want %q", p, warnings, err, want)
	}
	if _, warnings, err = policy.Parse([]byte(text), now.Add(-time.Nanosecond)); err != nil || warnings != nil {
		t.Errorf("before its end: %q, %v", warnings, err)
	}
}

func TestAReasonThatIsRaisedAndRefusesNobodyIsAWarning(t *testing.T) {
	for text, want := range map[string][]string{
		"name: a\ncontraindicated: [weakness-unremedied]\nreasons: {weakness-unremedied: warn}\n": {
			"contraindicated: weakness-unremedied is told as contraindicated, but its action is warn, so nobody is refused for it: " +
				"write weakness-unremedied: deny under reasons if you mean to"},
		"name: a\ncontraindicated: [weakness-unremedied]\nreasons: {weakness-unremedied: deny}\n": nil,
		"name: a\ncontraindicated: [weakness-unremedied]\ndefault: deny\n":                        nil,
	} {
		if _, warnings, err := policy.Parse([]byte(text), now); err != nil || !slices.Equal(warnings, want) {
			t.Errorf("%s: got %q, %v; want %q", text, warnings, err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.yaml")
	_, _, err := policy.Load(path, now)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "policy show") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("name: [a]\nx: y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = policy.Load(path, now)
	if want := "policy file " + path + ": it is not used until this is mended:\n  line 1, name: want one value, not a list\n  line 2: unknown key \"x\""; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := os.WriteFile(path, []byte(full), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _, err := policy.Load(path, now); err != nil || !reflect.DeepEqual(got, parse(t, full)) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTheShippedFilesListEveryReasonOnceWithItsSentence(t *testing.T) {
	entry := regexp.MustCompile(`(?m)^  # (.*)\n  ([a-z0-9-]+): [a-z]+$`)
	for _, name := range []string{policy.Observe, policy.Enforce} {
		text, found := policy.Shipped(name)
		if !found {
			t.Fatalf("%s is not shipped", name)
		}
		var got []attest.Reason
		for _, m := range entry.FindAllStringSubmatch(string(text), -1) {
			r := attest.Reason(m[2])
			if got = append(got, r); m[1] != r.Info().Sentence {
				t.Errorf("%s: %s has the comment %q, want %q", name, r, m[1], r.Info().Sentence)
			}
		}
		if slices.Sort(got); !slices.Equal(got, attest.Reasons()) {
			t.Errorf("%s lists %q", name, got)
		}
		p := parse(t, string(text))
		if p.Name != name {
			t.Errorf("%s is called %s", name, p.Name)
		}
		for _, r := range attest.Reasons() {
			if most, _ := verifier.ParseAction(r.Info().Limit.String()); p.ReasonAction(r) > most {
				t.Errorf("%s: %s gets %s, above its limit %s", name, r, p.ReasonAction(r), most)
			}
		}
	}
	if _, found := policy.Shipped("deny"); found {
		t.Error("a policy deny is shipped")
	}
}

func TestTheDefaultIsThePolicyOfTheFirstDay(t *testing.T) {
	text, _ := policy.Shipped(policy.Observe)
	want := verifier.ObservePolicy()
	want.Digest = sha256.Sum256(text)
	if got := policy.Default(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestEnforceDoesWhatTheTableOfReasonsSays(t *testing.T) {
	text, _ := policy.Shipped(policy.Enforce)
	p := parse(t, string(text))
	for _, r := range attest.Reasons() {
		want := r.Front()
		if p.ReasonAction(r) == verifier.ActionChallenge {
			want.SIP = 401
		}
		if got := front(policy.Answer(p, r)); got != want {
			t.Errorf("%s (%s): got %v, want %v", r, p.ReasonAction(r), got, want)
		}
	}
	if want := (verifier.Breaker{Share: 0.05, Within: 10 * time.Minute, Minimum: 100}); p.Breaker != want {
		t.Errorf("breaker %v, want %v", p.Breaker, want)
	}
}

func front(a verifier.Answer) attest.FrontAnswer {
	return attest.FrontAnswer{SIP: a.SIPCode, EIR: a.EIRStatus, S13: a.S13Status}
}

func TestExplain(t *testing.T) {
	p := parse(t, strings.Replace(full, "imei-tampered: deny", "imei-tampered: warn\n  not-endorsed: deny", 1))
	got := regexp.MustCompile(` {2,}`).ReplaceAllString(policy.Explain(p), "  ")
	for _, want := range []string{
		fmt.Sprintf("Policy night shift, SHA-256 %x\n", p.Digest),
		"\naffirming  accept\n",
		"\nceilings.t1  affirming  weaker than warning\n",
		"\nceilings.prior  warning  stricter than affirming\n",
		"\nages.prior  12h  stricter than 24h\n",
		"\nages.proof  48h  weaker than 24h\n",
		"\nages.reading  1m30s  stricter than 15m\n",
		"\nages.interleave  1h30m  weaker than 24h\n",
		"\nmsc_servers  msc1.example, msc2.example  weaker than none\n",
		"\nexceptions  2  weaker than 0\n",
		"\nbreaker  0.5% of at least 100 within 10m  in place of 5% of at least 100 within 10m\n",
		"\nnot-endorsed  deny  403  ERROR_EQUIPMENT_UNKNOWN  5422  stricter than warn  No manufacturer has endorsed this IMEI to this verifier.\n",
		"\nimei-tampered  warn  200  GREYLISTED  2  weaker than deny  The modem reports another IMEI than the manufacturer provisioned.\n",
		"\nhardware-vault  observe  200  WHITELISTED  0  The device key and the IMEI are kept in a TPM.\n",
		"relays the challenge",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "alice") || strings.Contains(got, "49015420323751") {
		t.Errorf("names somebody:\n%s", got)
	}
	for _, r := range attest.Reasons() {
		if strings.Count(got, "\n"+string(r)+"  ") != 1 {
			t.Errorf("%s does not stand once in\n%s", r, got)
		}
	}
}

func TestExplainFindsNothingToSayOfEnforceItself(t *testing.T) {
	text, _ := policy.Shipped(policy.Enforce)
	got := policy.Explain(parse(t, string(text)))
	if regexp.MustCompile(`  (weaker than|stricter than|in place of) |(?m) $`).MatchString(got) {
		t.Error(got)
	}
}

// FuzzParse: what parses takes no action above a reason's limit, keeps its bounds, and can be explained; what does not
// has mistakes, and none shows an IMEI.
func FuzzParse(f *testing.F) {
	f.Add(full)
	for _, name := range []string{policy.Observe, policy.Enforce} {
		text, _ := policy.Shipped(name)
		f.Add(string(text))
	}
	f.Add("name: a\ndefault: deny\nages: {prior: 24h}\nexceptions:\n- {imei: 490154203237518, subscriber: a, until: 2026-11-20T12:00:00Z, reason: x}\n")
	f.Add("name: &a b\nreasons: {<<: *a}\n---\n")
	long := regexp.MustCompile(`[0-9]{14}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, _, err := policy.Parse([]byte(text), now)
		if err != nil {
			var bad *strictyaml.Error
			if !errors.As(err, &bad) || len(bad.Mistakes) == 0 || p != nil || long.MatchString(err.Error()) {
				t.Errorf("%q gives %+v, %v", text, p, err)
			}
			return
		}
		for _, r := range attest.Reasons() {
			if most, _ := verifier.ParseAction(r.Info().Limit.String()); p.ReasonAction(r) > most || p.ReasonAction(r) == verifier.ActionAccept {
				t.Errorf("%q makes %s of %s", text, p.ReasonAction(r), r)
			}
		}
		if a := p.Ages; a.Prior <= 0 || a.Prior > 24*time.Hour || a.Proof <= 0 || a.Reading <= 0 || a.Interleave <= 0 || p.Name == "" ||
			p.Breaker.Share < 0 || p.Breaker.Share > 1 || p.Digest != sha256.Sum256([]byte(text)) {
			t.Errorf("%q gives %+v", text, p)
		}
		if !strings.Contains(policy.Explain(p), "imei-tampered") {
			t.Errorf("%q is not explained", text)
		}
	})
}
