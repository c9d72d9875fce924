package verifier_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/store"
)

// asking is a store that counts the questions it is asked, and can let something happen in the midst of one.
type asking struct {
	*store.Memory
	asked  atomic.Int64
	noted  atomic.Int64
	seen   atomic.Int64 // how often it was asked who attested
	amidst func()
}

func (s *asking) Holder(ctx context.Context, id imei.IMEI) (verifier.Holder, error) {
	s.asked.Add(1)
	return s.Memory.Holder(ctx, id)
}

func (s *asking) Seen(ctx context.Context, id imei.IMEI, subscriber string) ([]verifier.Seen, error) {
	s.seen.Add(1)
	seen, err := s.Memory.Seen(ctx, id, subscriber)
	if happen := s.amidst; happen != nil {
		s.amidst = nil
		happen()
	}
	return seen, err
}

func (s *asking) Note(ctx context.Context, n verifier.Note) error {
	s.noted.Add(1)
	return s.Memory.Note(ctx, n)
}

// rests is a verifier with an answer that stands, to what is asked by the function that it returns.
func rests(t testing.TB) (*lab, *asking, func() verifier.Verdict) {
	l, s := newLab(t), &asking{Memory: store.NewMemory()}
	l.restart(s)
	l.judge(l.token(credential(), revision("R1")), registering(id1, by("alice@example")))
	ask := func() verifier.Verdict {
		return l.decide(verifier.Input{Registration: registering(id1, by("alice@example"), again), Now: l.now})
	}
	if got := summary(ask().Result); got != resting {
		t.Fatalf("got %s, want %s", got, resting)
	}
	return l, s, ask
}

func TestAnAnswerIsToldAgainWhileItStands(t *testing.T) {
	l, s, ask := rests(t)
	first := ask()
	before := s.asked.Load()
	for _, after := range []time.Duration{0, time.Second, 4*time.Minute - 1} {
		l.now = first.IssuedAt.Add(after)
		if got := ask(); !reflect.DeepEqual(got, first) {
			t.Errorf("after %v:\n got %+v\nwant %+v", after, got, first)
		}
	}
	if asked, noted := s.asked.Load()-before, s.noted.Load(); asked != 0 || noted != 1 {
		t.Errorf("the store was asked %d times, and noted %d decisions", asked, noted)
	}
}

// TestAnswersThatStandNoLonger: what is asked once more is judged once more.
func TestAnswersThatStandNoLonger(t *testing.T) {
	trusts := func(edits ...func(*verifier.Anchor)) func(*lab) {
		return func(l *lab) {
			a := anchor()
			for _, edit := range edits {
				edit(a)
			}
			later := trusting(a)
			later.Generation++
			l.SetTrust(later)
		}
	}
	attests := func(shown *verifier.Registration, claims ...func(*attest.Claims)) func(*lab) {
		return func(l *lab) {
			l.now = l.now.Add(time.Second)
			l.judge(l.token(nil, claims...), shown)
		}
	}
	for _, c := range []struct {
		name string
		then func(*lab)
		want string
	}{
		{"its result is about to expire", func(l *lab) { l.now = l.now.Add(4 * time.Minute) }, resting},
		{"the clock was set back", func(l *lab) { l.now = l.now.Add(-1) }, resting},
		{"the trust was read again", trusts(), resting},
		{"the device was revoked", trusts(func(a *verifier.Anchor) { a.Revoked.DeviceKeys = map[attest.KeyID]bool{deviceKID: true} }), missing},
		{"its firmware was revoked", trusts(revokesFirmware("R1", "R1")), missing},
		{"the policy was exchanged", func(l *lab) { l.SetPolicy(verifier.ObservePolicy()) }, resting},
		{"the list was exchanged", func(l *lab) { l.SetList(listing(l.t)) }, resting},
		{"its IMEI was listed", func(l *lab) { l.SetList(listing(l.t, "grey,"+id1.Digits()+",,")) },
			strings.Replace(resting, "registration warning:", "registration warning: list-grey", 1)},
		{"the policy's ages became shorter", func(l *lab) {
			p := verifier.ObservePolicy()
			p.Ages.Prior = 0
			l.now = l.now.Add(1)
			l.SetPolicy(p)
		}, missing},
		{"the device attested for its subscriber", attests(registering(id1, by("alice@example"))), resting},
		{"the device attested for another one", attests(registering(id1, by("bob@example"))), missing + " duplicate-subscriber"},
		{"the device attested for nobody", attests(nil), resting},
		{"the device was convicted", attests(nil, modem(says(stranger))), missing},
		{"the device was convicted by itself", attests(registering(id1, by("alice@example")), modem(says(stranger))),
			"slot1 contraindicated: imei-tampered" + good + " | registration warning: subscriber-unbound client-unverified"},
		{"another board holds the IMEI", func(l *lab) { l.judge(newBoard("second", 9).token(l.mint()), nil) }, missing},
		{"another board holds it as its second", func(l *lab) { l.judge(newBoard("second", 9, slots(id2, id1)).token(l.mint()), nil) }, missing},
		{"the device was given another IMEI", func(l *lab) {
			l.judge(l.token(credential(slots(id2), func(c *attest.Credential) { c.Serial += 9 }), provisioned(id2), modem(says(id2))), registering(id2, by("bob@example")))
		}, missing},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, _, ask := rests(t)
			first := ask()
			c.then(l)
			got := ask()
			if text := summary(got.Result); text != c.want || got.ID == first.ID {
				t.Errorf("\n got %s, the same: %v\nwant %s", text, got.ID == first.ID, c.want)
			}
		})
	}
}

// TestQuestionsThatAreNotTheSame are judged by themselves, one after the other.
func TestQuestionsThatAreNotTheSame(t *testing.T) {
	l, _, ask := rests(t)
	told := map[verifier.DecisionID]string{ask().ID: "the first"}
	for _, c := range []struct {
		name string
		edit func(*verifier.Registration)
	}{
		{"an initial registration", func(r *verifier.Registration) { r.Initial = nil }},
		{"another binding", calling("another")},
		{"another subscriber", by("mallory@example")},
		{"nobody", by("")},
		{"another name of the subscriber", func(r *verifier.Registration) { r.IMPI, r.SUPI = "", "alice@example" }},
		{"another public identity", func(r *verifier.Registration) { r.IMPU = "sip:alice@example" }},
		{"another authentication", func(r *verifier.Registration) { r.Auth = "MD5" }},
		{"no security association", func(r *verifier.Registration) { r.IntegrityProtected = "no" }},
		{"another sender", func(r *verifier.Registration) { r.Sender = "sip:msc.example" }},
		{"another front", func(r *verifier.Registration) { r.Front = verifier.FrontHTTP }},
		{"the device's own word", fromDevice},
		{"another IMEI", func(r *verifier.Registration) { r.InstanceID = id2.URN() }},
		{"another form of the IMEI", func(r *verifier.Registration) { r.InstanceID, r.IMEI = "", id1.Digits() }},
		{"an emergency", emergency},
		{"a deregistration", func(r *verifier.Registration) { r.Expires = new(int) }},
	} {
		got := l.decide(verifier.Input{Registration: registering(id1, by("alice@example"), again, c.edit), Now: l.now})
		if other, same := told[got.ID]; same {
			t.Errorf("%s gets the answer of %s", c.name, other)
		}
		told[got.ID] = c.name
	}
	if got := ask(); told[got.ID] != "the first" && summary(got.Result) != resting {
		t.Errorf("asked again after all of them: %s", summary(got.Result))
	}
}

// TestEachPartOfAQuestionCounts, also one that is added some day, but for what only evidence could answer.
func TestEachPartOfAQuestionCounts(t *testing.T) {
	without := []string{"CSeq", "Challenge401", "ChallengeOutstanding", "Expires"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[verifier.Registration]()) {
		l, _, ask := rests(t)
		first := ask()
		shown := registering(id1, by("alice@example"), again)
		switch part := reflect.ValueOf(shown).Elem().FieldByIndex(field.Index); part.Kind() {
		case reflect.String:
			part.SetString(part.String() + "0")
		case reflect.Bool:
			part.SetBool(!part.Bool())
		case reflect.Uint32:
			part.SetUint(part.Uint() + 1)
		case reflect.Pointer:
			changed := reflect.New(part.Type().Elem())
			if part.IsNil() || part.Elem().IsZero() {
				changed.Elem().Set(nonzero(part.Type().Elem()))
			}
			part.Set(changed)
		default:
			t.Fatalf("%s: a kind that this test does not know", field.Name)
		}
		got := l.decide(verifier.Input{Registration: shown, Now: l.now})
		if same := got.ID == first.ID; same != slices.Contains(without, field.Name) {
			t.Errorf("with another %s the answer is the same: %v", field.Name, same)
		}
	}
}

func nonzero(kind reflect.Type) reflect.Value {
	if kind.Kind() == reflect.Bool {
		return reflect.ValueOf(true)
	}
	return reflect.ValueOf(3600).Convert(kind)
}

// TestPartsOfAQuestionAreToldApart: a text counts in its place, and ends where it ends.
func TestPartsOfAQuestionAreToldApart(t *testing.T) {
	l, _, _ := rests(t)
	told := make(map[verifier.DecisionID]string)
	for _, c := range []struct{ public, call string }{{"ab", "c"}, {"a", "bc"}, {"", "abc"}, {"c", "ab"}} {
		got := l.decide(verifier.Input{Now: l.now, Registration: registering(id1, by("alice@example"), again, func(r *verifier.Registration) { r.IMPU, r.CallID = c.public, c.call })})
		if other, same := told[got.ID]; same {
			t.Errorf("%v gets the answer of %s", c, other)
		}
		told[got.ID] = fmt.Sprint(c)
	}
}

// TestAnswersOfManyDevicesAreToldAsTheyWere: what they have in common is kept once, and nothing of one is told of another.
func TestAnswersOfManyDevicesAreToldAsTheyWere(t *testing.T) {
	l := newLab(t)
	random := rand.New(rand.NewChaCha8([32]byte{}))
	kinds := []attest.StorageKind{attest.StorageTPMDiscrete, attest.StorageTPMFirmware, attest.StorageSoftware}
	var questions []verifier.Input
	var want []verifier.Verdict
	for i := range 60 {
		ids := []imei.IMEI{numbered(2 * i), numbered(2*i + 1)}[:1+random.IntN(2)]
		device := newBoard(fmt.Sprintf("device %d", i), uint64(100+i), slots(ids...), func(c *attest.Credential) { c.Storage.Kind = kinds[random.IntN(len(kinds))] })
		observed := []attest.Observed{says(ids[0]), says(ids[len(ids)-1])}[:len(ids)]
		if random.IntN(3) == 0 {
			observed[0] = says(stranger)
		}
		subscriber := by(fmt.Sprintf("%d@example", i)) // who shows another IMEI is judged anew
		l.now = l.now.Add(time.Duration(random.Int64N(int64(time.Second))))
		l.judge(device.token(l.mint(), modem(observed...)), registering(ids[0], subscriber))
		in := verifier.Input{Registration: registering(ids[0], subscriber, again), Now: l.now}
		if got := l.decide(in); got.Freshness == attest.Prior {
			questions, want = append(questions, in), append(want, got)
		}
	}
	different := make(map[string]bool)
	for i, in := range questions {
		in.Now = l.now
		if got := l.decide(in); !reflect.DeepEqual(got, want[i]) {
			t.Errorf("\n got %+v\nwant %+v", got, want[i])
		}
		different[summary(want[i].Result)] = true
	}
	if len(questions) < 40 || len(different) < 5 {
		t.Errorf("only %d answers stand, of which %d are different", len(questions), len(different))
	}
}

// numbered is an IMEI of the first one's model.
func numbered(n int) imei.IMEI {
	id, err := imei.FromBody(fmt.Sprintf("%s%06d", id1.TAC(), n+1))
	if err != nil {
		panic(err)
	}
	return id
}

// TestTheSameQuestionInOtherWords: what only evidence could answer makes no difference.
func TestTheSameQuestionInOtherWords(t *testing.T) {
	l, _, ask := rests(t)
	want, hour := ask(), 3600
	got := l.decide(verifier.Input{Now: l.now, Registration: registering(id1, by("alice@example"), again, func(r *verifier.Registration) {
		r.CSeq, r.Challenge401, r.ChallengeOutstanding, r.Expires = 7, text401, true, &hour
	})})
	if got.ID != want.ID {
		t.Errorf("got %s, want %s told again", got.ID, want.ID)
	}
}

// TestAnswersThatRestOnNoEarlierResultDoNotStand: their reason may end at any moment, and anybody can make such questions up.
func TestAnswersThatRestOnNoEarlierResultDoNotStand(t *testing.T) {
	l, _, _ := rests(t)
	for _, shown := range []*verifier.Registration{registering(stranger, by("alice@example")), registering(id1, by("mallory@example")), registering(id1), {}} {
		in := verifier.Input{Registration: shown, Now: l.now}
		if first, second := l.decide(in), l.decide(in); first.ID == second.ID {
			t.Errorf("%s is told again", summary(first.Result))
		}
	}
}

// noon is how far into its day the device attests.
var noon = attesttest.Now.Sub(attesttest.Now.Truncate(24 * time.Hour))

// TestAnAnswerStandsNoLongerThanTheEarlierResult, nor than the day, of which each is noted by itself.
func TestAnAnswerStandsNoLongerThanTheEarlierResult(t *testing.T) {
	for _, c := range []struct {
		name  string
		asked time.Duration // after the device attested
		until time.Duration
		want  string
	}{
		{"the earlier result", 24*time.Hour - time.Minute, 24*time.Hour + 1, missing},
		{"the day", 24*time.Hour - noon - time.Minute, 24*time.Hour - noon, resting},
	} {
		l, s, ask := rests(t)
		begun := l.now
		l.now = begun.Add(c.asked)
		first := ask()
		l.now = begun.Add(c.until - 2)
		if got := ask(); got.ID != first.ID {
			t.Errorf("%s: before it ends it is not told again", c.name)
		}
		l.now = begun.Add(c.until)
		if got := ask(); got.ID == first.ID || summary(got.Result) != c.want {
			t.Errorf("%s: got %s, the same: %v", c.name, summary(got.Result), got.ID == first.ID)
		}
		days, err := s.Days(context.Background(), id1, l.now.Year(), l.now.Month())
		if want := uint32(1)<<(begun.Day()-1) | 1<<(l.now.Day()-1); err != nil || len(days) != 1 {
			t.Error(days, err)
		} else {
			for _, bits := range days {
				if bits != want {
					t.Errorf("%s: the days are %b, want %b", c.name, bits, want)
				}
			}
		}
	}
}

// TestAnswersThatAreToldAgainAreCounted by the breaker, and told to whoever counts decisions.
func TestAnswersThatAreToldAgainAreCounted(t *testing.T) {
	l, p, c := newLab(t), enforcing(t), new(tally)
	p.Counter = c
	decided := 0
	var err error
	l.Verifier, err = verifier.New(verifier.Config{Store: l.store, Nonces: l.nonces, Trust: trusting(anchor()), Policy: p, Decided: func(*verifier.Verdict) { decided++ }})
	if err != nil {
		t.Fatal(err)
	}
	l.judge(l.token(credential(), modem(says(stranger))), registering(id1, by("alice@example")))
	ask := func() verifier.Verdict {
		return l.decide(verifier.Input{Registration: registering(id1, by("alice@example"), again), Now: l.now})
	}
	first := ask()
	for range 2 {
		if got := ask(); got.ID != first.ID || got.Answer.Action != "deny" {
			t.Errorf("got %s %+v, want %s told again", got.ID, got.Answer, first.ID)
		}
	}
	if c.counted != 4 || c.denied != 4 || decided != 4 {
		t.Errorf("%d counted, %d of them denied, %d decided: want 4", c.counted, c.denied, decided)
	}
	c.open = true
	if got := ask(); got.Answer.Because != "breaker" || got.Answer.SIPCode != 200 {
		t.Errorf("with the breaker open: %+v", got.Answer)
	}
	c.open = false
	if got := ask(); got.Answer.Action != "deny" {
		t.Errorf("with the breaker closed again: %+v", got.Answer)
	}
}

// TestWhatAnExceptionLetInDoesNotStand: it ends by itself.
func TestWhatAnExceptionLetInDoesNotStand(t *testing.T) {
	l, p := newLab(t), enforcing(t)
	p.Exceptions = map[verifier.Pairing]verifier.Exception{{IMEI: id1, Subscriber: "alice@example"}: {Until: l.now.Add(time.Minute)}}
	l.SetPolicy(p)
	l.judge(l.token(credential(), modem(says(stranger))), registering(id1, by("alice@example")))
	for _, want := range []string{"warn", "deny"} {
		if got := l.answers(nil, registering(id1, by("alice@example"), again)); got.Action != want {
			t.Errorf("got %+v, want %s", got, want)
		}
		l.now = l.now.Add(time.Minute)
	}
}

// TestTheLatestDecisionIsThatOnTheLatestRegistration of a public identity, also where it was asked about before.
func TestTheLatestDecisionIsThatOnTheLatestRegistration(t *testing.T) {
	l, _, _ := rests(t)
	const alices = "sip:alice@example"
	identity := func(r *verifier.Registration) { r.IMPU = alices }
	for i, call := range []string{"first", "first", "second", "first"} {
		got := l.decide(verifier.Input{Registration: registering(id1, by("alice@example"), again, calling(call), identity), Now: l.now})
		latest, found, err := l.Latest(context.Background(), alices)
		if err != nil || !found || latest.Verdict.ID != got.ID {
			t.Errorf("question %d: the latest is not its decision: %v, %v", i+1, found, err)
		}
		l.now = l.now.Add(time.Second)
	}
}

// TestWhatIsDecidedMeanwhileCounts: a question read the store before the device was convicted, and is answered after.
func TestWhatIsDecidedMeanwhileCounts(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(*lab)
		want string
	}{
		{"a conviction", func(l *lab) { l.judge(l.token(nil, modem(says(stranger))), nil) }, missing},
		{"another holder", func(l *lab) { l.judge(newBoard("second", 9).token(l.mint()), nil) }, missing},
		{"another subscriber", func(l *lab) { l.judge(l.token(nil), registering(id1, by("bob@example"))) }, missing + " duplicate-subscriber"},
		{"another IMEI for its holder", func(l *lab) {
			l.judge(l.token(credential(slots(id2), func(c *attest.Credential) { c.Serial += 9 }), provisioned(id2), modem(says(id2))), nil)
		}, missing},
	} {
		l, s, ask := rests(t)
		l.now = l.now.Add(4 * time.Minute) // nothing stands
		s.amidst = func() { c.then(l) }
		if got := summary(ask().Result); got != resting {
			t.Errorf("%s: the question that came before: %s", c.name, got)
		}
		if got := summary(ask().Result); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// unsure is a store that records a decision and says that it failed.
type unsure struct{ *store.Memory }

func (s unsure) Commit(ctx context.Context, d verifier.Decision) (verifier.Commitment, error) {
	if _, err := s.Memory.Commit(ctx, d); err != nil {
		return verifier.Commitment{}, err
	}
	if d.Damning {
		return verifier.Commitment{}, errDown
	}
	return verifier.Commitment{}, nil
}

func TestADecisionThatMayBeRecordedEndsAnAnswer(t *testing.T) {
	l := newLab(t)
	l.restart(unsure{store.NewMemory()})
	l.judge(l.token(credential()), registering(id1, by("alice@example")))
	again := registering(id1, by("alice@example"), again)
	if got := l.judge(nil, again); got != resting {
		t.Fatal(got)
	}
	in := verifier.Input{Evidence: l.token(nil, modem(says(stranger))), Now: l.now}
	if _, err := l.Appraise(context.Background(), in); err == nil {
		t.Fatal("the store does not fail")
	}
	if got := l.judge(nil, again); got != missing {
		t.Errorf("got %s, want %s", got, missing)
	}
}

// TestManyAskWhileADeviceIsConvicted: nobody who asks after the conviction was told gets an answer of before.
func TestManyAskWhileADeviceIsConvicted(t *testing.T) {
	for range 20 {
		l := newLab(t)
		l.judge(l.token(credential()), registering(id1, by("alice@example")))
		in := verifier.Input{Registration: registering(id1, by("alice@example"), again), Now: l.now}
		convicting := verifier.Input{Evidence: l.token(nil, modem(says(stranger))), Now: l.now}
		var convicted atomic.Bool
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for after := 0; after < 10; {
					late := convicted.Load()
					v, err := l.Appraise(context.Background(), in)
					if err != nil {
						t.Error(err)
						return
					}
					if got := summary(v.Result); late && got != missing {
						t.Errorf("after the conviction: %s", got)
						return
					}
					if late {
						after++
					}
				}
			})
		}
		if _, err := l.Appraise(context.Background(), convicting); err != nil {
			t.Fatal(err)
		}
		convicted.Store(true)
		wg.Wait()
	}
}

// TestStandingAnswersAreBounded: who asks about ever more registrations ends the oldest answers, and no memory.
func TestStandingAnswersAreBounded(t *testing.T) {
	l, _, ask := rests(t)
	first := ask()
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		l.judge(nil, registering(id1, by("alice@example"), again, calling(id)))
	}
	if got := ask(); got.ID == first.ID {
		t.Error("more answers than four stand for an IMEI")
	}
	long := registering(id1, by("alice@example"), again, calling(string(make([]byte, 129))))
	in := verifier.Input{Registration: long, Now: l.now}
	if first, second := l.decide(in), l.decide(in); first.ID == second.ID {
		t.Error("a question is kept however long it is")
	}
}

// TestTheLatestIsTheLatest: a registration behind an S-CSCF that is the same as one before others is recorded, so that it is found as the latest.
func TestTheLatestIsTheLatest(t *testing.T) {
	l, _, _ := rests(t)
	behind := func(r *verifier.Registration) { r.Front, r.IMPU = verifier.FrontSIP, "sip:alice@example" }
	ask := func(edits ...func(*verifier.Registration)) verifier.Verdict {
		return l.decide(verifier.Input{Registration: registering(id1, append(edits, by("alice@example"), behind)...), Now: l.now})
	}
	for _, between := range []func(*verifier.Registration){func(r *verifier.Registration) { r.Expires = new(int) }, func(r *verifier.Registration) { r.InstanceID = stranger.URN() }} {
		ask()
		ask(between)
		got := ask()
		if r, found, err := l.Latest(context.Background(), "sip:alice@example"); err != nil || !found || r.Verdict.ID != got.ID {
			t.Errorf("the latest is %v (%s), want %s", r.Verdict.ID, summary(r.Verdict.Result), got.ID)
		}
	}
}

// TestAnswersStandUnderWhatIsInForce: after an exchange the same question is judged once more, and then told again.
func TestAnswersStandUnderWhatIsInForce(t *testing.T) {
	for name, exchange := range map[string]func(*lab){
		"policy": func(l *lab) { l.SetPolicy(verifier.ObservePolicy()) },
		"trust": func(l *lab) {
			later := trusting(anchor())
			later.Generation++
			l.SetTrust(later)
		},
	} {
		l, _, ask := rests(t)
		before := ask()
		exchange(l)
		if first, second := ask(), ask(); first.ID == before.ID || second.ID != first.ID {
			t.Errorf("the %s was exchanged: told %s before, then %s and %s", name, before.ID, first.ID, second.ID)
		}
	}
}
