// Package storetest is the conformance suite of verifier.Store: every engine runs it.
package storetest

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// Run runs the suite; open returns an empty store each time.
func Run(t *testing.T, open func(t *testing.T) verifier.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, verifier.Store)
	}{
		{"an empty store knows nothing", testEmpty},
		{"a decision is kept", testKept},
		{"the same presentation gets the same answer", testRepeat},
		{"an answer is not repeated after its time", testNoRepeatAfterValidity},
		{"an answer is not repeated after the device's conviction", testNoRepeatAfterConviction},
		{"another presentation of the nonce is a replay and changes nothing", testReplay},
		{"a used nonce without a device keeps no device", testNoDevice},
		{"only a lasting answer is found again", testLasting},
		{"a damning decision ends what lasted, for every subscriber", testDamning},
		{"a later credential replaces the earlier", testNewCredential},
		{"a nonce is not forgotten before it expires", testForget},
		{"one nonce presented by many at once is accepted once", testRace},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			defer func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}()
			test.run(t, s)
		})
	}
}

var (
	device = attesttest.MustIMEI(attesttest.IMEI1)
	other  = attesttest.MustIMEI(attesttest.OtherIMEI)
	key    = attest.KeyID{1}
)

func decision() verifier.Decision {
	answer := attest.Result{IssuedAt: attesttest.Now, ValidUntil: attesttest.Now.Add(time.Minute), Submods: []attest.Submod{{Name: "slot1"}}}
	answer.Submods[0].Add(attest.ReasonIMEIConsistent)
	return verifier.Decision{
		Presentation: verifier.Presentation{Nonce: attesttest.Nonce(), Token: [32]byte{1}, Subscriber: "alice", Signalled: device, Front: verifier.FrontHTTP},
		Expiry:       attesttest.Now.Add(attest.NonceLife), Now: attesttest.Now, Answer: answer, Lasting: true,
		Device: &verifier.Device{Key: key, Credential: []byte("credential"), Slots: []imei.IMEI{device}, Generation: 7},
	}
}

func commit(t *testing.T, s verifier.Store, d verifier.Decision) verifier.Commitment {
	t.Helper()
	c, err := s.Commit(context.Background(), d)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return c
}

func testEmpty(t *testing.T, s verifier.Store) {
	wantNothing(t, s)
	if _, found, err := s.Presented(context.Background(), attesttest.Nonce()); found || err != nil {
		t.Errorf("Presented = %v, %v", found, err)
	}
}

func wantNothing(t *testing.T, s verifier.Store) {
	t.Helper()
	ctx := context.Background()
	if _, found, err := s.Credential(ctx, key); found || err != nil {
		t.Errorf("Credential = %v, %v", found, err)
	}
	if found, err := s.Attested(ctx, device); found || err != nil {
		t.Errorf("Attested = %v, %v", found, err)
	}
	if _, found, err := s.Prior(ctx, device, "alice"); found || err != nil {
		t.Errorf("Prior = %v, %v", found, err)
	}
}

func testKept(t *testing.T, s verifier.Store) {
	ctx, d := context.Background(), decision()
	if c := commit(t, s, d); c.Repeat || c.Replay {
		t.Errorf("first Commit = %+v", c)
	}
	if raw, found, err := s.Credential(ctx, key); string(raw) != "credential" || !found || err != nil {
		t.Errorf("Credential = %q, %v, %v", raw, found, err)
	}
	if found, err := s.Attested(ctx, device); !found || err != nil {
		t.Errorf("Attested = %v, %v", found, err)
	}
	if found, _ := s.Attested(ctx, other); found {
		t.Error("an IMEI that never attested is found")
	}
	p, found, err := s.Prior(ctx, device, "alice")
	if !found || err != nil || !p.At.Equal(d.Now) || p.Generation != 7 || !reflect.DeepEqual(p.Answer, d.Answer) {
		t.Errorf("Prior = %+v, %v, %v", p, found, err)
	}
	if _, found, _ := s.Prior(ctx, device, "mallory"); found {
		t.Error("another subscriber finds the answer")
	}
	if r, found, err := s.Presented(ctx, d.Presentation.Nonce); !found || err != nil || !reflect.DeepEqual(r, d.Answer) {
		t.Errorf("Presented = %+v, %v, %v", r, found, err)
	}
}

func testRepeat(t *testing.T, s verifier.Store) {
	d := decision()
	commit(t, s, d)
	again := d
	again.Answer = attest.Result{}
	if c := commit(t, s, again); !c.Repeat || c.Replay || !reflect.DeepEqual(c.Answer, d.Answer) {
		t.Errorf("second Commit = %+v, want the first answer", c)
	}
}

func testNoRepeatAfterValidity(t *testing.T, s verifier.Store) {
	d := decision()
	d.Expiry = d.Now.Add(24 * time.Hour)
	commit(t, s, d)
	d.Now = d.Answer.ValidUntil
	if c := commit(t, s, d); !c.Closed || c.Repeat || c.Replay {
		t.Errorf("%+v, want closed", c)
	}
}

func testNoRepeatAfterConviction(t *testing.T, s verifier.Store) {
	d := decision()
	commit(t, s, d)
	damning := decision()
	damning.Presentation.Nonce = append(attest.Nonce{1}, damning.Presentation.Nonce[1:]...)
	damning.Damning = true
	commit(t, s, damning)
	if c := commit(t, s, d); !c.Closed || c.Repeat || c.Replay {
		t.Errorf("the earlier answer: %+v, want closed", c)
	}
	if c := commit(t, s, damning); !c.Repeat {
		t.Errorf("the conviction itself: %+v, want repeated", c)
	}
}

func testReplay(t *testing.T, s verifier.Store) {
	d := decision()
	commit(t, s, d)
	for name, change := range map[string]func(*verifier.Presentation){
		"another token":      func(p *verifier.Presentation) { p.Token[0] = 2 },
		"another subscriber": func(p *verifier.Presentation) { p.Subscriber = "mallory" },
		"another IMEI":       func(p *verifier.Presentation) { p.Signalled = other },
		"another front":      func(p *verifier.Presentation) { p.Front = verifier.FrontSIP },
	} {
		r := decision()
		change(&r.Presentation)
		r.Device = &verifier.Device{Key: attest.KeyID{9}, Credential: []byte("x"), Slots: []imei.IMEI{other}}
		if c := commit(t, s, r); !c.Replay || c.Repeat {
			t.Errorf("%s: Commit = %+v, want a replay", name, c)
		}
	}
	if _, found, _ := s.Credential(context.Background(), attest.KeyID{9}); found {
		t.Error("a replay stored a credential")
	}
	if found, _ := s.Attested(context.Background(), other); found {
		t.Error("a replay stored a device")
	}
}

func testNoDevice(t *testing.T, s verifier.Store) {
	d := decision()
	d.Device = nil
	commit(t, s, d)
	wantNothing(t, s)
	other := decision()
	other.Presentation.Token = [32]byte{9}
	if c := commit(t, s, other); !c.Closed || c.Replay || c.Repeat {
		t.Errorf("evidence for a nonce that was given up: %+v, want closed", c)
	}
}

func testDamning(t *testing.T, s verifier.Store) {
	commit(t, s, decision())
	d := decision()
	d.Presentation.Nonce = append(attest.Nonce{1}, d.Presentation.Nonce[1:]...)
	d.Presentation.Subscriber, d.Lasting, d.Damning = "mallory", false, true
	commit(t, s, d)
	if _, found, _ := s.Prior(context.Background(), device, "alice"); found {
		t.Error("an earlier answer survived the device's conviction")
	}
}

func testLasting(t *testing.T, s verifier.Store) {
	d := decision()
	d.Lasting = false
	commit(t, s, d)
	if _, found, _ := s.Prior(context.Background(), device, "alice"); found {
		t.Error("an answer that is not lasting is found")
	}
}

func testNewCredential(t *testing.T, s verifier.Store) {
	commit(t, s, decision())
	d := decision()
	d.Presentation.Nonce = append(attest.Nonce{1}, d.Presentation.Nonce[1:]...)
	d.Device.Credential = []byte("reissued")
	commit(t, s, d)
	if raw, _, _ := s.Credential(context.Background(), key); string(raw) != "reissued" {
		t.Errorf("Credential = %q", raw)
	}
}

func testForget(t *testing.T, s verifier.Store) {
	d := decision()
	commit(t, s, d)
	later := decision()
	later.Presentation.Nonce = append(attest.Nonce{1}, later.Presentation.Nonce[1:]...)
	later.Now = d.Expiry.Add(-time.Second)
	commit(t, s, later)
	again := d
	again.Now, again.Presentation.Subscriber = later.Now, "mallory"
	if c := commit(t, s, again); !c.Replay {
		t.Errorf("a second before expiry: %+v, want a replay", c)
	}
}

func testRace(t *testing.T, s verifier.Store) {
	const presenters = 16
	var wg sync.WaitGroup
	accepted := make(chan string, presenters)
	for i := range presenters {
		wg.Go(func() {
			d := decision()
			d.Presentation.Subscriber = fmt.Sprint("subscriber ", i)
			if c, err := s.Commit(context.Background(), d); err == nil && !c.Replay && !c.Repeat {
				accepted <- d.Presentation.Subscriber
			}
		})
	}
	wg.Wait()
	if n := len(accepted); n != 1 {
		t.Errorf("accepted %d times, want once", n)
	}
}
