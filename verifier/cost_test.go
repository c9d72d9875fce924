package verifier_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
)

// TestWhichSignaturesAreVerified finds the signatures that a judgement rests on: those that change it when they are spoiled,
// where they come from the token or from the store. TestNoSignatureIsVerifiedTwice counts.
func TestWhichSignaturesAreVerified(t *testing.T) {
	const ofToken, ofCredential, ofProof = "token", "Credential", "proof"
	for _, c := range []struct {
		name         string
		firstContact bool
		proofs       bool
		want         []string
	}{
		{"profile A, warm", false, false, []string{ofToken}},
		{"profile A, first contact", true, false, []string{ofToken, ofCredential}},
		{"profile B, warm", false, true, []string{ofToken, ofProof}},
		{"profile B, first contact", true, true, []string{ofToken, ofCredential, ofProof}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, part := range []string{ofToken, ofCredential, ofProof} {
				l, device := newLab(t), newTPM(func(e *attest.Credential) { e.Storage.RollbackProtected = !c.proofs })
				kept := &spoiling{Store: l.store}
				l.restart(kept)
				if !c.firstContact {
					l.judge(device.token(l.mint()), nil)
				}
				kept.spoil = part == ofCredential
				carried := attesttest.SignedCredential(device.credential)
				if part == ofCredential {
					carried[len(carried)-1] ^= 1
				}
				if !c.firstContact {
					carried = nil
				}
				token := answering(l.mint(), carried)
				if c.proofs {
					device.Counter++
					token = attesttest.ProvedToken(claimsOf(token), device.credential, device.CounterProof, carried)
				}
				token = spoil(token, part == ofToken, part == ofProof)
				if l.judge(token, nil) != affirmed {
					got = append(got, part)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("the signatures of %v are verified, want %v", got, c.want)
			}
		})
	}
}

func TestNoSignatureIsVerifiedTwice(t *testing.T) {
	for _, c := range []struct {
		name        string
		proofs      bool
		first, warm uint64
	}{
		{"profile A", false, 2, 1},
		{"profile B", true, 3, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, device := newLab(t), newTPM(func(e *attest.Credential) { e.Storage.RollbackProtected = !c.proofs })
			for i, want := range []uint64{c.first, c.warm, c.warm} {
				var carried []byte
				if i == 0 {
					carried = attesttest.SignedCredential(device.credential)
				}
				token := answering(l.mint(), carried)
				if c.proofs {
					device.Counter++
					token = attesttest.ProvedToken(claimsOf(token), device.credential, device.CounterProof, carried)
				}
				before := attest.Verifications()
				if got := l.judge(token, nil); got != affirmed {
					t.Fatalf("token %d: %v", i+1, got)
				}
				if got := attest.Verifications() - before; got != want {
					t.Errorf("token %d: %d signatures were verified, want %d", i+1, got, want)
				}
			}
		})
	}
}

func claimsOf(token []byte) attest.Claims {
	e, err := attest.DecodeEvidence(token)
	if err != nil {
		panic(err)
	}
	return e.Claims
}

// spoil flips the last bit of the token's signature, or of its proof's.
func spoil(token []byte, own, proof bool) []byte {
	m := bytes.Clone(token)
	if own {
		m[len(m)-1] ^= 1
	}
	if e, err := attest.DecodeEvidence(m); proof && err == nil && e.TPMProof != nil {
		m[bytes.Index(m, e.TPMProof)+len(e.TPMProof)-1] ^= 1
	}
	return m
}

// spoiling gives Credentials back with a bad signature.
type spoiling struct {
	verifier.Store
	spoil bool
}

func (s *spoiling) Credential(ctx context.Context, key attest.KeyID) (verifier.Endorsed, bool, error) {
	kept, found, err := s.Store.Credential(ctx, key)
	if s.spoil && found {
		kept.Credential = bytes.Clone(kept.Credential)
		kept.Credential[len(kept.Credential)-1] ^= 1
	}
	return kept, found, err
}

// restart puts a new verifier on a store.
func (l *lab) restart(s verifier.Store) {
	l.t.Helper()
	l.store = s
	var err error
	if l.Verifier, err = verifier.New(verifier.Config{Store: s, Nonces: l.nonces, Trust: trusting(anchor())}); err != nil {
		l.t.Fatal(err)
	}
}

// TestAllocationsOfAJudgement: what a warm judgement in profile A may leave to the garbage collector, the verification of its
// signature and the store in memory included.
func TestAllocationsOfAJudgement(t *testing.T) {
	const most, runs = 40, 200
	if underRace {
		t.Skip("the race detector changes what is allocated")
	}
	l, device := newLab(t), newTPM()
	l.judge(device.token(l.mint()), nil)
	tokens := make([][]byte, 1+runs) // AllocsPerRun warms up once
	for i := range tokens {
		tokens[i] = answering(l.mint(), nil)
	}
	next := 0
	got := testing.AllocsPerRun(runs, func() {
		in := verifier.Input{Evidence: tokens[next], Now: l.now}
		next++
		if v, err := l.Appraise(context.Background(), in); err != nil || v.Status() != attest.StatusAffirming {
			t.Fatal(v.Reasons(), err)
		}
	})
	if got > most {
		t.Errorf("%v allocations, want at most %d", got, most)
	}
}
