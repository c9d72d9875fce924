package tpmprofile_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/tpmprofile"
)

func public(name string) *ecdsa.PublicKey { return &attesttest.Key(name).PublicKey }

// sample is a Profile with fixed keys.
func sample(variant attest.NVVariant, boot attest.BootKind) tpmprofile.Profile {
	return tpmprofile.Profile{
		NVKey: public("oem nv"), BootPrimary: public("oem boot"), BootStandby: public("oem boot standby"), Variant: variant, Boot: boot,
	}
}

var sampleBinding = [32]byte(bytes.Repeat([]byte{0xB1}, 32))

// The expected values were computed once by this package and are confirmed by [TestPoliciesByHand], which shares no
// code with it, and by the live engine in agent/tpmvault. A change of any of them kills the keys of every device in
// the field.
func TestGoldenValues(t *testing.T) {
	platform, owner := sample(attest.NVPlatform, attest.BootMeasured), sample(attest.NVOwner, attest.BootMeasured)
	unmeasured := sample(attest.NVPlatform, attest.BootUnmeasured)
	record, err := tpmprofile.Record{Binding: sampleBinding, Credential: []byte("credential")}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	device := public("device")
	name := func(b []byte, err error) string { t.Helper(); return text(t, b, err) }
	array := func(b [32]byte, err error) string { t.Helper(); return text(t, b[:], err) }
	for _, c := range []struct{ what, got, want string }{
		{"NV key", name(tpmprofile.KeyNameOf(platform.NVKey)), goldenNVKey},
		{"platform index, defined", name(platform.NVName(tpmprofile.IndexDefined)), goldenDefined},
		{"platform index, written", name(platform.NVName(tpmprofile.IndexWritten)), goldenWritten},
		{"platform index, locked", name(platform.NVName(tpmprofile.IndexLocked)), goldenLocked},
		{"owner index, locked", name(owner.NVName(tpmprofile.IndexLocked)), goldenOwnerLocked},
		{"authPolicy", name(platform.AuthPolicy(sampleBinding)), goldenPolicy},
		{"authPolicy, owner", name(owner.AuthPolicy(sampleBinding)), goldenPolicyOwner},
		{"authPolicy, unmeasured", name(unmeasured.AuthPolicy(sampleBinding)), goldenPolicyUnmeasured},
		{"key", name(platform.KeyName(device, sampleBinding)), goldenKey},
		{"write cpHash", array(platform.WriteCPHash(record)), goldenWriteHash},
		{"lock cpHash", array(platform.LockCPHash()), goldenLockHash},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.what, c.got, c.want)
		}
	}
}

func text(t *testing.T, b []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// TestPoliciesByHand computes the same values from the formulas of the specification, with nothing but SHA-256.
func TestPoliciesByHand(t *testing.T) {
	p := sample(attest.NVPlatform, attest.BootMeasured)
	const (
		ccPolicySigned, ccPolicyAuthorize, ccPolicyOR = 0x160, 0x16A, 0x171
		ccPolicyNV, ccPolicyCommandCode, ccPolicyPCR  = 0x149, 0x16C, 0x17F
		ccNVWrite, ccNVUndefineSpecial, ccNVWriteLock = 0x137, 0x11F, 0x138
		// policywrite, policydelete, writeall, writedefine, ppread, authread, no_da, platformcreate
		attributes           uint32 = 0x42053408
		written, writeLocked uint32 = 1 << 29, 1 << 11
	)
	zero := make([]byte, 32)
	signedBranch := func(ref string, cc uint32) []byte {
		d := sum(zero, u32(ccPolicySigned), keyName(p.NVKey))
		d = sum(d, []byte(ref))
		return sum(d, u32(ccPolicyCommandCode), u32(cc))
	}
	nvPolicy := sum(zero, u32(ccPolicyOR),
		signedBranch("imei-write", ccNVWrite), signedBranch("imei-delete", ccNVUndefineSpecial), signedBranch("imei-lock", ccNVWriteLock))
	indexName := func(dynamic uint32) []byte {
		public := concat(u32(0x01400E10), u16(0x000B), u32(attributes|dynamic), u16(32), nvPolicy, u16(768))
		return append(u16(0x000B), sum(public)...)
	}
	wantEqual(t, "index, defined", name(t, p, tpmprofile.IndexDefined), indexName(0))
	wantEqual(t, "index, locked", name(t, p, tpmprofile.IndexLocked), indexName(written|writeLocked))

	authorize := func(key *ecdsa.PublicKey) []byte {
		return sum(sum(zero, u32(ccPolicyAuthorize), keyName(key)), []byte("imei-boot"))
	}
	either := sum(zero, u32(ccPolicyOR), authorize(p.BootPrimary), authorize(p.BootStandby))
	equal := sum(sampleBinding[:], u16(8), u16(0)) // operand, offset, TPM_EO_EQ
	policy := sum(either, u32(ccPolicyNV), equal, indexName(written|writeLocked))
	got, err := p.AuthPolicy(sampleBinding)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "authPolicy", got, policy)

	pcrs, err := tpmprofile.ParsePCRs("sha256:0,2,4,7")
	if err != nil {
		t.Fatal(err)
	}
	digest := [32]byte(sum([]byte("registers")))
	boot := func(s tpmprofile.BootState) []byte {
		t.Helper()
		policy, err := tpmprofile.BootPolicy(s)
		if err != nil {
			t.Fatal(err)
		}
		return policy[:]
	}
	selection := concat(u32(1), u16(0x000B), []byte{3, 0b10010101, 0, 0})
	registers := sum(zero, u32(ccPolicyPCR), selection, digest[:])
	wantEqual(t, "boot policy", boot(tpmprofile.BootState{PCRs: pcrs, Digest: digest}), registers)

	epoch := func(before []byte, epoch uint64, handle, attributes uint32) []byte {
		args := sum(binary.BigEndian.AppendUint64(nil, epoch), u16(0), u16(9)) // operand, offset, TPM_EO_UNSIGNED_LE
		counter := concat(u32(handle), u16(0x000B), u32(attributes|written), u16(0), u16(8))
		return sum(before, u32(ccPolicyNV), args, u16(0x000B), sum(counter))
	}
	const (
		// counter, ppwrite, ppread, authread, no_da, platformcreate; and counter, ownerwrite, authread, no_da
		platformEpoch, ownerEpoch uint32 = 0x42050011, 0x02040012
	)
	wantEqual(t, "boot policy with an epoch", boot(tpmprofile.BootState{PCRs: pcrs, Digest: digest, Epoch: 7, Variant: attest.NVPlatform}),
		epoch(registers, 7, 0x01400E11, platformEpoch))
	wantEqual(t, "boot policy with the owner's epoch", boot(tpmprofile.BootState{PCRs: pcrs, Digest: digest, Epoch: 1 << 40, Variant: attest.NVOwner}),
		epoch(registers, 1<<40, 0x01800E11, ownerEpoch))
	wantEqual(t, "unmeasured boot with an epoch", boot(tpmprofile.BootState{Epoch: 7, Variant: attest.NVPlatform}), epoch(zero, 7, 0x01400E11, platformEpoch))
	wantEqual(t, "nothing asked", boot(tpmprofile.BootState{}), zero)
}

// keyName is the Name of a key under the public area of tpm2_loadexternal: userwithauth|decrypt|sign, no schemes.
func keyName(key *ecdsa.PublicKey) []byte {
	point, err := key.Bytes()
	if err != nil {
		panic(err)
	}
	public := concat(u16(0x23), u16(0x0B), u32(0x60040), u16(0), u16(0x10), u16(0x10), u16(3), u16(0x10), u16(32), point[1:33], u16(32), point[33:])
	return append(u16(0x000B), sum(public)...)
}

func name(t *testing.T, p tpmprofile.Profile, state tpmprofile.IndexState) []byte {
	t.Helper()
	n, err := p.NVName(state)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func wantEqual(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}

func sum(parts ...[]byte) []byte {
	digest := sha256.Sum256(concat(parts...))
	return digest[:]
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func u16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
