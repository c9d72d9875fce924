package verifier_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
)

// tpm is as much of a TPM as proofs tell of: what becomes of the counter and the clock.
type tpm struct {
	attest.CounterProof
	credential attest.Credential
}

func newTPM(edits ...func(*attest.Credential)) *tpm {
	return &tpm{attesttest.Proof(), endorsed(append([]func(*attest.Credential){unprotected}, edits...)...)}
}

// token raises the counter and answers a nonce; the clock runs a second.
func (t *tpm) token(n attest.Nonce) []byte {
	t.Counter++
	t.Clock += 1000
	return t.same(n)
}

// same answers a nonce and leaves the counter.
func (t *tpm) same(n attest.Nonce) []byte {
	c := attesttest.Claims()
	c.Nonce = n
	return attesttest.ProvedToken(c, t.credential, t.CounterProof, attesttest.SignedCredential(t.credential))
}

// plain is a token of profile A.
func (t *tpm) plain(n attest.Nonce) []byte {
	return answering(n, attesttest.SignedCredential(t.credential))
}

func (t *tpm) copy() *tpm { twin := *t; return &twin }

func (t *tpm) reset() *tpm { t.ResetCount++; return t }

// clear is TPM2_Clear: resets and clock begin anew; the platform's counter stays (TPM 2.0 Part 3 section 24.6).
func (t *tpm) clear() *tpm { t.ResetCount, t.RestartCount, t.Clock = 0, 0, 0; return t }

func (t *tpm) count(n uint64) *tpm { t.Counter = n; return t }

func owners(c *attest.Credential) { c.Storage.NV = attest.NVOwner }

const (
	regressed = "slot1 contraindicated: imei-consistent" + good + " state-regressed"
	cleared   = "slot1 affirming: imei-consistent" + good + " tpm-cleared"
	unknown   = "slot1 warning: imei-consistent" + good + " rollback-unknown"
)

// states is step 7: what a later token is, after one of profile B was affirmed. A token is made of a nonce that is minted
// after that, unless the test does it itself.
var states = []struct {
	name  string
	first *tpm
	then  func(l *lab, t *tpm) []byte
	want  string
}{
	{"a counter that rises is affirmed", newTPM(), func(l *lab, t *tpm) []byte { return t.token(l.mint()) }, affirmed},
	{"a counter that skips is affirmed", newTPM(), func(l *lab, t *tpm) []byte { return t.count(1 << 40).token(l.mint()) }, affirmed},
	{"the largest counter is affirmed", newTPM(), func(l *lab, t *tpm) []byte { return t.count(1<<64 - 2).token(l.mint()) }, affirmed},
	{"a counter that stays is regressed", newTPM(), func(l *lab, t *tpm) []byte { t.Clock += 1000; return t.same(l.mint()) }, regressed},
	{"a counter that stays is regressed, at the same clock too", newTPM(), func(l *lab, t *tpm) []byte { return t.same(l.mint()) }, regressed},
	{"a counter that stays over a reset is regressed", newTPM(), func(l *lab, t *tpm) []byte { return t.reset().same(l.mint()) }, regressed},
	{"a counter that falls is regressed", newTPM(), func(l *lab, t *tpm) []byte { return t.count(1).token(l.mint()) }, regressed},
	{"an older copy of the state is regressed", newTPM(), func(l *lab, t *tpm) []byte { t.Clock -= 50_000; return t.count(290).token(l.mint()) }, regressed},
	{"an older copy of the state that was reset is regressed", newTPM(),
		func(l *lab, t *tpm) []byte { return t.reset().count(290).token(l.mint()) }, regressed},
	{"a reset is affirmed, with a clock that stepped back", newTPM(),
		func(l *lab, t *tpm) []byte { t.reset().Clock -= 50_000; return t.token(l.mint()) }, affirmed},
	{"a cleared TPM is told and affirmed", newTPM(), func(l *lab, t *tpm) []byte { return t.clear().token(l.mint()) }, cleared},
	{"a cleared TPM that was reset since is told and affirmed", newTPM(), func(l *lab, t *tpm) []byte { return t.clear().reset().token(l.mint()) }, cleared},
	{"a cleared TPM may have counted fast since a challenge was opened before the last proof", newTPM(),
		func(l *lab, t *tpm) []byte { t.clear().Clock = 450_000 - 1000; return t.token(l.mint()) }, cleared},
	{"a TPM that counted longer was not cleared since", newTPM(),
		func(l *lab, t *tpm) []byte { t.clear().Clock = 450_001 - 1000; return t.token(l.mint()) },
		"slot1 warning: imei-consistent" + good + " tpm-cleared rollback-unknown"},
	{"a cleared TPM whose platform counter fell is regressed", newTPM(), func(l *lab, t *tpm) []byte { return t.clear().count(1).token(l.mint()) }, regressed},
	{"an owner's counter that TPM2_Clear deleted is no clone's", newTPM(owners), func(l *lab, t *tpm) []byte { return t.clear().count(1).token(l.mint()) },
		"slot1 warning: imei-consistent" + good + " tpm-cleared rollback-unknown"},
	{"an owner's counter that TPM2_Clear deleted is no clone's, after as many resets as before", newTPM(owners),
		func(l *lab, t *tpm) []byte {
			resets := t.ResetCount
			t.clear().count(1).ResetCount = resets
			return t.token(l.mint())
		}, "slot1 warning: imei-consistent" + good + " tpm-cleared rollback-unknown"},
	{"an older copy whose counter was raised is not affirmed", newTPM(), func(l *lab, t *tpm) []byte {
		t.Clock -= 50_000
		t.ResetCount--
		return t.count(5000).token(l.mint())
	}, "slot1 warning: imei-consistent" + good + " tpm-cleared rollback-unknown"},
	{"an owner's counter that rises over TPM2_Clear is affirmed", newTPM(owners), func(l *lab, t *tpm) []byte { return t.clear().token(l.mint()) }, cleared},
	{"an owner's counter that falls without TPM2_Clear is regressed", newTPM(owners), func(l *lab, t *tpm) []byte { return t.count(1).token(l.mint()) }, regressed},
	{"profile A rests on a proof of 24 hours ago", newTPM(), func(l *lab, t *tpm) []byte {
		l.now = l.now.Add(24*time.Hour - time.Minute)
		return t.plain(l.mint())
	}, affirmed},
	{"profile A does not rest on an older proof", newTPM(), func(l *lab, t *tpm) []byte {
		l.now = l.now.Add(24*time.Hour - time.Minute + time.Second)
		return t.plain(l.mint())
	}, unknown},
	{"a proof of another kind is none, and in time that is told", newTPM(), func(l *lab, t *tpm) []byte {
		l.now = l.now.Add(24*time.Hour - time.Minute + time.Second)
		return withProof(t, l.mint(), []byte{0x82, 2, 0xA0})
	}, unknown},
	{"a proof that is malformed is unexpected", newTPM(), func(l *lab, t *tpm) []byte { return withProof(t, l.mint(), []byte{0x81, 1}) }, unexpected},
	{"a proof by another key is a forgery", newTPM(), func(l *lab, t *tpm) []byte {
		return withProver(t, l.mint(), attesttest.Prove(mallory, t.credential, t.CounterProof))
	}, signatureInvalid},
	{"a proof for other claims is a forgery", newTPM(), func(l *lab, t *tpm) []byte {
		return withProver(t, l.mint(), func([32]byte) ([]byte, error) {
			return attesttest.Prove(attesttest.DeviceKey, t.credential, t.CounterProof)([32]byte{1})
		})
	}, signatureInvalid},
	{"a proof over the other variant's counter is a forgery", newTPM(), func(l *lab, t *tpm) []byte {
		other := t.credential
		other.Storage.NV = attest.NVOwner
		return withProver(t, l.mint(), attesttest.Prove(attesttest.DeviceKey, other, t.CounterProof))
	}, signatureInvalid},
}

// withProof is a token with any bytes as its proof.
func withProof(t *tpm, n attest.Nonce, proof []byte) []byte {
	return withProver(t, n, func([32]byte) ([]byte, error) { return proof, nil })
}

func withProver(t *tpm, n attest.Nonce, prove func([32]byte) ([]byte, error)) []byte {
	c := attesttest.Claims()
	c.Nonce = n
	raw, err := attest.SignEvidence(nil, c, attesttest.Signer(attesttest.DeviceKey), deviceKID,
		attest.Enclosure{Credential: attesttest.SignedCredential(t.credential), Prove: prove})
	if err != nil {
		panic(err)
	}
	return raw
}

func TestState(t *testing.T) {
	for _, c := range states {
		t.Run(c.name, func(t *testing.T) {
			l, device := newLab(t), c.first.copy()
			if got := l.judge(device.token(l.mint()), nil); got != affirmed {
				t.Fatalf("first contact: got %s, want %s", got, affirmed)
			}
			l.now = l.now.Add(time.Minute)
			before := l.state()
			if got := l.judge(c.then(l, device), nil); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			if rises := c.want == affirmed && device.Counter > before.State.Counter || strings.Contains(c.want, "tpm-cleared"); !rises && l.state().State != before.State {
				t.Errorf("the state that is kept became %+v, was %+v", l.state().State, before.State)
			} else if rises && l.state().State.Counter != device.Counter {
				t.Errorf("the state that is kept is %+v, want the one with counter %d", l.state().State, device.Counter)
			}
		})
	}
}

// TestFirstContactInProfileA: only a manufacturer's word stands in for a proof.
func TestFirstContactInProfileA(t *testing.T) {
	for want, raw := range map[string][]byte{unknown: credential(unprotected), affirmed: credential()} {
		l := newLab(t)
		if got := l.judge(l.token(raw), nil); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestAProofIsJudgedWhereTheManufacturerSaysProtected all the same.
func TestAProofIsJudgedWhereTheManufacturerSaysProtected(t *testing.T) {
	l, device := newLab(t), newTPM(func(c *attest.Credential) { c.Storage.RollbackProtected = true })
	l.judge(device.token(l.mint()), nil)
	if got := l.judge(device.count(1).token(l.mint()), nil); got != regressed {
		t.Errorf("got %s, want %s", got, regressed)
	}
}

// TestAMalformedProofIsNoBetterThanNone for a registration of a device that can attest.
func TestAMalformedProofIsNoBetterThanNone(t *testing.T) {
	l, device := newLab(t), newTPM()
	l.judge(device.token(l.mint()), nil)
	const want = unexpected + " | registration warning: evidence-missing"
	if got := l.judge(withProof(device, l.mint(), []byte{0x81, 1}), registering(id1)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAnotherNodesClock that is behind does not make what was seen older.
func TestAnotherNodesClock(t *testing.T) {
	l, device := newLab(t), newTPM()
	first, second := device.token(l.mint()), device.token(l.mint())
	l.now = l.now.Add(time.Minute)
	l.judge(first, nil)
	seen := l.state().State.Seen
	l.now = l.now.Add(-30 * time.Second)
	l.judge(second, nil)
	if got := l.state().State; got.Counter != device.Counter || !got.Seen.Equal(seen) {
		t.Errorf("kept %+v, want counter %d, seen at %v", got, device.Counter, seen)
	}
}

// TestAConflictChangesNoAnswer: what was found before it does not stay.
func TestAConflictChangesNoAnswer(t *testing.T) {
	l, device := newLab(t), newTPM()
	once := &conflicting{Store: l.store, times: 3}
	l.restart(once)
	n := attest.NonceFrom401(text401)
	if got := l.judge(device.token(n), challenged("AKAv1-MD5")); got != bound || once.times != 0 {
		t.Errorf("got %s, want %s; %d conflicts left", got, bound, once.times)
	}
}

// conflicting reports a conflict some times.
type conflicting struct {
	verifier.Store
	times int
}

func (s *conflicting) Commit(ctx context.Context, d verifier.Decision) (verifier.Commitment, error) {
	if s.times > 0 {
		s.times--
		return verifier.Commitment{Conflict: true}, nil
	}
	return s.Store.Commit(ctx, d)
}

func TestARetryIsNoRegression(t *testing.T) {
	l, device := newLab(t), newTPM()
	first := device.token(l.mint())
	for _, token := range [][]byte{first, first, device.token(l.mint()), first} {
		if got := l.judge(token, nil); got != affirmed {
			t.Errorf("got %s, want %s", got, affirmed)
		}
	}
}

// TestTokensMayArriveInAnotherOrder than they were signed in, as long as both nonces were open.
func TestTokensMayArriveInAnotherOrder(t *testing.T) {
	for name, between := range map[string]func(*tpm){
		"nothing": func(*tpm) {}, "a reset": func(t *tpm) { t.reset() }, "TPM2_Clear": func(t *tpm) { t.clear() },
	} {
		l, device := newLab(t), newTPM()
		earlier := device.token(l.mint())
		l.now = l.now.Add(time.Minute)
		between(device)
		later := device.token(l.mint())
		if got := l.judge(later, nil); got != affirmed {
			t.Errorf("%s between: the later token got %s", name, got)
		}
		kept := l.state()
		if got := l.judge(earlier, nil); got != affirmed {
			t.Errorf("%s between: the earlier token, later, got %s, want %s", name, got, affirmed)
		}
		if got := l.state(); !reflect.DeepEqual(got, kept) {
			t.Errorf("%s between: the earlier token changed the state to %+v", name, got.State)
		}
	}
}

// TestACopyThatAnswersAnOpenNonce counts less at a later time: no TPM does that.
func TestACopyThatAnswersAnOpenNonce(t *testing.T) {
	l, device := newLab(t), newTPM()
	twin, open := device.copy(), l.mint()
	device.count(400)
	l.judge(device.token(l.mint()), nil)
	l.now = l.now.Add(time.Minute)
	twin.Clock += 60_000
	if got := l.judge(twin.token(open), nil); got != regressed {
		t.Errorf("got %s, want %s", got, regressed)
	}
}

// TestNoncesOfOthersTellNoTimeOrLittle: when the caller's own was chosen is not known; a registrar's challenge is not older
// than four minutes.
func TestNoncesOfOthersTellNoTimeOrLittle(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  func(l *lab, device *tpm) string
		wait time.Duration
		want string
	}{
		{"an exact nonce may be of any time", exact, 24 * time.Hour, affirmed},
		{"a challenge may have been open", fromChallenge, 3 * time.Minute, bound},
		{"a challenge was not open before four minutes", fromChallenge, 5 * time.Minute, strings.Replace(bound, affirmed, regressed, 1)},
	} {
		l, device := newLab(t), newTPM()
		older := device.copy()
		device.count(310)
		l.judge(device.token(l.mint()), nil)
		l.now = l.now.Add(c.wait)
		if got := c.ask(l, older); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func exact(l *lab, device *tpm) string {
	n := attesttest.Nonce()
	return summary(l.ask(verifier.Input{Evidence: device.token(n), Nonce: verifier.Expectation{Exact: n}, Now: l.now}))
}

func fromChallenge(l *lab, device *tpm) string {
	return l.judge(device.token(attest.NonceFrom401(text401)), challenged("AKAv1-MD5"))
}

// TestAnOfflineTokenMayBeJudgedAgain after its nonce is forgotten.
func TestAnOfflineTokenMayBeJudgedAgain(t *testing.T) {
	l, device, n := newLab(t), newTPM(), attesttest.Nonce()
	token := device.token(n)
	for range 2 {
		l.restart(forgetful{l.store})
		if got := summary(l.ask(verifier.Input{Evidence: token, Nonce: verifier.Expectation{Exact: n}, Now: l.now})); got != affirmed {
			t.Errorf("got %s, want %s", got, affirmed)
		}
		l.now = l.now.Add(48 * time.Hour)
	}
}

// forgetful takes each nonce for unused.
type forgetful struct{ verifier.Store }

func (s forgetful) Commit(ctx context.Context, d verifier.Decision) (verifier.Commitment, error) {
	d.Presentation.Nonce = fmt.Append(nil, d.Now)
	return s.Store.Commit(ctx, d)
}

// TestAForgedProofChangesNothing: a spoiled proof beside a good token refuses that request; the device's row and the nonce
// stay, so that the good token is still good.
func TestAForgedProofChangesNothing(t *testing.T) {
	l, device := newLab(t), newTPM()
	l.judge(device.token(l.mint()), registering(id1, by("alice@example")))
	want := l.state()
	token := device.token(l.mint())
	proof, err := attest.DecodeEvidence(token)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(token, proof.TPMProof)
	random, spoiled := rand.New(rand.NewPCG(3, 4)), 0
	for range 3000 {
		m := append(append(bytes.Clone(token[:at]), mutateInPlace(random, proof.TPMProof)...), token[at+len(proof.TPMProof):]...)
		e, err := attest.DecodeEvidence(m)
		if err == nil {
			if _, err := attest.DecodeCounterProof(e.TPMProof); attest.ClassOf(err) == attest.ClassProfile || bytes.Equal(m, token) || isNegated(e.TPMProof, proof.TPMProof) {
				continue // of another kind, which counts for none
			}
		}
		spoiled++
		result := l.appraise(m, nil)
		if s := result.Status(); s == attest.StatusAffirming || s == attest.StatusWarning {
			t.Fatalf("%s: %x", summary(result), m)
		}
	}
	if spoiled < 2000 {
		t.Errorf("only %d proofs were spoiled", spoiled)
	}
	if got := l.state(); !reflect.DeepEqual(got, want) {
		t.Errorf("what is kept is\n%+v, want\n%+v", got, want)
	}
	if got := l.judge(token, nil); got != affirmed {
		t.Errorf("after all forgeries the honest token got %s, want %s", got, affirmed)
	}
}

// mutateInPlace flips bits.
func mutateInPlace(random *rand.Rand, b []byte) []byte {
	m := bytes.Clone(b)
	for range 1 + random.IntN(3) {
		m[random.IntN(len(m))] ^= 1 << random.IntN(8)
	}
	return m
}

// isNegated: with (r, s) a signature (r, n - s) verifies too.
func isNegated(a, b []byte) bool {
	half := len(b) - 32
	return len(a) == len(b) && bytes.Equal(a[:half], b[:half]) && bytes.Equal(a[half:], negated(b[half:]))
}

// TestHonestTokensInAnyOrder: whatever becomes of a device, and in whatever order its answers to open nonces arrive, it is
// not convicted.
func TestHonestTokensInAnyOrder(t *testing.T) {
	runs := 300
	if testing.Short() {
		runs = 40
	}
	for seed := range runs {
		random := rand.New(rand.NewPCG(uint64(seed), 5))
		l, device := newLab(t), newTPM()
		var story strings.Builder
		var open []attest.Nonce
		var signed [][]byte
		for range 40 {
			passed := time.Duration(random.IntN(3000)) * time.Millisecond
			l.now = l.now.Add(passed)
			device.Clock += uint64(passed.Milliseconds())
			event := random.IntN(10)
			fmt.Fprintf(&story, "%d ", event)
			switch {
			case event < 4:
				open = append(open, l.mint())
			case event < 6 && len(open) > 0:
				i := random.IntN(len(open))
				device.Counter += uint64(1 + random.IntN(3))
				signed = append(signed, device.same(open[i]))
				open = append(open[:i], open[i+1:]...)
			case event < 8 && len(signed) > 0:
				i := random.IntN(len(signed))
				result := l.appraise(signed[i], nil)
				if result.Status() == attest.StatusContraindicated {
					t.Fatalf("seed %d, %s: %s", seed, &story, summary(result))
				}
				if random.IntN(3) > 0 { // otherwise it is sent once more
					signed = append(signed[:i], signed[i+1:]...)
				}
			case event == 8:
				device.reset()
				device.Clock -= min(device.Clock, 200) // a power failure
				device.Counter += 255 - device.Counter%256
			case event == 9 && random.IntN(3) == 0:
				device.clear()
			}
		}
	}
}

// TestACloneIsCaughtWithinTwoTokens: two engines go on from one state, whatever each does with its clock; nonces are minted
// one after the other.
func TestACloneIsCaughtWithinTwoTokens(t *testing.T) {
	for seed := range 100 {
		random := rand.New(rand.NewPCG(uint64(seed), 6))
		l, device := newLab(t), newTPM()
		l.judge(device.token(l.mint()), nil)
		twin := device.copy()
		for _, engine := range []*tpm{device, twin} {
			engine.Clock += uint64(random.IntN(1 << 30))
			engine.ResetCount += uint32(random.IntN(3))
		}
		ask := func(engine *tpm) string { // nonces tell whole seconds
			l.now = l.now.Add(time.Duration(1+random.IntN(3600)) * time.Second)
			return l.judge(engine.token(l.mint()), nil)
		}
		for range random.IntN(4) {
			if got := ask(device); got != affirmed {
				t.Fatalf("seed %d: the original alone got %s", seed, got)
			}
		}
		first, second := ask(device), ask(twin)
		if first != affirmed || second != regressed {
			t.Errorf("seed %d: the original got %s, the copy after it %s", seed, first, second)
		}
	}
}

// TestTwoProofsOfOneCounterAtOnce: one of them passes, whatever the order.
func TestTwoProofsOfOneCounterAtOnce(t *testing.T) {
	const engines = 16
	l, device := newLab(t), newTPM()
	l.judge(device.token(l.mint()), nil)
	var tokens [][]byte
	for range engines {
		tokens = append(tokens, device.copy().token(l.mint()))
	}
	if n := l.judgeAtOnce(tokens)[affirmed]; n != 1 {
		t.Errorf("%d of %d copies with the same counter are affirmed, want 1", n, engines)
	}
}

// TestHonestTokensAtOnce are all affirmed.
func TestHonestTokensAtOnce(t *testing.T) {
	l, device := newLab(t), newTPM()
	var tokens [][]byte
	for range 32 {
		tokens = append(tokens, device.token(l.mint()))
	}
	if n := l.judgeAtOnce(tokens)[affirmed]; n != len(tokens) {
		t.Errorf("%d of %d are affirmed", n, len(tokens))
	}
	if got := l.state().State.Counter; got != device.Counter {
		t.Errorf("the counter that is kept is %d, want %d", got, device.Counter)
	}
}

// judgeAtOnce counts the judgements.
func (l *lab) judgeAtOnce(tokens [][]byte) map[string]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	counts := make(map[string]int)
	for _, token := range tokens {
		wg.Go(func() {
			result, err := l.Appraise(context.Background(), verifier.Input{Evidence: token, Now: l.now})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				l.t.Error(err)
			}
			counts[summary(result.Result)]++
		})
	}
	wg.Wait()
	return counts
}

// TestAStoreThatAlwaysConflictsGivesNoJudgement, and an end.
func TestAStoreThatAlwaysConflictsGivesNoJudgement(t *testing.T) {
	l := newLab(t)
	l.restart(contrary{l.store})
	if result, err := l.Appraise(context.Background(), verifier.Input{Evidence: l.token(credential()), Now: l.now}); err == nil {
		t.Errorf("got %s, want an error", summary(result.Result))
	}
}

type contrary struct{ verifier.Store }

func (contrary) Commit(context.Context, verifier.Decision) (verifier.Commitment, error) {
	return verifier.Commitment{Conflict: true}, nil
}

// TestACopyOfATPMThatHasJustStarted is none that was cleared, though nonces tell no parts of a second.
func TestACopyOfATPMThatHasJustStarted(t *testing.T) {
	l, device := newLab(t), newTPM()
	proving := func(of *tpm, counter, clock uint64) string {
		l.now = l.now.Add(200 * time.Millisecond)
		of.Counter, of.Clock = counter, clock
		return l.judge(of.same(l.mint()), nil)
	}
	copied := device.copy()
	for i := range uint64(2) {
		if got := proving(device, 11+i, 100+10*i); got != affirmed {
			t.Fatalf("the device: %s", got)
		}
	}
	if got := proving(copied, 11, 130); got != regressed {
		t.Errorf("the copy: got %s, want %s", got, regressed)
	}
}

// TestACopyOfLongAgo that answers a nonce which was open when the device proved its state is none that was signed before.
func TestACopyOfLongAgo(t *testing.T) {
	l, device := newLab(t), newTPM()
	device.Clock = 40 * 24 * 3600 * 1000 // milliseconds
	copied := device.copy()
	copied.Clock -= 30 * 24 * 3600 * 1000
	copied.ResetCount -= 3
	copied.Counter -= 200
	open := l.mint()
	if got := l.judge(device.token(l.mint()), nil); got != affirmed {
		t.Fatalf("the device: %s", got)
	}
	if got := l.judge(copied.token(open), nil); got != regressed {
		t.Errorf("the copy: got %s, want %s", got, regressed)
	}
}
