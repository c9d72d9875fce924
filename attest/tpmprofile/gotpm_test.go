package tpmprofile_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// TestAsGoTPM compares what this package writes as bytes with what go-tpm makes of its own structures and policy commands,
// for random keys, each variant and each kind of boot.
func TestAsGoTPM(t *testing.T) {
	for range 30 {
		for _, variant := range []attest.NVVariant{attest.NVPlatform, attest.NVOwner} {
			for _, boot := range []attest.BootKind{0, attest.BootMeasured, attest.BootUnmeasured} {
				o := opinion{t, tpmprofile.Profile{NVKey: randomKey(t), BootPrimary: randomKey(t), BootStandby: randomKey(t), Variant: variant, Boot: boot}}
				o.compareIndex()
				o.compareDeviceKey()
				o.compareBootStates()
			}
		}
	}
}

func randomKey(t *testing.T) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

// opinion is go-tpm's of a Profile.
type opinion struct {
	*testing.T
	tpmprofile.Profile
}

func (o opinion) compareIndex() {
	o.Helper()
	wantEqual(o.T, "NV key", marshal[tpm2.TPMTPublic](o.T)(tpmprofile.VerificationKey(o.NVKey)), tpm2.Marshal(verificationKey(o.NVKey)))
	for _, state := range []tpmprofile.IndexState{tpmprofile.IndexDefined, tpmprofile.IndexWritten, tpmprofile.IndexLocked} {
		public, err := o.NVPublic(state)
		if err != nil {
			o.Fatal(err)
		}
		wantEqual(o.T, state.String()+" index", tpm2.Marshal(public), tpm2.Marshal(o.nvPublic(state)))
		wantEqual(o.T, state.String()+" index, Name", name(o.T, o.Profile, state), o.nvName(o.nvPublic(state)))
	}
	for _, c := range []tpmprofile.Counter{tpmprofile.CounterEpoch, tpmprofile.CounterAttestation} {
		for _, written := range []bool{false, true} {
			want := o.counter(c, written)
			wantEqual(o.T, c.String(), tpm2.Marshal(c.Public(o.Variant, written)), tpm2.Marshal(want))
			got, err := c.Name(o.Variant, written)
			if err != nil {
				o.Fatal(err)
			}
			wantEqual(o.T, c.String()+", Name", got, o.nvName(want))
		}
	}
}

func (o opinion) compareDeviceKey() {
	o.Helper()
	device, binding := randomKey(o.T), [32]byte{}
	rand.Read(binding[:])
	policy, err := o.AuthPolicy(binding)
	if err != nil {
		o.Fatal(err)
	}
	wantPolicy := o.authPolicy(binding)
	wantEqual(o.T, "authPolicy", policy, wantPolicy)
	wantEqual(o.T, "template", marshal[tpm2.TPMTPublic](o.T)(o.KeyTemplate(binding)), tpm2.Marshal(deviceKey(wantPolicy, tpm2.TPMSECCPoint{})))
	public := deviceKey(wantPolicy, point(device))
	got, err := o.KeyName(device, binding)
	if err != nil {
		o.Fatal(err)
	}
	want, err := tpm2.ObjectName(&public)
	if err != nil {
		o.Fatal(err)
	}
	wantEqual(o.T, "key Name", got, want.Buffer)
	if key, err := o.CheckDeviceKey(tpm2.Marshal(public), binding); err != nil || !key.Equal(device) {
		o.Errorf("go-tpm's public area of the device key: %v", err)
	}
}

func (o opinion) compareBootStates() {
	o.Helper()
	pcrs, err := tpmprofile.ParsePCRs("sha256:0,2,4,7,8,17")
	if err != nil {
		o.Fatal(err)
	}
	s := tpmprofile.BootState{PCRs: pcrs, Epoch: 1 + mathrand.Uint64N(1<<63), Variant: o.Variant}
	rand.Read(s.Digest[:])
	got, err := tpmprofile.BootPolicy(s)
	if err != nil {
		o.Fatal(err)
	}
	epoch := o.counter(tpmprofile.CounterEpoch, true)
	wantEqual(o.T, "boot policy", got[:], o.policy(
		tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: s.Digest[:]}, Pcrs: pcrs.TPM()},
		tpm2.PolicyNV{
			NVIndex:  tpm2.NamedHandle{Handle: epoch.NVIndex, Name: tpm2.TPM2BName{Buffer: o.nvName(epoch)}},
			OperandB: tpm2.TPM2BOperand{Buffer: binary.BigEndian.AppendUint64(nil, s.Epoch)}, Operation: tpm2.TPMEOUnsignedLE,
		}))
}

func (o opinion) nvPublic(state tpmprofile.IndexState) tpm2.TPMSNVPublic {
	signer := tpm2.NamedHandle{Name: o.keyName(o.NVKey)}
	var branches []tpm2.TPM2BDigest
	for _, b := range []tpmprofile.Branch{tpmprofile.BranchWrite, tpmprofile.BranchDelete, tpmprofile.BranchLock} {
		branches = append(branches, tpm2.TPM2BDigest{Buffer: o.policy(
			tpm2.PolicySigned{AuthObject: signer, PolicyRef: tpm2.TPM2BNonce{Buffer: []byte(b.Ref())}},
			tpm2.PolicyCommandCode{Code: b.Command()})})
	}
	platform := o.Variant == attest.NVPlatform
	return tpm2.TPMSNVPublic{
		NVIndex: o.Index(),
		NameAlg: tpm2.TPMAlgSHA256,
		Attributes: tpm2.TPMANV{
			NT: tpm2.TPMNTOrdinary, PolicyWrite: true, WriteAll: true, WriteDefine: true,
			AuthRead: true, PPRead: true, NoDA: true,
			PlatformCreate: platform, PolicyDelete: platform,
			Written: state >= tpmprofile.IndexWritten, WriteLocked: state == tpmprofile.IndexLocked,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: o.policy(tpm2.PolicyOr{PHashList: tpm2.TPMLDigest{Digests: branches}})},
		DataSize:   tpmprofile.RecordSize,
	}
}

func (o opinion) counter(c tpmprofile.Counter, written bool) tpm2.TPMSNVPublic {
	platform := o.Variant == attest.NVPlatform
	a := tpm2.TPMANV{NT: tpm2.TPMNTCounter, AuthRead: true, NoDA: true, PlatformCreate: platform, Written: written}
	if c == tpmprofile.CounterAttestation {
		a.AuthWrite, a.Orderly = true, true
	} else {
		a.PPWrite, a.PPRead, a.OwnerWrite = platform, platform, !platform
	}
	return tpm2.TPMSNVPublic{NVIndex: c.Index(o.Variant), NameAlg: tpm2.TPMAlgSHA256, Attributes: a, DataSize: 8}
}

func (o opinion) authPolicy(binding [32]byte) []byte {
	ref := tpmprofile.RefBoot
	if o.Boot == attest.BootUnmeasured {
		ref = tpmprofile.RefBootUnmeasured
	}
	var branches []tpm2.TPM2BDigest
	for _, key := range []*ecdsa.PublicKey{o.BootPrimary, o.BootStandby} {
		branches = append(branches, tpm2.TPM2BDigest{Buffer: o.policy(
			tpm2.PolicyAuthorize{KeySign: o.keyName(key), PolicyRef: tpm2.TPM2BDigest{Buffer: []byte(ref)}})})
	}
	return o.policy(
		tpm2.PolicyOr{PHashList: tpm2.TPMLDigest{Digests: branches}},
		tpm2.PolicyNV{
			NVIndex:  tpm2.NamedHandle{Name: tpm2.TPM2BName{Buffer: o.nvName(o.nvPublic(tpmprofile.IndexLocked))}},
			OperandB: tpm2.TPM2BOperand{Buffer: binding[:]}, Offset: tpmprofile.BindingOffset, Operation: tpm2.TPMEOEq,
		})
}

func (o opinion) policy(commands ...tpm2.PolicyCommand) []byte {
	o.Helper()
	calculator, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		o.Fatal(err)
	}
	for _, command := range commands {
		if err := command.Update(calculator); err != nil {
			o.Fatal(err)
		}
	}
	return calculator.Hash().Digest
}

func (o opinion) nvName(public tpm2.TPMSNVPublic) []byte {
	o.Helper()
	n, err := tpm2.NVName(&public)
	if err != nil {
		o.Fatal(err)
	}
	return n.Buffer
}

// keyName is go-tpm's Name of a key of the manufacturer; this package must give the same.
func (o opinion) keyName(key *ecdsa.PublicKey) tpm2.TPM2BName {
	o.Helper()
	public := verificationKey(key)
	want, err := tpm2.ObjectName(&public)
	if err != nil {
		o.Fatal(err)
	}
	got, err := tpmprofile.KeyNameOf(key)
	if err != nil || !bytes.Equal(got, want.Buffer) {
		o.Fatalf("Name of a verification key: %x, %v, want %x", got, err, want.Buffer)
	}
	return *want
}

func verificationKey(key *ecdsa.PublicKey) tpm2.TPMTPublic {
	at := point(key)
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{UserWithAuth: true, Decrypt: true, SignEncrypt: true},
		Parameters:       tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256}),
		Unique:           tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &at),
	}
}

func deviceKey(policy []byte, at tpm2.TPMSECCPoint) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
			NoDA: true, Restricted: true, SignEncrypt: true,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &at),
	}
}

func point(key *ecdsa.PublicKey) tpm2.TPMSECCPoint {
	raw, err := key.Bytes() // 0x04, X, Y
	if err != nil {
		panic(err)
	}
	return tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: raw[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: raw[33:]}}
}

// marshal takes the structure and the error that a function returns.
func marshal[T tpm2.Marshallable](t *testing.T) func(structure T, err error) []byte {
	return func(structure T, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return tpm2.Marshal(structure)
	}
}
