// Package storetest is the conformance suite of verifier.Store: every engine runs it.
package storetest

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
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
		{"an answer is not repeated under another trust", testNoRepeatUnderAnotherTrust},
		{"another presentation of the nonce is a replay and changes nothing", testReplay},
		{"another token of the same device for the nonce is no replay, and changes nothing", testSecondTry},
		{"a used nonce without a device keeps no device", testNoDevice},
		{"only a lasting answer is found again", testLasting},
		{"a damning decision ends what lasted, for every subscriber", testDamning},
		{"a claim is kept with its answer, one for each IMEI", testClaims},
		{"a later claim replaces the earlier, and a decision without one leaves it", testLaterClaim},
		{"what ends an answer ends a claim, and nothing else does", testClaimEnds},
		{"a later credential replaces the earlier", testNewCredential},
		{"a nonce is not forgotten before it expires", testForget},
		{"a nonce that may be forgotten is not accepted when the clock is set back", testClockBack},
		{"one nonce presented by many at once is accepted once", testRace},
		{"a state is kept, and stays where a decision has none", testState},
		{"a decision on another state than the one kept changes nothing", testStateConflict},
		{"a decision that leaves the state conflicts all the same", testStateLeft},
		{"many decisions on one state at once: one is accepted", testStateRace},
		{"an IMEI passes to another key, and nothing lasts beyond it", testSuccession},
		{"a decision on another holder than the one kept changes nothing", testHolderConflict},
		{"many keys that take one IMEI at once: one gets it", testHolderRace},
		{"a decision without an IMEI touches none", testRefused},
		{"a used nonce is told before a conflict", testRepeatBeforeConflict},
		{"a decision is found again by its identifier and by time", testRecords},
		{"the latest decision on a public identity is found by that", testLatest},
		{"sightings keep the changes of subscriber, the latest last", testSightings},
		{"a decision conflicts with another subscriber's that it was not judged by", testOthers},
		{"decisions mark the days of each subscriber", testDaysOfDecisions},
		{"a note marks its day and nothing else", testNote},
		{"the latest view of a subscriber in each access is kept", testViews},
		{"a view of a decision is kept with it, and not without it", testViewOfDecision},
		{"who shows an IMEI no more has no view in that access", testViewEnds},
		{"views told by many at once are those of one of them", testViewRace},
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
	holder = verifier.Holder{Key: key, Issuer: "tag:example,2026:oem", Serial: 1}
)

// next is a later decision on the same device, for another nonce.
func next(number byte) verifier.Decision {
	d := decision()
	d.Presentation.Nonce = append(attest.Nonce{number}, d.Presentation.Nonce[1:]...)
	d.Device.Holds[0].Was = holder
	again := *d.Record
	again.Verdict.ID[1] = number
	d.Record = &again
	return d
}

func decision() verifier.Decision {
	answer := attest.Result{IssuedAt: attesttest.Now, ValidUntil: attesttest.Now.Add(time.Minute), Submods: []attest.Submod{{Name: "slot1"}}}
	answer.Submods[0].Add(attest.ReasonIMEIConsistent)
	return verifier.Decision{
		Presentation: verifier.Presentation{Nonce: attesttest.Nonce(), Token: [32]byte{1}, Subscriber: "alice", Signalled: device, Front: verifier.FrontHTTP},
		Expiry:       attesttest.Now.Add(attest.NonceLife), Now: attesttest.Now, Lasting: true,
		Record:   &verifier.Record{Verdict: verifier.Verdict{ID: verifier.DecisionID{1}, Result: answer}, Facts: verifier.Facts{Now: attesttest.Now}, Generation: 7},
		Sighting: &verifier.Sighting{IMEI: device, Subscriber: "alice", At: attesttest.Now},
		Device:   &verifier.Device{Key: key, Credential: []byte("credential"), Holds: []verifier.Hold{{IMEI: device, Is: holder}}, Generation: 7},
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
	if h, err := s.Holder(ctx, device); h != (verifier.Holder{}) || err != nil {
		t.Errorf("Holder = %v, %v", h, err)
	}
	if state, err := s.State(ctx, key); state != (verifier.State{}) || err != nil {
		t.Errorf("State = %v, %v", state, err)
	}
	if _, found, err := s.Prior(ctx, device, "alice"); found || err != nil {
		t.Errorf("Prior = %v, %v", found, err)
	}
	wantNoClaim(t, s, device)
}

func testKept(t *testing.T, s verifier.Store) {
	ctx, d := context.Background(), decision()
	if c := commit(t, s, d); c.Repeat || c.Replay {
		t.Errorf("first Commit = %+v", c)
	}
	if kept, found, err := s.Credential(ctx, key); string(kept.Credential) != "credential" || kept.Generation != 7 || !found || err != nil {
		t.Errorf("Credential = %+v, %v, %v", kept, found, err)
	}
	if h, err := s.Holder(ctx, device); h != holder || err != nil {
		t.Errorf("Holder = %v, %v", h, err)
	}
	if h, _ := s.Holder(ctx, other); h != (verifier.Holder{}) {
		t.Error("an IMEI that never attested is held")
	}
	p, found, err := s.Prior(ctx, device, "alice")
	if !found || err != nil || !p.At.Equal(d.Now) || p.Generation != 7 || !reflect.DeepEqual(p.Answer, d.Verdict().Result) {
		t.Errorf("Prior = %+v, %v, %v", p, found, err)
	}
	if _, found, _ := s.Prior(ctx, device, "mallory"); found {
		t.Error("another subscriber finds the answer")
	}
	if r, found, err := s.Presented(ctx, d.Presentation.Nonce); !found || err != nil || !reflect.DeepEqual(r, d.Verdict()) {
		t.Errorf("Presented = %+v, %v, %v", r, found, err)
	}
}

func testRepeat(t *testing.T, s verifier.Store) {
	d := decision()
	commit(t, s, d)
	again := d
	again.Record = &verifier.Record{Verdict: verifier.Verdict{ID: verifier.DecisionID{2}}}
	again.Presentation.Front = verifier.FrontSIP // the network asks again, through another front
	if c := commit(t, s, again); !c.Repeat || c.Replay || !reflect.DeepEqual(c.Answer, d.Verdict()) {
		t.Errorf("second Commit = %+v, want the first answer", c)
	}
}

func testNoRepeatAfterValidity(t *testing.T, s verifier.Store) {
	d := decision()
	d.Expiry = d.Now.Add(24 * time.Hour)
	commit(t, s, d)
	d.Now = d.Verdict().ValidUntil
	if c := commit(t, s, d); !c.Closed || c.Repeat || c.Replay {
		t.Errorf("%+v, want closed", c)
	}
}

func testNoRepeatAfterConviction(t *testing.T, s verifier.Store) {
	d := decision()
	commit(t, s, d)
	damning := next(1)
	damning.Damning = true
	commit(t, s, damning)
	if c := commit(t, s, d); !c.Closed || c.Repeat || c.Replay {
		t.Errorf("the earlier answer: %+v, want closed", c)
	}
	if c := commit(t, s, damning); !c.Repeat {
		t.Errorf("the conviction itself: %+v, want repeated", c)
	}
}

func testNoRepeatUnderAnotherTrust(t *testing.T, s verifier.Store) {
	d := decision()
	commit(t, s, d)
	later := decision()
	later.Device.Generation, later.Record.Generation = 8, 8
	if c := commit(t, s, later); !c.Closed || c.Repeat || c.Replay {
		t.Errorf("under another trust: %+v, want closed", c)
	}
	if c := commit(t, s, d); !c.Repeat {
		t.Errorf("under the same: %+v, want repeated", c)
	}
}

func testSecondTry(t *testing.T, s verifier.Store) {
	commit(t, s, decision())
	second := decision()
	second.Presentation.Token[0] = 2
	second.Device.Credential, second.Device.Holds = []byte("x"), []verifier.Hold{{IMEI: other, Is: holder}}
	if c := commit(t, s, second); !c.Closed || c.Repeat || c.Replay {
		t.Errorf("another token of the device: %+v, want closed", c)
	}
	if kept, _, _ := s.Credential(context.Background(), key); string(kept.Credential) != "credential" {
		t.Errorf("it replaced the Credential by %q", kept.Credential)
	}
	second.Presentation.Subscriber = "mallory"
	if c := commit(t, s, second); !c.Replay || c.Closed {
		t.Errorf("for another subscriber: %+v, want a replay", c)
	}
}

func testReplay(t *testing.T, s verifier.Store) {
	d := decision()
	commit(t, s, d)
	for name, change := range map[string]func(*verifier.Presentation){
		"another token":      func(p *verifier.Presentation) { p.Token[0] = 2 },
		"another subscriber": func(p *verifier.Presentation) { p.Subscriber = "mallory" },
		"another IMEI":       func(p *verifier.Presentation) { p.Signalled = other },
		"by the device":      func(p *verifier.Presentation) { p.Front = verifier.FrontDevice },
	} {
		r := decision()
		change(&r.Presentation)
		r.Device = &verifier.Device{Key: attest.KeyID{9}, Credential: []byte("x"),
			State: &verifier.StateChange{Is: proved(1)}, Holds: []verifier.Hold{{IMEI: other, Is: holder}}}
		if c := commit(t, s, r); !c.Replay || c.Repeat {
			t.Errorf("%s: Commit = %+v, want a replay", name, c)
		}
	}
	if _, found, _ := s.Credential(context.Background(), attest.KeyID{9}); found {
		t.Error("a replay stored a credential")
	}
	if h, _ := s.Holder(context.Background(), other); h != (verifier.Holder{}) {
		t.Error("a replay stored a device")
	}
	if state, _ := s.State(context.Background(), attest.KeyID{9}); state != (verifier.State{}) {
		t.Error("a replay stored a state")
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
	d := next(1)
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

// claiming is a decision on a device of two slots that names a subscriber in each; it answers no registration.
func claiming(d verifier.Decision) verifier.Decision {
	d.Lasting, d.Sighting, d.Presentation.Signalled, d.Presentation.Subscriber = false, nil, imei.IMEI{}, ""
	d.Claims = []verifier.Claim{{IMEI: device, Slot: 1, Hash: [32]byte{1, d.Record.Verdict.ID[1]}}, {IMEI: other, Slot: 2, Hash: [32]byte{2}}}
	return d
}

func wantClaim(t *testing.T, s verifier.Store, of verifier.Claim, in verifier.Decision) {
	t.Helper()
	got, found, err := s.Claimed(context.Background(), of.IMEI)
	want := verifier.Claimed{Prior: verifier.Prior{At: in.Now, Generation: in.Device.Generation, Answer: in.Verdict().Result, Slot: of.Slot},
		Nonce: in.Presentation.Nonce, Hash: of.Hash}
	if got.At = got.At.UTC(); !found || err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Claimed = %+v, %v, %v; want %+v", got, found, err, want)
	}
}

func wantNoClaim(t *testing.T, s verifier.Store, id imei.IMEI) {
	t.Helper()
	if c, found, err := s.Claimed(context.Background(), id); found || err != nil {
		t.Errorf("Claimed = %+v, %v, %v; want none", c, found, err)
	}
}

func testClaims(t *testing.T, s verifier.Store) {
	d := claiming(decision())
	commit(t, s, d)
	for _, c := range d.Claims {
		wantClaim(t, s, c, d)
	}
	if _, found, _ := s.Prior(context.Background(), device, ""); found {
		t.Error("a claim left an answer for nobody")
	}
	if seen, err := s.Seen(context.Background(), device, ""); len(seen) != 0 || err != nil {
		t.Errorf("a claim left sightings %v, %v", seen, err)
	}
}

func testLaterClaim(t *testing.T, s verifier.Store) {
	first, silent, later := claiming(decision()), next(1), claiming(next(2))
	commit(t, s, first)
	silent.Now = silent.Now.Add(time.Minute)
	commit(t, s, silent)
	wantClaim(t, s, first.Claims[0], first)
	later.Claims, later.Now = later.Claims[:1], later.Now.Add(time.Hour)
	later.Presentation.Nonce = append(attest.Nonce{9}, make([]byte, 63)...) // the longest
	commit(t, s, later)
	wantClaim(t, s, later.Claims[0], later)
	wantClaim(t, s, first.Claims[1], first)
}

func testClaimEnds(t *testing.T, s verifier.Store) {
	first := claiming(decision())
	commit(t, s, first)
	replay := claiming(decision())
	replay.Presentation.Token[0], replay.Presentation.Subscriber, replay.Claims[0].Hash[0] = 9, "mallory", 9
	conflict := claiming(next(1))
	conflict.Device.Holds[0].Was, conflict.Claims[0].Hash[0] = verifier.Holder{}, 9
	refused := next(2) // another device, which the IMEI was refused to
	refused.Device.Key, refused.Device.Holds, refused.Lasting, refused.Damning = attest.KeyID{2}, nil, false, true
	for _, d := range []verifier.Decision{replay, conflict, refused} {
		commit(t, s, d)
		wantClaim(t, s, first.Claims[0], first)
	}
	newer := verifier.Holder{Key: attest.KeyID{2}, Issuer: holder.Issuer, Serial: 2}
	for number, end := range []func(*verifier.Decision){
		func(d *verifier.Decision) { d.Damning = true },
		func(d *verifier.Decision) { d.Device.Key, d.Device.Holds[0].Is = newer.Key, newer },
	} {
		d := next(byte(10 + number))
		d.Lasting = false
		end(&d)
		commit(t, s, claiming(next(byte(20+number))))
		commit(t, s, d)
		wantNoClaim(t, s, device)
		wantClaim(t, s, first.Claims[1], claiming(next(byte(20+number)))) // of an IMEI that the decision does not touch
	}
}

func testNewCredential(t *testing.T, s verifier.Store) {
	commit(t, s, decision())
	d := next(1)
	d.Device.Credential, d.Device.Generation = []byte("reissued"), 8
	d.Device.Software = verifier.Software{Revision: "RG650VEUAAR03A01", TPM: 0x2019003300000000}
	commit(t, s, d)
	wantCredential := verifier.Endorsed{Credential: []byte("reissued"), Generation: 8, Software: d.Device.Software}
	if kept, _, _ := s.Credential(context.Background(), key); !reflect.DeepEqual(kept, wantCredential) {
		t.Errorf("Credential = %+v, want %+v", kept, wantCredential)
	}
	same := next(2)
	same.Device.Credential, same.Device.Generation = nil, 9
	commit(t, s, same)
	if kept, _, _ := s.Credential(context.Background(), key); !reflect.DeepEqual(kept, wantCredential) {
		t.Errorf("after a decision that leaves it: Credential = %+v, want %+v", kept, wantCredential)
	}
}

func testForget(t *testing.T, s verifier.Store) {
	d := decision()
	commit(t, s, d)
	later := next(1)
	later.Now = d.Expiry.Add(-time.Second)
	commit(t, s, later)
	again := d
	again.Now, again.Presentation.Subscriber = later.Now, "mallory"
	if c := commit(t, s, again); !c.Replay {
		t.Errorf("a second before expiry: %+v, want a replay", c)
	}
}

// testClockBack: the clock jumps ahead, the store forgets, and the clock comes back.
func testClockBack(t *testing.T, s verifier.Store) {
	first := decision()
	commit(t, s, first)
	for i := range 1 << 12 { // enough that any store sweeps
		d := verifier.Decision{Expiry: first.Expiry.Add(24 * time.Hour), Now: first.Now.Add(12 * time.Hour)}
		d.Presentation.Nonce = fmt.Appendf(nil, "another nonce %d", i)
		commit(t, s, d)
	}
	again := first
	again.Presentation.Token[0]++
	if c := commit(t, s, again); !c.Closed && !c.Replay {
		t.Errorf("the first nonce for other evidence: %+v, want closed or a replay", c)
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

// proved is the state of a device that proved a counter.
func proved(counter uint64) verifier.State {
	return verifier.State{Counter: counter, ResetCount: 3, Clock: 1 << 60, Binding: [32]byte{byte(counter)}, Seen: attesttest.Now}
}

func wantState(t *testing.T, s verifier.Store, want verifier.State) {
	t.Helper()
	got, err := s.State(context.Background(), key)
	if err != nil || !got.Same(want) || got.ResetCount != want.ResetCount || got.Clock != want.Clock || !got.Seen.Equal(want.Seen) {
		t.Errorf("State = %+v, %v, want %+v", got, err, want)
	}
}

func testState(t *testing.T, s verifier.Store) {
	first, second := decision(), next(1)
	first.Device.State = &verifier.StateChange{Is: proved(5)}
	commit(t, s, first)
	wantState(t, s, proved(5))
	if c := commit(t, s, next(2)); c.Conflict {
		t.Errorf("a decision without a state: %+v", c)
	}
	wantState(t, s, proved(5))
	largest := proved(1<<64 - 1)
	second.Device.State = &verifier.StateChange{Was: proved(5), Is: largest}
	commit(t, s, second)
	wantState(t, s, largest)
}

func testStateConflict(t *testing.T, s verifier.Store) {
	first := decision()
	first.Device.State = &verifier.StateChange{Is: proved(5)}
	commit(t, s, first)
	otherContent := proved(5)
	otherContent.Binding[31] = 1
	for name, was := range map[string]verifier.State{"no state": {}, "an earlier one": proved(4), "another content": otherContent} {
		d := next(1)
		d.Damning = true
		d.Device.Credential, d.Device.State = []byte("x"), &verifier.StateChange{Was: was, Is: proved(6)}
		if c := commit(t, s, d); !c.Conflict || c.Repeat || c.Replay || c.Closed {
			t.Errorf("%s: %+v, want a conflict", name, c)
		}
	}
	wantState(t, s, proved(5))
	if kept, _, _ := s.Credential(context.Background(), key); string(kept.Credential) != "credential" {
		t.Errorf("a conflict stored the credential %q", kept.Credential)
	}
	if _, found, _ := s.Prior(context.Background(), device, "alice"); !found {
		t.Error("a conflict ended an earlier answer")
	}
	if c := commit(t, s, first); !c.Repeat {
		t.Errorf("the first once more: %+v, want its answer", c)
	}
	again := next(1)
	again.Device.State = &verifier.StateChange{Was: proved(5), Is: proved(6)}
	if c := commit(t, s, again); c.Conflict || c.Replay {
		t.Errorf("judged anew: %+v, the conflicts have used the nonce", c)
	}
}

func testStateLeft(t *testing.T, s verifier.Store) {
	d := decision()
	d.Device.State = &verifier.StateChange{Was: proved(5), Is: proved(5)}
	if c := commit(t, s, d); !c.Conflict {
		t.Errorf("%+v, want a conflict", c)
	}
	wantNothing(t, s)
}

func testStateRace(t *testing.T, s verifier.Store) {
	wantOne(t, s, func(i int) verifier.Decision {
		d := next(byte(i))
		d.Device.Holds = nil
		d.Device.State = &verifier.StateChange{Is: proved(5)}
		d.Device.State.Is.Binding[31] = byte(i)
		return d
	})
}

func testSuccession(t *testing.T, s verifier.Store) {
	commit(t, s, decision())
	newer := verifier.Holder{Key: attest.KeyID{2}, Issuer: holder.Issuer, Serial: 1<<64 - 1}
	d := next(1)
	d.Device.Key, d.Device.Holds[0].Is, d.Lasting = newer.Key, newer, false
	commit(t, s, d)
	if h, err := s.Holder(context.Background(), device); h != newer || err != nil {
		t.Errorf("Holder = %+v, %v, want %+v", h, err, newer)
	}
	if _, found, _ := s.Prior(context.Background(), device, "alice"); found {
		t.Error("an answer for the former key survived it")
	}
}

func testHolderConflict(t *testing.T, s verifier.Store) {
	commit(t, s, decision())
	otherSerial := holder
	otherSerial.Serial++
	for name, was := range map[string]verifier.Holder{"nobody": {}, "another serial": otherSerial} {
		d := next(1)
		d.Device.Holds = []verifier.Hold{{IMEI: other, Is: holder}, {IMEI: device, Was: was, Is: otherSerial}}
		if c := commit(t, s, d); !c.Conflict {
			t.Errorf("%s: %+v, want a conflict", name, c)
		}
	}
	for id, want := range map[imei.IMEI]verifier.Holder{device: holder, other: {}} {
		if h, err := s.Holder(context.Background(), id); h != want || err != nil {
			t.Errorf("Holder = %+v, %v, want %+v", h, err, want)
		}
	}
}

func testHolderRace(t *testing.T, s verifier.Store) {
	wantOne(t, s, func(i int) verifier.Decision {
		d := decision()
		d.Presentation.Nonce = append(attest.Nonce{byte(i)}, d.Presentation.Nonce[1:]...)
		d.Device.Key = attest.KeyID{byte(i)}
		d.Device.Holds[0].Is.Key = d.Device.Key
		return d
	})
}

// wantOne commits decisions with nonces of their own at once: one is accepted, the others conflict.
func wantOne(t *testing.T, s verifier.Store, decide func(i int) verifier.Decision) {
	t.Helper()
	const many = 16
	var wg sync.WaitGroup
	accepted := make(chan int, many)
	for i := range many {
		wg.Go(func() {
			switch c, err := s.Commit(context.Background(), decide(i)); {
			case err != nil:
				t.Errorf("Commit: %v", err)
			case !c.Conflict:
				accepted <- i
			}
		})
	}
	wg.Wait()
	if n := len(accepted); n != 1 {
		t.Errorf("accepted %d times, want once", n)
	}
}

func testRefused(t *testing.T, s verifier.Store) {
	commit(t, s, decision())
	d := next(1)
	d.Device.Key, d.Device.Holds, d.Lasting, d.Damning = attest.KeyID{2}, nil, false, true
	commit(t, s, d)
	if h, _ := s.Holder(context.Background(), device); h != holder {
		t.Errorf("Holder = %+v, want %+v", h, holder)
	}
	if _, found, _ := s.Prior(context.Background(), device, "alice"); !found {
		t.Error("the conviction of another device ended the holder's answer")
	}
	if c := commit(t, s, decision()); !c.Repeat {
		t.Errorf("the holder's presentation once more: %+v, want its answer", c)
	}
}

func testRepeatBeforeConflict(t *testing.T, s verifier.Store) {
	d := decision()
	d.Device.State = &verifier.StateChange{Is: proved(5)}
	commit(t, s, d)
	if c := commit(t, s, d); !c.Repeat || c.Conflict {
		t.Errorf("the same once more, judged by what was before it: %+v, want the answer", c)
	}
	d.Presentation.Front = verifier.FrontDevice
	if c := commit(t, s, d); !c.Replay || c.Conflict {
		t.Errorf("a replay, judged by what was before: %+v, want a replay", c)
	}
}

func record(number byte, at time.Time) *verifier.Record {
	return &verifier.Record{Verdict: verifier.Verdict{ID: verifier.DecisionID{number}}, Facts: verifier.Facts{Now: at}}
}

func testRecords(t *testing.T, s verifier.Store) {
	ctx, d := context.Background(), decision()
	commit(t, s, d)
	later := record(9, d.Now.Add(time.Minute))
	if err := s.Note(ctx, verifier.Note{Record: later}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []*verifier.Record{d.Record, later} {
		got, found, err := s.Record(ctx, want.Verdict.ID)
		if err != nil || !found || !reflect.DeepEqual(got, want) {
			t.Errorf("Record(%s) = %+v, %v, %v; want %+v", want.Verdict.ID, got, found, err, want)
		}
	}
	if _, found, err := s.Record(ctx, verifier.DecisionID{77}); found || err != nil {
		t.Errorf("a decision that was not made: %v, %v", found, err)
	}
	for since, want := range map[time.Time]string{d.Now: "[1 9]", later.Facts.Now: "[9]", later.Facts.Now.Add(1): "[]"} {
		got := []byte{}
		err := s.Records(ctx, since, func(r *verifier.Record) bool { got = append(got, r.Verdict.ID[0]); return true })
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("Records since %v: %v, %v; want %s", since, got, err, want)
		}
	}
	stopped := 0
	if err := s.Records(ctx, d.Now, func(*verifier.Record) bool { stopped++; return false }); stopped != 1 || err != nil {
		t.Errorf("Records told to stop gave %d, %v", stopped, err)
	}
}

func testLatest(t *testing.T, s verifier.Store) {
	ctx := context.Background()
	alice, bob := verifier.Pseudonym{1}, verifier.Pseudonym{2}
	of := func(r *verifier.Record, public verifier.Pseudonym) *verifier.Record {
		r.Public = public
		return r
	}
	d := decision()
	d.Record = of(record(1, d.Now), alice)
	commit(t, s, d)
	notes := []*verifier.Record{of(record(2, d.Now.Add(time.Minute)), alice), of(record(3, d.Now.Add(2*time.Minute)), bob), record(4, d.Now.Add(3*time.Minute))}
	for _, r := range notes {
		if err := s.Note(ctx, verifier.Note{Record: r}); err != nil {
			t.Fatal(err)
		}
	}
	for public, want := range map[verifier.Pseudonym]*verifier.Record{alice: notes[0], bob: notes[1]} {
		got, found, err := s.Latest(ctx, verifier.Alias{Current: public})
		if err != nil || !found || !reflect.DeepEqual(got, want) {
			t.Errorf("Latest(%s) = %+v, %v, %v; want %+v", public, got, found, err, want)
		}
	}
	if _, found, err := s.Latest(ctx, verifier.Alias{Current: verifier.Pseudonym{3}}); found || err != nil {
		t.Errorf("of nobody: %v, %v", found, err)
	}
}

func testSightings(t *testing.T, s verifier.Store) {
	ctx := context.Background()
	names := []string{"alice", "alice", "bob", "alice", "c", "d", "e", "f", "g", "h", "i"}
	for i, name := range names {
		d := decision()
		if i > 0 {
			d = next(byte(i))
		}
		d.Sighting = &verifier.Sighting{IMEI: device, Subscriber: name, At: d.Now.Add(time.Duration(i) * time.Second)}
		commit(t, s, d)
	}
	for _, name := range []string{"a", "d", "i"} {
		got, err := s.Seen(ctx, device, name)
		if err != nil || len(got) < verifier.KeptSightings {
			t.Fatalf("Seen = %v, %v; want at least %d", got, err, verifier.KeptSightings)
		}
		got = got[len(got)-verifier.KeptSightings:]
		for i, other := range names[len(names)-verifier.KeptSightings:] {
			at := decision().Now.Add(time.Duration(len(names)-verifier.KeptSightings+i) * time.Second)
			if want := (verifier.Seen{At: at, Same: other == name}); got[i] != want {
				t.Errorf("%s: sighting %d is %v, want %v", name, i+1, got[i], want)
			}
		}
	}
	if got, err := s.Seen(ctx, other, "alice"); len(got) != 0 || err != nil {
		t.Errorf("Seen of another IMEI: %v, %v", got, err)
	}
}

func testOthers(t *testing.T, s verifier.Store) {
	minute := func(n byte) time.Time { return attesttest.Now.Add(time.Duration(n) * time.Minute) }
	of := func(number byte, subscriber string, others *verifier.Others) verifier.Decision {
		d := decision()
		if number > 0 {
			d = next(number)
		}
		d.Sighting, d.Others = &verifier.Sighting{IMEI: device, Subscriber: subscriber, At: minute(number)}, others
		return d
	}
	known := func(minutes ...byte) *verifier.Others {
		o := new(verifier.Others)
		for _, n := range minutes {
			o.Add(minute(n).In(time.FixedZone("", 3600)))
		}
		return o
	}
	since := func(at time.Time) *verifier.Others { return &verifier.Others{Since: at} }
	first, late, unseen := of(0, "alice", known()), of(8, "bob", known(1, 5, 6)), of(10, "bob", known())
	late.Sighting.At, unseen.Sighting = minute(2), nil
	conflict := verifier.Commitment{Conflict: true}
	for _, step := range []struct {
		name     string
		decision verifier.Decision
		want     verifier.Commitment
		seen     int
	}{
		{"nobody was seen", first, verifier.Commitment{}, 1},
		{"the same was seen", of(1, "alice", known()), verifier.Commitment{}, 1},
		{"another was seen", of(2, "bob", known()), conflict, 1},
		{"another was seen at another time", of(2, "bob", known(0)), conflict, 1},
		{"another was seen before it counts", of(2, "bob", since(minute(2))), verifier.Commitment{}, 2},
		{"it was itself seen last, and another before", of(3, "bob", known()), conflict, 2},
		{"it was itself seen last, and another before, as is known", of(4, "bob", known(1)), verifier.Commitment{}, 2},
		{"another was seen since", of(5, "alice", known()), conflict, 2},
		{"another was seen since it counts", of(5, "alice", since(minute(4))), conflict, 2},
		{"another was seen just before it counts", of(5, "alice", since(minute(4).Add(1))), verifier.Commitment{}, 3},
		{"one more was seen than is known", of(6, "carol", known(1, 4)), conflict, 3},
		{"all are known", of(6, "carol", known(1, 4, 5)), verifier.Commitment{}, 4},
		{"one fewer was seen than is known", of(7, "bob", known(1, 3, 5, 6)), conflict, 4},
		{"of an earlier time, all are known", late, verifier.Commitment{}, 5},
		{"one was seen of a time before the last that is known", of(9, "alice", known(4, 6)), conflict, 5},
		{"whoever they are", of(11, "bob", nil), verifier.Commitment{}, 5},
		{"without a sighting", unseen, verifier.Commitment{}, 5},
		{"a used nonce is told before", first, verifier.Commitment{Repeat: true, Answer: first.Record.Verdict}, 5},
	} {
		if got := commit(t, s, step.decision); !reflect.DeepEqual(got, step.want) {
			t.Errorf("%s: %+v, want %+v", step.name, got, step.want)
		}
		if seen, err := s.Seen(context.Background(), device, "alice"); err != nil || len(seen) != step.seen {
			t.Errorf("%s: then Seen is %v, %v; want %d", step.name, seen, err, step.seen)
		}
	}
}

func testDaysOfDecisions(t *testing.T, s verifier.Store) {
	ctx := context.Background()
	begin := time.Date(2026, 3, 30, 12, 0, 0, 0, time.UTC)
	for i, step := range []struct {
		subscriber string
		after      time.Duration
	}{{"alice", 0}, {"bob", 1}, {"alice", 2}, {"alice", 3}, {"alice", 24}, {"alice", 25}, {"bob", 25}, {"alice", 0}, {"bob", 48}} {
		d := decision()
		if i > 0 {
			d = next(byte(i))
		}
		d.Sighting = &verifier.Sighting{IMEI: device, Subscriber: step.subscriber, At: begin.Add(step.after * time.Hour)}
		commit(t, s, d)
	}
	for month, want := range map[time.Month][]uint32{time.March: {1<<29 | 1<<30, 1<<29 | 1<<30}, time.April: {1 << 0}} {
		days, err := s.Days(ctx, device, 2026, month)
		if got := slices.Collect(maps.Values(days)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %b, %v; want %b", month, got, err, want)
		}
	}
}

func testNote(t *testing.T, s verifier.Store) {
	ctx := context.Background()
	at := time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC)
	for i, day := range []time.Duration{0, 0, time.Second} { // the last is in March
		err := s.Note(ctx, verifier.Note{Record: record(byte(1+i), at), Sighting: &verifier.Sighting{IMEI: device, Subscriber: "mallory", At: at.Add(day)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for month, want := range map[time.Month]uint32{time.February: 1 << 27, time.March: 1} {
		days, err := s.Days(ctx, device, 2026, month)
		for _, got := range days {
			if got != want {
				t.Errorf("%s: bits %b, want %b", month, got, want)
			}
		}
		if len(days) != 1 || err != nil {
			t.Errorf("%s: %v, %v; want one subscriber", month, days, err)
		}
	}
	if got, err := s.Seen(ctx, device, "mallory"); len(got) != 0 || err != nil {
		t.Errorf("a note left sightings %v, %v", got, err)
	}
	wantNothing(t, s)
}

// view is what alice shows in NAS, an hour later for each number.
func view(number int) *verifier.View {
	return &verifier.View{Subscriber: "alice", Access: verifier.AccessNAS, IMEI: device, Since: attesttest.Now, At: attesttest.Now.Add(time.Duration(number) * time.Hour)}
}

func note(t *testing.T, s verifier.Store, w *verifier.View) {
	t.Helper()
	if err := s.Note(context.Background(), verifier.Note{View: w}); err != nil {
		t.Fatal(err)
	}
}

// wantView looks before and after what was noted is written.
func wantView(t *testing.T, s verifier.Store, subscriber string, in verifier.Access, id imei.IMEI, want verifier.Viewed) {
	t.Helper()
	ctx := context.Background()
	for range 2 {
		got, err := s.Viewed(ctx, subscriber, in, id)
		if err != nil || got != want {
			t.Errorf("Viewed(%s, %d) = %+v, %v; want %+v", subscriber, in, got, err, want)
		}
		if _, _, err := s.Record(ctx, verifier.DecisionID{99}); err != nil {
			t.Fatal(err)
		}
	}
}

func viewedAs(w *verifier.View, same bool) verifier.Viewed {
	return verifier.Viewed{Since: w.Since.UTC(), At: w.At.UTC(), Same: same}
}

func testViews(t *testing.T, s verifier.Store) {
	wantView(t, s, "alice", verifier.AccessNAS, device, verifier.Viewed{})
	first, later := view(0), view(1)
	note(t, s, first)
	wantView(t, s, "alice", verifier.AccessNAS, device, viewedAs(first, true))
	wantView(t, s, "alice", verifier.AccessNAS, other, viewedAs(first, false))
	wantView(t, s, "alice", verifier.AccessIMS, device, verifier.Viewed{})
	wantView(t, s, "bob", verifier.AccessNAS, device, verifier.Viewed{})
	note(t, s, later)
	wantView(t, s, "alice", verifier.AccessNAS, device, viewedAs(later, true))
	ims, moved := view(2), view(3)
	ims.Access, moved.IMEI, moved.Since = verifier.AccessIMS, other, moved.At
	note(t, s, ims)
	note(t, s, moved)
	wantView(t, s, "alice", verifier.AccessIMS, device, viewedAs(ims, true))
	wantView(t, s, "alice", verifier.AccessNAS, device, viewedAs(moved, false))
	wantView(t, s, "alice", verifier.AccessNAS, other, viewedAs(moved, true))
	note(t, s, nil)
	wantView(t, s, "alice", verifier.AccessNAS, other, viewedAs(moved, true))
	wantNothing(t, s)
}

func testViewOfDecision(t *testing.T, s verifier.Store) {
	d := decision()
	d.View = view(0)
	commit(t, s, d)
	wantView(t, s, "alice", verifier.AccessNAS, device, viewedAs(d.View, true))
	replay, conflict := decision(), next(1)
	replay.Presentation.Token[0], replay.View = 9, view(1)
	conflict.Device.Holds[0].Was, conflict.View = verifier.Holder{}, view(2)
	for _, refused := range []verifier.Decision{replay, conflict} {
		commit(t, s, refused)
		wantView(t, s, "alice", verifier.AccessNAS, device, viewedAs(d.View, true))
	}
	damning := next(2)
	damning.Damning = true
	commit(t, s, damning)
	wantView(t, s, "alice", verifier.AccessNAS, device, viewedAs(d.View, true)) // it was shown all the same
}

func testViewEnds(t *testing.T, s verifier.Store) {
	ims, ended := view(0), view(1)
	ims.Access, ended.Access, ended.IMEI = verifier.AccessIMS, verifier.AccessIMS, imei.IMEI{}
	note(t, s, ended) // of what was not
	note(t, s, view(0))
	note(t, s, ims)
	note(t, s, ended)
	wantView(t, s, "alice", verifier.AccessIMS, device, verifier.Viewed{})
	wantView(t, s, "alice", verifier.AccessNAS, device, viewedAs(view(0), true))
	note(t, s, ims)
	wantView(t, s, "alice", verifier.AccessIMS, device, viewedAs(ims, true))
}

func testViewRace(t *testing.T, s verifier.Store) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 50 {
				note(t, s, view(i))
				got, err := s.Viewed(context.Background(), "alice", verifier.AccessNAS, device)
				if hours := got.At.Sub(attesttest.Now) / time.Hour; err != nil || !got.Same || hours < 0 || hours > 15 {
					t.Errorf("Viewed = %+v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	note(t, s, view(20))
	wantView(t, s, "alice", verifier.AccessNAS, device, viewedAs(view(20), true))
}
