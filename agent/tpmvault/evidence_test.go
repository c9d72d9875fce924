package tpmvault_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// mustToken makes a token of profile B and wants its counter above last.
func (u *unit) mustToken(v *tpmvault.Vault, last uint64) *attest.CounterProof {
	u.t.Helper()
	proof, err := token(v)
	u.must(err)
	if proof == nil {
		u.t.Fatalf("the token carries no proof; events %q", u.events)
	}
	if proof.Counter <= last {
		u.t.Errorf("the counter is at %d after %d", proof.Counter, last)
	}
	return proof
}

func TestProofVerifiesAndTheCounterRises(t *testing.T) {
	for _, variant := range []attest.NVVariant{attest.NVPlatform, attest.NVOwner} {
		t.Run(fmt.Sprint("variant ", variant), func(t *testing.T) {
			u := newUnit(t)
			options := u.options()
			options.Variant = variant
			_, err := u.tryProvision(options, imei1)
			u.must(err)
			v := u.open()
			last := uint64(1) // the factory's rise
			for range 5 {
				proof := u.mustToken(v, last)
				if proof.Counter != last+1 || proof.ResetCount == 0 || proof.Firmware == 0 {
					t.Errorf("proof %s after counter %d; want one more, and the TPM's own reset count and firmware", proof, last)
				}
				last = proof.Counter
			}
			u.wantClean()
		})
	}
}

// The budget of a token with its proof is 15 TPM commands after the first.
func TestCommandsPerToken(t *testing.T) {
	for _, c := range []struct {
		name, pcrs string
		epoch      uint64
		want       int
	}{
		{"measured boot", "sha256:0,2,4,7", 0, 13},
		{"measured boot with an epoch", "sha256:0,2,4,7", 1, 15},
		{"unmeasured boot", "", 0, 11},
		{"unmeasured boot with an epoch", "", 1, 13},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnit(t)
			v := u.openWith(c.pcrs, c.epoch)
			u.mustToken(v, 1)
			for range 3 {
				u.tpm.Commands()
				u.mustToken(v, 1)
				if sent := u.tpm.Commands(); len(sent) != c.want {
					t.Errorf("a token took %d TPM commands %v, want %d", len(sent), sent, c.want)
				}
			}
			u.wantClean()
		})
	}
}

// Every byte of what the TPM certified is either rebuilt or under the signature, and so is the signature. Whoever stands
// before the TPM can make the HMAC of the response fit, because its key is empty. What is rebuilt is compared each time. The
// signature is verified until the key is proven; from then on he can have a token that no verifier takes.
func TestTamperedCertificationIsFound(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	binding := [32]byte{1}
	for name, c := range map[string]struct {
		spoil func(*tpm2.NVCertifyResponse)
		want  error
	}{
		"magic":                {flip(0), tpmvault.ErrTampered},
		"type":                 {flip(5), tpmvault.ErrTampered},
		"signer":               {flip(30), tpmvault.ErrTampered},
		"qualifying data":      {flip(60), tpmvault.ErrTampered},
		"clock":                {flip(83), agent.ErrKeyMismatch},
		"reset count":          {flip(87), agent.ErrKeyMismatch},
		"restart count":        {flip(91), agent.ErrKeyMismatch},
		"safe":                 {flip(92), agent.ErrKeyMismatch},
		"firmware":             {flip(100), agent.ErrKeyMismatch},
		"index":                {flip(110), tpmvault.ErrTampered},
		"offset":               {flip(138), tpmvault.ErrTampered},
		"counter":              {flip(148), agent.ErrKeyMismatch},
		"safe neither 0 nor 1": {change(func(b []byte) []byte { b[92] = 2; return b }), tpmvault.ErrTampered},
		"a byte behind":        {change(func(b []byte) []byte { return append(b, 0) }), tpmvault.ErrTampered},
		"a byte missing":       {change(func(b []byte) []byte { return b[:148] }), tpmvault.ErrTampered},
		"nothing":              {change(func([]byte) []byte { return nil }), tpmvault.ErrTampered},
		"the signature": {func(r *tpm2.NVCertifyResponse) {
			ecc, err := r.Signature.Signature.ECDSA()
			u.must(err)
			ecc.SignatureS.Buffer[3] ^= 1
		}, agent.ErrKeyMismatch},
		"another algorithm": {func(r *tpm2.NVCertifyResponse) { r.Signature.SigAlg = tpm2.TPMAlgRSASSA }, tpmvault.ErrTampered},
	} {
		v.DoubtKey()
		if err := v.CheckCertification(t.Context(), binding, c.spoil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
		u.must(v.CheckCertification(t.Context(), binding, func(*tpm2.NVCertifyResponse) {}))
		later := c.want
		if later == agent.ErrKeyMismatch {
			later = nil
		}
		if err := v.CheckCertification(t.Context(), binding, c.spoil); !errors.Is(err, later) {
			t.Errorf("%s, when the key is proven: %v; want %v", name, err, later)
		}
	}
	u.mustToken(v, 1)
	u.wantClean()
}

func flip(at int) func(*tpm2.NVCertifyResponse) {
	return change(func(b []byte) []byte { b[at] ^= 1; return b })
}

// change replaces the certified structure as it is encoded.
func change(f func([]byte) []byte) func(*tpm2.NVCertifyResponse) {
	return func(r *tpm2.NVCertifyResponse) {
		r.CertifyInfo = tpm2.BytesAs2B[tpm2.TPMSAttest](f(bytes.Clone(r.CertifyInfo.Bytes())))
	}
}

func TestPlatformsCounterSurvivesClearAndReboots(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	last := u.mustToken(v, 1)
	resets := last.ResetCount

	u.must(tpmtest.Clear(u.conn))
	last = u.mustToken(v, last.Counter)
	if last.ResetCount >= resets {
		t.Errorf("reset count %d after TPM2_Clear, %d before: was it cleared?", last.ResetCount, resets)
	}
	u.wantClean()
	last = u.mustToken(u.open(), last.Counter)

	u.cutPower()
	u.powerOn()
	last = u.mustToken(u.open(), last.Counter)

	_, err := tpm2.Shutdown{ShutdownType: tpm2.TPMSUClear}.Execute(u.conn)
	u.must(err)
	u.must(u.conn.Close())
	u.must(u.engine.Stop())
	u.powerOn()
	next := u.mustToken(u.open(), last.Counter)
	if next.Counter != last.Counter+1 {
		t.Errorf("after an orderly shutdown the counter went from %d to %d; want one more", last.Counter, next.Counter)
	}
}

// The owner's counter goes with TPM2_Clear, and the owner's record with it.
func TestOwnersCounterDiesAtClear(t *testing.T) {
	u := newUnit(t)
	options := u.options()
	options.Variant = attest.NVOwner
	_, err := u.tryProvision(options, imei1)
	u.must(err)
	v := u.open()
	u.mustToken(v, 1)
	u.must(tpmtest.Clear(u.conn))
	if proof, err := v.Evidence(t.Context(), [32]byte{1}); proof != nil || err != nil {
		t.Errorf("Evidence = %x, %v; want none", proof, err)
	}
	u.wantEvent("0x1800e12", "TPM2_Clear")
	if err := sign(v, []byte("content")); !errors.Is(err, tpmvault.ErrRecordChanged) {
		t.Errorf("signing: %v; want %v", err, tpmvault.ErrRecordChanged)
	}
	u.wantClean()
}

func (u *unit) wantEvent(says ...string) {
	u.t.Helper()
	for _, event := range u.events {
		found := true
		for _, word := range says {
			found = found && strings.Contains(event, word)
		}
		if found {
			return
		}
	}
	u.t.Errorf("events %q; want one with %q", u.events, says)
}

// A token without a proof is of profile A: what that means is the verifier's to say.
func TestWithoutACounterTokensAreOfProfileA(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*unit)
		says  string
	}{
		{"deleted", func(*unit) {}, ""},
		{"replaced", func(u *unit) { u.defineOther(tpmprofile.CounterAttestation, attest.NVPlatform) }, "is foreign"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnit(t)
			u.provision(imei1)
			running := u.open()
			u.mustToken(running, 1)
			u.deleteCounter(tpmprofile.CounterAttestation, attest.NVPlatform)
			c.spoil(u)
			if proof, err := token(u.open()); proof != nil || err != nil {
				t.Errorf("the token of a new process: proof %v, %v; want none", proof, err)
			}
			u.wantEvent("attestation counter", c.says)
			if proof, err := token(running); proof != nil || err != nil {
				t.Errorf("the token of the running process: proof %v, %v; want none", proof, err)
			}
			u.tpm.Commands()
			u.must(sign(running, []byte("content")))
			_, err := token(running)
			u.must(err)
			if sent := u.tpm.Commands(); len(sent) != 2*7 {
				t.Errorf("two tokens of profile A took %d TPM commands %v, want 14", len(sent), sent)
			}
			u.wantClean()
		})
	}
}

// The key's persistent copy is lost, and registers move, between one command of the proof and the next.
func TestProofIsMadeThroughDisturbances(t *testing.T) {
	for _, c := range []struct {
		name    string
		at      tpm2.TPMCC
		disturb func(*unit) error
	}{
		{"another register moves", tpm2.TPMCCNVCertify, func(u *unit) error { return tpmtest.PCRExtend(u.conn, 10, [32]byte{1}) }},
		{"the TPM is cleared before", tpm2.TPMCCNVIncrement, func(u *unit) error { return tpmtest.Clear(u.conn) }},
		{"the TPM is cleared at the policy", tpm2.TPMCCPolicyAuthorize, func(u *unit) error { return tpmtest.Clear(u.conn) }},
		{"the key's handle is lost", tpm2.TPMCCStartAuthSession, func(u *unit) error {
			shown, err := tpm2.ReadPublic{ObjectHandle: tpmprofile.KeyHandle}.Execute(u.conn)
			if err != nil {
				return err
			}
			_, err = tpm2.EvictControl{
				Auth: tpm2.TPMRHOwner, ObjectHandle: tpm2.NamedHandle{Handle: tpmprofile.KeyHandle, Name: shown.Name}, PersistentHandle: tpmprofile.KeyHandle,
			}.Execute(u.conn)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnit(t)
			u.provision(imei1)
			v := u.open()
			last := u.mustToken(v, 1)
			done := false
			u.tpm.Fault(func(sent tpm2.TPMCC) ([]byte, error) {
				if sent != c.at || done {
					return nil, nil
				}
				done = true
				return nil, c.disturb(u)
			})
			u.mustToken(v, last.Counter)
			u.wantClean()
		})
	}
}

// The registers are those of another boot: there is no proof, and no token.
func TestUnapprovedBootStateGivesNoProof(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	u.mustToken(v, 1)
	u.must(tpmtest.PCRExtend(u.conn, 4, [32]byte{1}))
	if proof, err := v.Evidence(t.Context(), [32]byte{1}); proof != nil || !errors.Is(err, tpmvault.ErrBootState) {
		t.Errorf("Evidence = %x, %v; want %v", proof, err, tpmvault.ErrBootState)
	}
	u.wantClean()
}

func TestProofIsOverItsBinding(t *testing.T) {
	u := newUnit(t)
	result := u.provision(imei1)
	v := u.open()
	for _, binding := range [][32]byte{{}, {1}, [32]byte(bytes.Repeat([]byte{0xFF}, 32))} {
		raw, err := v.Evidence(t.Context(), binding)
		u.must(err)
		proof, err := attest.DecodeCounterProof(raw)
		u.must(err)
		credential := &result.Credential.Credential
		u.must(tpmprofile.VerifyCounterProof(credential, binding, proof))
		binding[31] ^= 1
		if tpmprofile.VerifyCounterProof(credential, binding, proof) == nil {
			t.Errorf("the proof verifies for other claims, %x", binding)
		}
	}
}
