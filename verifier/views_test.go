package verifier_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/policy"
	"imei-attest/verifier/store"
)

// steps that a subscriber takes, in words: who asks (nas, s13, ims), and the IMEI that is shown, a or b. A step that ends with ! gets nas-ims-mismatch,
// and no other does. "+2h" lets time pass; a second passes before each step.
var viewed = []struct{ name, steps string }{
	{"nothing of the other access is known", "nas:a nas:b ims2:a ims2:b"},
	{"one IMEI everywhere", "nas:a ims:a s13:a ims:a nas:a"},
	{"IMS shows another than NAS", "nas:a ims:b!"},
	{"IMS shows another than NAS by S13", "s13:a ims:b!"},
	{"and NAS is asked again", "nas:a ims:b! nas:a!"},
	{"by the other EIR front", "nas:a ims:b! s13:a!"},
	{"NAS changes after IMS, as when the SIM is moved", "nas:a ims:a nas:b"},
	{"and IMS follows", "nas:a ims:a nas:b ims:b nas:b"},
	{"and IMS goes on as before", "nas:a ims:a nas:b ims:a! nas:b! ims:a!"},
	{"NAS is first seen after IMS", "ims:a nas:b"},
	{"NAS is first seen after IMS, which goes on", "ims:a nas:b ims:a! nas:b!"},
	{"IMS goes on as before within the hour, so that its view is kept", "nas:a ims:a +10m ims:a nas:b +10m ims:a! nas:b!"},
	{"what disagreed agrees again in NAS", "nas:a ims:b! nas:b nas:b ims:b"},
	{"what disagreed agrees again in IMS", "nas:a ims:b! ims:a nas:a"},
	{"the SIM goes and comes back", "nas:a ims:a nas:b ims:b nas:a ims:a nas:a"},
	{"the SIM goes to a phone on Wi-Fi alone", "nas:a ims:a ims:b!"},
	{"and the other phone deregisters", "nas:a ims:a ims:b! bye:b nas:a"},
	{"and does not", "nas:a ims:a ims:b! nas:a!"},
	{"a deregistration by a stranger clears nothing", "nas:a ims:b! false-bye:b nas:a!"},
	{"a day later", "nas:a +24h ims:b"},
	{"almost a day later", "nas:a +23h ims:b!"},
	{"a day after IMS", "nas:b ims:a! +24h nas:b"},
	{"NAS was silent for a day, so that it begins anew", "nas:a +23h ims:b! +2h nas:a ims:a nas:a"},
	{"NAS was asked meanwhile", "nas:a +23h nas:a +2h ims:b! nas:a!"},
	{"NAS is asked every hour for days", "nas:a +1h nas:a +1h nas:a +23h ims:b!"},
	{"another subscriber", "nas:a ims2:b nas:a"},
	{"who was not authenticated by the USIM does not count", "nas:a password:b nas:a open:b nas:a device:b nas:a http:b nas:a"},
	{"an emergency does not count", "nas:a sos:b nas:a nas-sos:b ims:a"},
	{"who shows no IMEI does not count", "nas:a uuid nas:a ims:a"},
	{"an MSC server does not count", "nas:a msc:b nas:a"},
	{"an EIR that names nobody does not count", "nobody:b ims:a nobody:b"},
}

func TestViews(t *testing.T) {
	for _, c := range viewed {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			p := verifier.ObservePolicy()
			p.MSCServers = map[string]bool{"msc.example": true}
			l.SetPolicy(p)
			var got []string
			for _, step := range strings.Fields(c.steps) {
				got = append(got, l.take(step))
			}
			if told := strings.Join(got, " "); told != c.steps {
				t.Errorf("\n got %s\nwant %s", told, c.steps)
			}
		})
	}
}

// take takes a step, and returns it as it came out.
func (l *lab) take(step string) string {
	l.t.Helper()
	if after, is := strings.CutPrefix(step, "+"); is {
		d, err := time.ParseDuration(after)
		if err != nil {
			l.t.Fatal(err)
		}
		l.now = l.now.Add(d)
		return step
	}
	l.now = l.now.Add(time.Second)
	step = strings.TrimSuffix(step, "!")
	v := l.decide(verifier.Input{Registration: l.shows(step), Now: l.now})
	for _, r := range v.Reasons() {
		if r == attest.ReasonNASIMSMismatch {
			return step + "!"
		}
	}
	return step
}

func (l *lab) shows(step string) *verifier.Registration {
	l.t.Helper()
	how, which, _ := strings.Cut(step, ":")
	shown := map[string]imei.IMEI{"a": id1, "b": stranger, "": {}}[which]
	const msin = "001010000000017"
	nas := func(front verifier.Front, edits ...func(*verifier.Registration)) *verifier.Registration {
		r := &verifier.Registration{PEI: "imei-" + shown.Digits(), SUPI: "imsi-" + msin, Front: front, Initial: new(bool)}
		for _, edit := range edits {
			edit(r)
		}
		return r
	}
	ims := func(who subscriber, edits ...func(*verifier.Registration)) *verifier.Registration {
		r := registering(shown, append([]func(*verifier.Registration){by(who.impi()), func(r *verifier.Registration) {
			r.Auth, r.IntegrityProtected, r.Front = "AKAv1-MD5", "yes", verifier.FrontSIP
		}}, edits...)...)
		return r
	}
	ends := func(r *verifier.Registration) { r.Expires = new(int) }
	switch how {
	case "nas":
		return nas(verifier.Front5GEIR)
	case "s13":
		return nas(verifier.FrontS13)
	case "nas-sos":
		return nas(verifier.Front5GEIR, emergency)
	case "nobody":
		return nas(verifier.Front5GEIR, func(r *verifier.Registration) { r.SUPI = "" })
	case "http": // who is neither an EIR nor of IMS
		return nas(verifier.FrontHTTP)
	case "ims":
		return ims(alice)
	case "ims2":
		return ims(bob)
	case "bye":
		return ims(alice, ends)
	case "false-bye":
		return ims(alice, ends, func(r *verifier.Registration) { r.IntegrityProtected = "no" })
	case "password":
		return ims(alice, byPassword)
	case "open":
		return ims(alice, func(r *verifier.Registration) { r.Auth, r.IntegrityProtected = "", "" })
	case "device":
		return ims(alice, fromDevice)
	case "sos":
		return ims(alice, emergency)
	case "uuid":
		return ims(alice, func(r *verifier.Registration) { r.InstanceID = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>" })
	case "msc":
		return ims(alice, func(r *verifier.Registration) { r.Sender = "msc.example" })
	}
	l.t.Fatalf("no step %q", step)
	return nil
}

// writing is a store that counts the views it is given to keep.
type writing struct {
	*store.Memory
	views atomic.Int64
}

func (s *writing) Note(ctx context.Context, n verifier.Note) error {
	if n.View != nil {
		s.views.Add(1)
	}
	return s.Memory.Note(ctx, n)
}

// TestAViewIsWrittenWhenItChanges, and once an hour: a network asks all day.
func TestAViewIsWrittenWhenItChanges(t *testing.T) {
	for _, c := range []struct {
		steps string
		want  int64
	}{
		{"nas:a nas:a nas:a s13:a", 1},
		{"nas:a +59m nas:a", 1},
		{"nas:a +1h nas:a +1h nas:a nas:a", 3},
		{"nas:a nas:b nas:a", 3},
		{"ims:a ims:a nas:b ims:a ims:a ims:a", 3}, // once more, because it is later than the other access's
		{"nobody:a open:a device:a sos:a msc:a uuid", 0},
	} {
		l, s := newLab(t), &writing{Memory: store.NewMemory()}
		l.restart(s)
		p := verifier.ObservePolicy()
		p.MSCServers = map[string]bool{"msc.example": true}
		l.SetPolicy(p)
		for _, step := range strings.Fields(c.steps) {
			l.take(step)
		}
		if got := s.views.Load(); got != c.want {
			t.Errorf("%s: written %d times, want %d", c.steps, got, c.want)
		}
	}
	l, s := newLab(t), &writing{Memory: store.NewMemory()}
	l.restart(s)
	p := verifier.ObservePolicy()
	p.Ages.Prior = 0
	l.SetPolicy(p)
	l.take("nas:a")
	if got := l.take("ims:b"); got != "ims:b" || s.views.Load() != 0 {
		t.Errorf("under a policy that lets nothing rest on before: %s, written %d times", got, s.views.Load())
	}
}

// TestAnotherViewEndsAnswersThatStand, of its subscriber and of nobody else.
func TestAnotherViewEndsAnswersThatStand(t *testing.T) {
	for _, c := range []struct {
		name, then string
		want       bool // it stands
	}{
		{"the same IMEI in NAS", "nas:a", true},
		{"another one in NAS", "nas:b", false},
		{"another one in NAS, by S13", "s13:b", false},
		{"another one of another subscriber", "ims2:b", true},
		{"another one in IMS", "ims:b", false},
		{"another one that the network did not authenticate", "open:b", true},
		{"a deregistration", "bye:a", false},
		{"an emergency", "sos:b", true},
	} {
		l := newLab(t)
		ask := l.restsInBoth()
		first := ask()
		if again := ask(); again.ID != first.ID {
			t.Fatalf("%s: no answer stands", c.name)
		}
		l.take(c.then)
		if got := ask(); (got.ID == first.ID) != c.want {
			t.Errorf("%s: it stands: %v, want %v", c.name, got.ID == first.ID, c.want)
		}
	}
}

// restsInBoth attests, shows the IMEI in NAS too, and returns a question in IMS that an answer stands for.
func (l *lab) restsInBoth() func() verifier.Verdict {
	l.take("nas:a")
	r := l.shows("ims:a")
	r.Challenge401, r.ChallengeOutstanding = text401, true
	l.judge(answering(attest.NonceFrom401(text401), credential()), r)
	l.now = l.now.Add(time.Second)
	l.take("nas:a")
	ask := func() verifier.Verdict {
		r := l.shows("ims:a")
		again(r)
		return l.decide(verifier.Input{Registration: r, Now: l.now})
	}
	ask()
	return ask
}

// TestManyAskWhileNASShowsAnother: nobody in IMS who asks after the EIR was answered is told what was found before.
func TestManyAskWhileNASShowsAnother(t *testing.T) {
	for range 20 {
		l := newLab(t)
		ask := l.restsInBoth()
		ask()
		in := verifier.Input{Registration: l.shows("ims:a"), Now: l.now.Add(2 * time.Second)}
		again(in.Registration)
		nas := verifier.Input{Registration: l.shows("nas:b"), Now: l.now.Add(time.Second)}
		var shown atomic.Bool
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for after := 0; after < 10; {
					late := shown.Load()
					v, err := l.Appraise(context.Background(), in)
					if err != nil {
						t.Error(err)
						return
					}
					if late && !strings.Contains(fmt.Sprint(v.Reasons()), string(attest.ReasonNASIMSMismatch)) {
						t.Errorf("after NAS showed another: %s", summary(v.Result))
						return
					}
					if late {
						after++
					}
				}
			})
		}
		if _, err := l.Appraise(context.Background(), nas); err != nil {
			t.Error(err)
		}
		shown.Store(true)
		wg.Wait()
	}
}

// TestAViewThatDisagreesIsExplained, under the policies that are shipped, and made again from its record.
func TestAViewThatDisagreesIsExplained(t *testing.T) {
	for _, p := range []*verifier.Policy{policy.Default(), enforcing(t)} {
		name, l := p.Name, newLab(t)
		l.SetPolicy(p)
		l.take("nas:a")
		l.take("ims:b!")
		v := l.decide(verifier.Input{Registration: l.shows("nas:a"), Now: l.now.Add(time.Second)})
		if v.Status() != attest.StatusWarning || v.Answer.SIPCode != 200 || v.Answer.EIRStatus != attest.AnswerTrack.EIR {
			t.Errorf("%s: %s %+v, want a warning", name, summary(v.Result), v.Answer)
		}
		r, _, err := l.Record(context.Background(), v.ID)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		if err := r.Explain(&text); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"this subscriber showed another one in IMS at 20", "1, what the network was shown"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: the explanation lacks %q:\n%s", name, want, &text)
			}
		}
		if found := anIdentity.FindString(text.String()); found != "" {
			t.Errorf("the explanation names %q:\n%s", found, &text)
		}
		if err := r.Replay(); err != nil {
			t.Error(err)
		}
		r.Facts.Views = nil
		if err := r.Replay(); err == nil {
			t.Error("without what it rested on, it comes out the same")
		}
	}
}
