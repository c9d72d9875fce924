package verifier_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// asksEIR asks as an EIR's front does.
func (s *scene) asksEIR(front verifier.Front, id imei.IMEI, who subscriber) verifier.Answer {
	r := &verifier.Registration{Front: front, PEI: "imei-" + id.Digits()}
	if who != "" {
		r.SUPI = "imsi-" + string(who)
	}
	s.present(nil, r)
	return s.last().Answer
}

// What an EIR answers, on both fronts.
const (
	permits   = "WHITELISTED 0"
	tracks    = "GREYLISTED 2"
	prohibits = "BLACKLISTED 1"
	knowsNot  = "ERROR_EQUIPMENT_UNKNOWN 5422"
)

func eirText(a verifier.Answer) string { return fmt.Sprint(a.EIRStatus, " ", a.S13Status) }

// TestListsAtTheEIR: what the operator's list makes of what the fronts answer. A phone of alice's has attested well.
func TestListsAtTheEIR(t *testing.T) {
	const warned, denied, observed = verifier.ActionWarn, verifier.ActionDeny, verifier.ActionObserve
	for _, c := range []struct {
		name, colour string
		unknown      verifier.Action
		id           imei.IMEI
		who          subscriber
		want         string
	}{
		{"an unknown phone, not listed", "", warned, stranger, bob, knowsNot},
		{"an unknown phone, white", "white", warned, stranger, bob, permits},
		{"an unknown phone, white, without a subscriber", "white", warned, stranger, "", tracks},
		{"an unknown phone, grey", "grey", warned, stranger, bob, tracks},
		{"an unknown phone, black", "black", warned, stranger, bob, prohibits},
		{"an unknown phone, black, without a subscriber", "black", warned, stranger, "", prohibits},
		{"an unknown phone, where those are refused", "", denied, stranger, bob, knowsNot},
		{"a white one, where those are refused", "white", denied, stranger, bob, permits},
		{"a white one, where those are observed", "white", observed, stranger, bob, tracks},
		{"a good phone, not listed", "", warned, id1, alice, tracks}, // an earlier result, and an initial registration
		{"a good phone, white", "white", warned, id1, alice, tracks},
		{"a good phone, white, without a subscriber", "white", warned, id1, "", tracks},
		{"a good phone, black", "black", warned, id1, alice, prohibits},
		{"a clone of it, white", "white", warned, id1, thief, tracks},
		{"a clone of it, black", "black", warned, id1, thief, prohibits},
	} {
		for _, front := range []verifier.Front{verifier.Front5GEIR, verifier.FrontS13} {
			t.Run(string(front)+" "+c.name, func(t *testing.T) {
				p := enforcing(t)
				p.Actions[attest.ReasonNotEndorsed] = c.unknown
				s := newScene(t, p)
				s.phone().registers(alice)
				if c.colour != "" {
					s.lists(c.colour + "," + c.id.Digits() + ",,")
				}
				if got := eirText(s.asksEIR(front, c.id, c.who)); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		}
	}
}

// TestWhatWhiteDoesNotLift: whatever else is found counts as without the list.
func TestWhatWhiteDoesNotLift(t *testing.T) {
	s := newScene(t, enforcing(t))
	s.lists("white,"+string(id1.TAC())+",,", "white,"+string(stranger.TAC())+",,")
	p := s.phone()
	if p.tells(says(stranger)).registers(alice); s.last().Answer.SIPCode != 403 {
		t.Errorf("a reprogrammed phone: %+v", s.last().Answer)
	}
	if got := eirText(s.asksEIR(verifier.Front5GEIR, id1, bob)); got != tracks {
		t.Errorf("its IMEI without evidence: %s", got)
	}
	s.present(nil, &verifier.Registration{Front: verifier.Front5GEIR, PEI: "imei-" + stranger.Digits(), IMEI: id1.Body(), SUPI: "imsi-" + string(bob)})
	if got := eirText(s.last().Answer); got != tracks {
		t.Errorf("two IMEIs: %s", got)
	}
}

// TestABlackPairingIsFound by each name of the subscriber, however it is written.
func TestABlackPairingIsFound(t *testing.T) {
	const named, other = "001010000000038", "001010000000017@ims.mnc001.mcc001.3gppnetwork.org"
	for _, r := range []verifier.Registration{
		{SUPI: "imsi-" + named},
		{SUPI: "imsi-" + named, IMPI: other},
		{IMPI: named + "@ims.mnc001.mcc001.3gppnetwork.org"},
		{IMPI: named + "@IMS.mnc001.mcc001.3GPPnetwork.org"},
	} {
		s := newScene(t, enforcing(t))
		s.lists("white,"+stranger.Digits()+",,", "black,"+stranger.Digits()+","+named+",")
		r.Front, r.PEI = verifier.FrontHTTP, "imei-"+stranger.Digits()
		s.present(nil, &r)
		if got := s.last().Answer; got.SIPCode != 403 {
			t.Errorf("%+v: %+v", r, got)
		}
	}
}

// TestABlackPEIBesideAnInstanceIDCounts: the access network saw it, whatever the client shows and attests. White or grey does not.
func TestABlackPEIBesideAnInstanceIDCounts(t *testing.T) {
	for colour, want := range map[string]int{"black": 403, "grey": 200, "white": 200} {
		s := newScene(t, enforcing(t))
		s.lists(colour + "," + stranger.Digits() + ",,")
		s.phone().registers(alice, func(r *verifier.Registration) { r.PEI = "imei-" + stranger.Digits() })
		if a := s.last(); a.Answer.SIPCode != want || a.Status() == attest.StatusAffirming {
			t.Errorf("%s: %s", colour, summary(a.Result))
		}
	}
}

// TestBlackIsExplained with the operator's own word, and from the record alone.
func TestBlackIsExplained(t *testing.T) {
	s := newScene(t, enforcing(t))
	s.lists("black," + id1.Digits() + ",,\"stolen, case 4711\"")
	s.phone().registers(alice)
	s.lists()
	record, _, err := s.Record(context.Background(), s.last().ID)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := record.Explain(&text); err != nil {
		t.Fatal(err)
	}
	const want = `the operator's list has it as black, by its IMEI: "stolen, case 4711"; shown IMEI ` // and which
	if !strings.Contains(text.String(), want) || !strings.Contains(text.String(), "list-black\n    The operator's list has the IMEI as black") {
		t.Errorf("no %q in\n%s", want, &text)
	}
	if err := record.Replay(); err != nil {
		t.Error(err)
	}
	record.Facts.Listed = verifier.Listed{}
	if err := record.Replay(); err == nil {
		t.Error("without the entry, the decision comes out the same")
	}
}

// TestAnEntryEndsWithTheList: it is of a registration, and stains no device.
func TestAnEntryEndsWithTheList(t *testing.T) {
	s := newScene(t, enforcing(t))
	p := s.phone()
	s.lists("black," + id1.Digits() + ",,")
	p.registers(alice)
	if a := s.last(); a.Answer.SIPCode != 403 || a.Status() != attest.StatusContraindicated {
		t.Errorf("listed: %s", summary(a.Result))
	}
	p.reregisters(alice)
	if a := s.last(); a.Answer.SIPCode != 403 {
		t.Errorf("listed, once more: %s", summary(a.Result))
	}
	s.lists("grey," + next(id1) + ",,")
	p.reregisters(alice)
	if a := s.last(); a.Status() != attest.StatusAffirming {
		t.Errorf("listed no more: %s", summary(a.Result))
	}
}

// TestWhatGoesBeforeAList: emergencies, and exceptions of the policy.
func TestWhatGoesBeforeAList(t *testing.T) {
	s := newScene(t, enforcing(t))
	s.lists("black," + id1.Digits() + ",,")
	p := s.phone()
	if p.registers(alice, emergency); s.last().Answer.SIPCode != 200 || has(s.last(), attest.ReasonListBlack) {
		t.Errorf("an emergency: %s", summary(s.last().Result))
	}
	s.rules(func(p *verifier.Policy) {
		p.Exceptions = map[verifier.Pairing]verifier.Exception{{IMEI: id1, Subscriber: string(alice)}: {Until: s.now.Add(time.Hour)}}
	})
	if p.registers(alice); s.last().Answer.Action != "warn" || !has(s.last(), attest.ReasonListBlack) {
		t.Errorf("an exception: %+v", s.last().Answer)
	}
	if p.registers(bob); s.last().Answer.Action != "deny" {
		t.Errorf("without one: %+v", s.last().Answer)
	}
}

// TestListWithoutTheStore: what is black is refused, too, while nothing else is known; white is worth nothing then.
func TestListWithoutTheStore(t *testing.T) {
	s := newScene(t, enforcing(t))
	s.lists("black,"+id1.Digits()+",,", "white,"+id2.Digits()+",,")
	s.storeFails(func() {
		s.phone().registers(alice)
		if a := s.last(); a.Answer.SIPCode != 403 || a.Answer.Label != "contraindicated:list-black" {
			t.Errorf("black: %+v", a.Answer)
		}
		s.phone(slots(id2)).registers(alice)
		if a := s.last(); eirText(a.Answer) != tracks || has(a, attest.ReasonListWhite) {
			t.Errorf("white: %+v", a.Answer)
		}
	})
}

// TestEachNameOfASubscriber is looked up; the pairing counts before the IMEI.
func TestEachNameOfASubscriber(t *testing.T) {
	s := newScene(t, enforcing(t))
	s.lists("black,"+stranger.Digits()+",,", "white,"+stranger.Digits()+",bob@example.com,", "white,"+stranger.Digits()+","+string(alice)+",")
	for _, c := range []struct {
		impi, supi string
		want       attest.Reason
	}{
		{"", "imsi-" + string(alice), attest.ReasonListWhite},
		{alice.impi(), "", attest.ReasonListWhite},
		{"bob@example.com", "", attest.ReasonListWhite},
		{"bob@example.com", "imsi-" + string(bob), attest.ReasonListWhite},
		{"", "imsi-" + string(bob), attest.ReasonListBlack},
		{"", "", attest.ReasonListBlack},
	} {
		s.present(nil, &verifier.Registration{PEI: "imei-" + stranger.Digits(), IMPI: c.impi, SUPI: c.supi})
		if !has(s.last(), c.want) {
			t.Errorf("%q, %q: %s", c.impi, c.supi, summary(s.last().Result))
		}
	}
}

func has(v verifier.Verdict, r attest.Reason) bool { return slices.Contains(v.Reasons(), r) }
