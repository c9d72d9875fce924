package tpmprofile_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/tpmprofile"
)

// The Names of the counters are the same in every device: a change makes every proof in the field fail.
func TestCounterNames(t *testing.T) {
	for _, c := range []struct {
		counter tpmprofile.Counter
		variant attest.NVVariant
		handle  tpm2.TPMHandle
		bits    uint32 // TPMA_NV without WRITTEN (Part 2 section 13.4)
	}{
		{tpmprofile.CounterEpoch, attest.NVPlatform, 0x01400E11, 0x40000000 | 0x02000000 | 0x00040000 | 0x00010000 | 0x10 | 0x1},
		{tpmprofile.CounterEpoch, attest.NVOwner, 0x01800E11, 0x02000000 | 0x00040000 | 0x10 | 0x2},
		{tpmprofile.CounterAttestation, attest.NVPlatform, 0x01400E12, 0x40000000 | 0x04000000 | 0x02000000 | 0x00040000 | 0x10 | 0x4},
		{tpmprofile.CounterAttestation, attest.NVOwner, 0x01800E12, 0x04000000 | 0x02000000 | 0x00040000 | 0x10 | 0x4},
	} {
		if got := c.counter.Index(c.variant); got != c.handle {
			t.Errorf("%v, variant %d: handle %#x, want %#x", c.counter, c.variant, got, c.handle)
		}
		for _, written := range []bool{false, true} {
			bits := c.bits
			if written {
				bits |= 1 << 29
			}
			public := binary.BigEndian.AppendUint32(nil, uint32(c.handle))
			public = append(public, 0x00, 0x0B)
			public = binary.BigEndian.AppendUint32(public, bits)
			public = append(public, 0, 0, 0, 8) // no policy, 8 bytes
			digest := sha256.Sum256(public)
			want := append([]byte{0x00, 0x0B}, digest[:]...)
			if got, err := c.counter.Name(c.variant, written); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v, variant %d, written %t: Name %x, %v, want %x", c.counter, c.variant, written, got, err, want)
			}
		}
	}
}

func TestCounterStates(t *testing.T) {
	name := func(c tpmprofile.Counter, variant attest.NVVariant, written bool) []byte {
		t.Helper()
		n, err := c.Name(variant, written)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct {
		what string
		name []byte
		want tpmprofile.IndexState
	}{
		{"never raised", name(tpmprofile.CounterEpoch, attest.NVPlatform, false), tpmprofile.IndexDefined},
		{"raised", name(tpmprofile.CounterEpoch, attest.NVPlatform, true), tpmprofile.IndexWritten},
		{"the owner's", name(tpmprofile.CounterEpoch, attest.NVOwner, true), tpmprofile.IndexForeign},
		{"the other counter", name(tpmprofile.CounterAttestation, attest.NVPlatform, true), tpmprofile.IndexForeign},
		{"no Name", nil, tpmprofile.IndexForeign},
	} {
		if got, err := tpmprofile.CounterEpoch.StateOf(c.name, attest.NVPlatform); err != nil || got != c.want {
			t.Errorf("%s: state %s, %v, want %s", c.what, got, err, c.want)
		}
	}
}

func counterProof() attest.CounterProof {
	return attest.CounterProof{Clock: 123456789, ResetCount: 7, RestartCount: 3, Safe: true, Firmware: 0x2023010700120034, Counter: 300}
}

// go-tpm writes the same structure.
func TestAttestationOf(t *testing.T) {
	profile := sample(attest.NVPlatform, attest.BootMeasured)
	keyName, err := profile.KeyName(public("device"), sampleBinding)
	if err != nil {
		t.Fatal(err)
	}
	counter, err := tpmprofile.CounterAttestation.Name(attest.NVPlatform, true)
	if err != nil {
		t.Fatal(err)
	}
	p := counterProof()
	got, err := tpmprofile.AttestationOf(keyName, attest.NVPlatform, sampleBinding, p)
	if err != nil {
		t.Fatal(err)
	}
	signer := sha256.Sum256(append([]byte{0x40, 0, 0, 0x0B}, keyName...))
	want := tpm2.Marshal(tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestNV,
		QualifiedSigner: tpm2.TPM2BName{Buffer: append([]byte{0, 0x0B}, signer[:]...)},
		ExtraData:       tpm2.TPM2BData{Buffer: sampleBinding[:]},
		ClockInfo:       tpm2.TPMSClockInfo{Clock: p.Clock, ResetCount: p.ResetCount, RestartCount: p.RestartCount, Safe: p.Safe},
		FirmwareVersion: p.Firmware,
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestNV, &tpm2.TPMSNVCertifyInfo{
			IndexName: tpm2.TPM2BName{Buffer: counter}, NVContents: tpm2.TPM2BData{Buffer: binary.BigEndian.AppendUint64(nil, p.Counter)},
		}),
	})
	if !bytes.Equal(got, want) {
		t.Errorf("\n got %x\nwant %x", got, want)
	}
	if golden := hex.EncodeToString(got); golden != goldenAttestation {
		t.Errorf("\n got %s\nwant %s", golden, goldenAttestation)
	}
	if _, err := tpmprofile.AttestationOf(keyName[1:], attest.NVPlatform, sampleBinding, p); err == nil {
		t.Error("half a Name was accepted")
	}
}

func TestVerifyCounterProof(t *testing.T) {
	keyName, err := sample(attest.NVPlatform, attest.BootMeasured).KeyName(&attesttest.DeviceKey.PublicKey, sampleBinding)
	if err != nil {
		t.Fatal(err)
	}
	c := attest.Credential{Key: &attesttest.DeviceKey.PublicKey, Storage: attest.Storage{Kind: attest.StorageTPMDiscrete, NV: attest.NVPlatform, KeyName: keyName}}
	p := counterProof()
	attestation, err := tpmprofile.AttestationOf(c.Storage.KeyName, c.Storage.NV, sampleBinding, p)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(attestation)
	r, s, err := ecdsa.Sign(rand.Reader, attesttest.DeviceKey, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	r.FillBytes(p.Signature[:32])
	s.FillBytes(p.Signature[32:])
	if err := tpmprofile.VerifyCounterProof(&c, sampleBinding, p); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*attest.Credential, *[32]byte, *attest.CounterProof){
		"the counter":       func(_ *attest.Credential, _ *[32]byte, p *attest.CounterProof) { p.Counter++ },
		"the clock":         func(_ *attest.Credential, _ *[32]byte, p *attest.CounterProof) { p.Clock++ },
		"the reset count":   func(_ *attest.Credential, _ *[32]byte, p *attest.CounterProof) { p.ResetCount-- },
		"the restart count": func(_ *attest.Credential, _ *[32]byte, p *attest.CounterProof) { p.RestartCount++ },
		"safe":              func(_ *attest.Credential, _ *[32]byte, p *attest.CounterProof) { p.Safe = false },
		"the firmware":      func(_ *attest.Credential, _ *[32]byte, p *attest.CounterProof) { p.Firmware++ },
		"the signature":     func(_ *attest.Credential, _ *[32]byte, p *attest.CounterProof) { p.Signature[40] ^= 1 },
		"the claims":        func(_ *attest.Credential, b *[32]byte, _ *attest.CounterProof) { b[0] ^= 1 },
		"the key's Name": func(c *attest.Credential, _ *[32]byte, _ *attest.CounterProof) {
			c.Storage.KeyName = bytes.Repeat([]byte{1}, 34)
		},
		"the variant": func(c *attest.Credential, _ *[32]byte, _ *attest.CounterProof) { c.Storage.NV = attest.NVOwner },
		"the key":     func(c *attest.Credential, _ *[32]byte, _ *attest.CounterProof) { c.Key = public("stranger") },
	} {
		c, binding, p := c, sampleBinding, p
		change(&c, &binding, &p)
		if tpmprofile.VerifyCounterProof(&c, binding, p) == nil {
			t.Errorf("with %s changed the proof still verifies", name)
		}
	}
}

const goldenAttestation = "ff54434780140022000ba01ea903334ef55dc5ab1ca17e502213f78b6ffe1f9478f88616882aaaab656f0020b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b100000000075bcd1500000007000000030120230107001200340022000b3ea515b1fa191510415544f427b79c1cc0381d93cd94c6b9b7c716b6ae07dcce00000008000000000000012c"
