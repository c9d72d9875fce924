package tpmprofile_test

import (
	"bytes"
	"crypto/rand"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/tpmprofile"
)

func TestCheckRefusesAProfile(t *testing.T) {
	good := sample(attest.NVPlatform, 0)
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*tpmprofile.Profile){
		"without variant":        func(p *tpmprofile.Profile) { p.Variant = 0 },
		"with unknown variant":   func(p *tpmprofile.Profile) { p.Variant = 3 },
		"with unknown boot kind": func(p *tpmprofile.Profile) { p.Boot = 3 },
		"without NV key":         func(p *tpmprofile.Profile) { p.NVKey = nil },
		"without primary":        func(p *tpmprofile.Profile) { p.BootPrimary = nil },
		"without standby":        func(p *tpmprofile.Profile) { p.BootStandby = nil },
		"standby is the primary": func(p *tpmprofile.Profile) { p.BootStandby = p.BootPrimary },
		"NV key is a boot key":   func(p *tpmprofile.Profile) { p.NVKey = p.BootStandby },
		"with a key on P-384":    func(p *tpmprofile.Profile) { p.NVKey = &attesttest.Key384("nv").PublicKey },
	} {
		p := good
		spoil(&p)
		if err := p.Check(); err == nil {
			t.Errorf("a profile %s was accepted", what)
		}
		if _, err := p.KeyName(public("device"), sampleBinding); err == nil {
			t.Errorf("a key Name came out of a profile %s", what)
		}
	}
}

func TestUnsetBootMeansMeasured(t *testing.T) {
	unset, measured := sample(attest.NVPlatform, 0), sample(attest.NVPlatform, attest.BootMeasured)
	a, err := unset.AuthPolicy(sampleBinding)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := measured.AuthPolicy(sampleBinding)
	c, _ := sample(attest.NVPlatform, attest.BootUnmeasured).AuthPolicy(sampleBinding)
	if !bytes.Equal(a, b) || bytes.Equal(b, c) {
		t.Errorf("policies: unset %x, measured %x, unmeasured %x: want the first two equal, the third different", a, b, c)
	}
}

func TestStateOf(t *testing.T) {
	p := sample(attest.NVOwner, 0)
	for _, state := range []tpmprofile.IndexState{tpmprofile.IndexDefined, tpmprofile.IndexWritten, tpmprofile.IndexLocked} {
		if got, err := p.StateOf(name(t, p, state)); err != nil || got != state {
			t.Errorf("Name of the %s index: state %s, %v", state, got, err)
		}
	}
	foreign := name(t, sample(attest.NVPlatform, 0), tpmprofile.IndexLocked)
	if got, err := p.StateOf(foreign); err != nil || got != tpmprofile.IndexForeign {
		t.Errorf("Name of another index: state %s, %v", got, err)
	}
}

func TestPCRLists(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "sha256:0": "sha256:0", "sha256:7,0,4,2": "sha256:0,2,4,7", "sha256:15,17,20": "sha256:15,17,20",
	} {
		if got, err := tpmprofile.ParsePCRs(text); err != nil || got.String() != want {
			t.Errorf("ParsePCRs(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
	for text, because := range map[string]string{
		"sha256:16": "reset", "sha256:0,21": "reset", "sha256:22": "reset", "sha256:23": "reset",
		"sha256:24": "0 to 23", "sha256:-1": "0 to 23", "sha256:": "want sha256:", "0,2": "want sha256:", "sha1:0": "want sha256:",
		"sha256:0,0": "twice", "sha256:00": "no PCR", "sha256:0,": "no PCR", "sha256:a": "no PCR", "sha256:+1": "no PCR", "sha256: 1": "no PCR",
	} {
		if got, err := tpmprofile.ParsePCRs(text); err == nil || !strings.Contains(err.Error(), because) {
			t.Errorf("ParsePCRs(%q) = %q, %v; want an error with %q", text, got, err, because)
		}
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, n := range []int{1, 376, tpmprofile.MaxCredential} {
		want := tpmprofile.Record{Binding: sampleBinding, Credential: make([]byte, n)}
		rand.Read(want.Credential)
		raw, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := tpmprofile.DecodeRecord(raw)
		if err != nil || got.Binding != want.Binding || !bytes.Equal(got.Credential, want.Credential) {
			t.Errorf("record with %d bytes came back as %d bytes, %v", n, len(got.Credential), err)
		}
		if !bytes.Equal(raw[tpmprofile.BindingOffset:][:32], sampleBinding[:]) {
			t.Errorf("the binding hash is not at offset %d", tpmprofile.BindingOffset)
		}
	}
	for _, n := range []int{0, tpmprofile.MaxCredential + 1} {
		if _, err := (tpmprofile.Record{Credential: make([]byte, n)}).Encode(); err == nil {
			t.Errorf("a credential of %d bytes was encoded", n)
		}
	}
}

func TestDecodeRecordRefuses(t *testing.T) {
	good, err := tpmprofile.Record{Binding: sampleBinding, Credential: []byte("c")}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := tpmprofile.DecodeRecord(good[:n]); err == nil {
			t.Fatalf("the first %d bytes were accepted", n)
		}
	}
	for what, at := range map[string]int{"magic": 0, "format": 7, "length": 40, "padding": 767} {
		bad := bytes.Clone(good)
		bad[at] ^= 0xFF
		if _, err := tpmprofile.DecodeRecord(bad); err == nil {
			t.Errorf("a record with a wrong %s was accepted", what)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	good, _ := tpmprofile.Record{Binding: sampleBinding, Credential: []byte("c")}.Encode()
	f.Add(good)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := tpmprofile.DecodeRecord(raw)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, raw) {
			t.Errorf("record %x encodes to %x, %v", raw, again, err)
		}
	})
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := mode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func approve(t testing.TB, role tpmprofile.BootRole, pcrs string) tpmprofile.BootApproval {
	t.Helper()
	return approveUntil(t, role, pcrs, 0, 0)
}

func approveUntil(t testing.TB, role tpmprofile.BootRole, pcrs string, epoch uint64, variant attest.NVVariant) tpmprofile.BootApproval {
	t.Helper()
	selection, err := tpmprofile.ParsePCRs(pcrs)
	if err != nil {
		t.Fatal(err)
	}
	keys := tpmprofile.BootKeys{Primary: public("oem boot"), Standby: public("oem boot standby")}
	key := attesttest.Key("oem boot")
	if role == tpmprofile.RoleStandby {
		key = attesttest.Key("oem boot standby")
	}
	a, err := tpmprofile.Approve(nil, keys, role, attesttest.Signer(key),
		tpmprofile.BootState{PCRs: selection, Digest: [32]byte{1}, Epoch: epoch, Variant: variant})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestApprovalFile(t *testing.T) {
	for _, want := range []tpmprofile.BootApproval{
		approve(t, tpmprofile.RolePrimary, "sha256:0,2,4,7"), approve(t, tpmprofile.RoleStandby, "sha256:0"), approve(t, tpmprofile.RolePrimary, ""),
		approveUntil(t, tpmprofile.RolePrimary, "sha256:0", 1, attest.NVPlatform), approveUntil(t, tpmprofile.RoleStandby, "", 1<<63, attest.NVOwner),
	} {
		raw, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := tpmprofile.DecodeApproval(raw)
		if err != nil || got.Policy != want.Policy || got.PCRs != want.PCRs || got.Epoch != want.Epoch || got.Variant != want.Variant || got.SignedBy != want.SignedBy || !got.Keys.Equal(want.Keys) {
			t.Errorf("approval of %q came back as %+v, %v", want.PCRs, got, err)
		}
		if want.PCRs.IsEmpty() != (got.Boot() == attest.BootUnmeasured) || !want.PCRs.IsEmpty() && !got.Fits([32]byte{1}) || !want.PCRs.IsEmpty() && got.Fits([32]byte{2}) {
			t.Errorf("approval of %q fits the wrong registers", want.PCRs)
		}
	}
}

func TestDecodeApprovalRefuses(t *testing.T) {
	raw, err := approve(t, tpmprofile.RolePrimary, "sha256:0,2").Encode()
	if err != nil {
		t.Fatal(err)
	}
	entries := make(map[int]any)
	if err := cbor.Unmarshal(raw, &entries); err != nil {
		t.Fatal(err)
	}
	with := func(label int, value any) []byte {
		changed := maps.Clone(entries)
		changed[label] = value
		return encode(t, changed)
	}
	both := func(variant int) []byte {
		changed := maps.Clone(entries)
		changed[9], changed[10] = 1, variant
		return encode(t, changed)
	}
	repeated := append([]byte{raw[0] + 1, 1, 1}, raw[1:]...)
	reordered := append(append([]byte{raw[0]}, raw[3:]...), raw[1:3]...)
	for what, bad := range map[string][]byte{
		"no registers":        with(4, ""),
		"forbidden register":  with(4, "sha256:16"),
		"other role":          with(7, "standby"),
		"no role":             with(7, ""),
		"the other policyRef": with(5, "imei-boot-unmeasured"),
		"the earlier format":  with(1, 1),
		"a later format":      with(1, 3),
		"a counter unasked":   with(10, 1),
		"an epoch of nobody":  with(9, 1),
		"an unknown counter":  both(3),
		"no number for epoch": with(9, -1),
		"repeated entry":      repeated,
		"reordered entries":   reordered,
		"unknown entry":       with(11, 1),
		"a policy too short":  with(6, []byte{1}),
		"a foreign key":       with(2, []byte{4}),
		"something behind":    append(bytes.Clone(raw), ' '),
		"too long":            bytes.Repeat([]byte(" "), 5000),
		"nothing":             nil,
	} {
		if bytes.Equal(bad, raw) {
			t.Errorf("%s: the test changes nothing", what)
		}
		if _, err := tpmprofile.DecodeApproval(bad); err == nil {
			t.Errorf("an approval with %s was accepted", what)
		}
	}
	for n := range raw {
		if _, err := tpmprofile.DecodeApproval(raw[:n]); err == nil {
			t.Fatalf("the first %d bytes were accepted", n)
		}
	}
}

// Registers and epoch are signed only through the policy digest, so a change of them is not seen; it fits nothing.
func TestApprovalOfAnotherStateFitsNothing(t *testing.T) {
	a := approveUntil(t, tpmprofile.RolePrimary, "sha256:0,2", 5, attest.NVPlatform)
	if !a.Fits([32]byte{1}) {
		t.Fatal("the honest approval does not fit")
	}
	for what, change := range map[string]func(*tpmprofile.BootApproval){
		"other registers":  func(a *tpmprofile.BootApproval) { a.PCRs, _ = tpmprofile.ParsePCRs("sha256:0,3") },
		"a later epoch":    func(a *tpmprofile.BootApproval) { a.Epoch++ },
		"no epoch":         func(a *tpmprofile.BootApproval) { a.Epoch, a.Variant = 0, 0 },
		"the owner's":      func(a *tpmprofile.BootApproval) { a.Variant = attest.NVOwner },
		"an epoch without": func(a *tpmprofile.BootApproval) { a.Variant = 0 },
	} {
		changed := a
		change(&changed)
		raw, err := changed.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if decoded, err := tpmprofile.DecodeApproval(raw); err == nil && decoded.Fits([32]byte{1}) {
			t.Errorf("%s: the approval fits what was never approved", what)
		}
	}
}

// Without registers the epoch is all that the policy asks: a change of it could be used nowhere, and is refused.
func TestUnmeasuredApprovalOfAnotherEpochIsRefused(t *testing.T) {
	a := approveUntil(t, tpmprofile.RolePrimary, "", 5, attest.NVOwner)
	a.Epoch = 6
	if err := a.Verify(); err == nil {
		t.Error("an approval whose epoch was changed was accepted")
	}
}

func TestEpochEndsAnApproval(t *testing.T) {
	never, fifth := approve(t, tpmprofile.RolePrimary, "sha256:0"), approveUntil(t, tpmprofile.RolePrimary, "sha256:0", 5, attest.NVPlatform)
	for counter, want := range map[uint64]bool{0: false, 1: false, 5: false, 6: true, 1 << 63: true} {
		if fifth.IsRevoked(counter) != want || never.IsRevoked(counter) {
			t.Errorf("counter %d: epoch 5 revoked %v, want %v; without epoch %v, want false", counter, fifth.IsRevoked(counter), want, never.IsRevoked(counter))
		}
	}
}

func TestApproveRefusesHalfAnEpoch(t *testing.T) {
	keys := tpmprofile.BootKeys{Primary: public("oem boot"), Standby: public("oem boot standby")}
	for _, s := range []tpmprofile.BootState{{Epoch: 1}, {Variant: attest.NVPlatform}, {Epoch: 1, Variant: 3}} {
		if _, err := tpmprofile.Approve(nil, keys, tpmprofile.RolePrimary, attesttest.Signer(attesttest.Key("oem boot")), s); err == nil {
			t.Errorf("%+v was approved", s)
		}
	}
}

func FuzzDecodeApproval(f *testing.F) {
	for _, a := range []tpmprofile.BootApproval{
		approve(f, tpmprofile.RolePrimary, "sha256:0,2,4,7"), approve(f, tpmprofile.RolePrimary, ""),
		approveUntil(f, tpmprofile.RoleStandby, "sha256:0", 5, attest.NVPlatform),
	} {
		raw, err := a.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := tpmprofile.DecodeApproval(raw)
		if err != nil {
			return
		}
		if again, err := a.Encode(); err != nil || !bytes.Equal(again, raw) {
			t.Errorf("approval %s encodes to %s, %v", raw, again, err)
		}
	})
}

func TestLoadApprovals(t *testing.T) {
	a := approve(t, tpmprofile.RolePrimary, "sha256:0")
	raw, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	folder := fstest.MapFS{a.FileName(): {Data: raw}, "README": {Data: []byte("not an approval")}}
	got, err := tpmprofile.LoadApprovals(folder)
	if err != nil || len(got) != 1 || got[0].Name != a.FileName() {
		t.Errorf("LoadApprovals = %d approvals, %v", len(got), err)
	}
	folder["broken"+tpmprofile.ApprovalSuffix] = &fstest.MapFile{Data: raw[:100]}
	if _, err := tpmprofile.LoadApprovals(folder); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a folder with a broken approval: %v; want an error that names the file", err)
	}
}

// go-tpm takes an attestation structure with a wrong magic, and bytes behind one; both would let a forged structure
// pass.
func TestParseAttestChecksMagicAndEnd(t *testing.T) {
	structure := tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestTime,
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestTime, &tpm2.TPMSTimeAttestInfo{}),
	}
	good := tpm2.Marshal(structure)
	if _, err := tpmprofile.ParseAttest(good); err != nil {
		t.Fatal(err)
	}
	wrongMagic := bytes.Clone(good)
	wrongMagic[0] ^= 1
	for what, bad := range map[string][]byte{"a wrong magic": wrongMagic, "bytes behind": append(bytes.Clone(good), 0, 0, 0), "bytes missing": good[:len(good)-1]} {
		if _, err := tpmprofile.ParseAttest(bad); err == nil {
			t.Errorf("an attestation structure with %s was accepted", what)
		}
	}
}

func TestEngineKind(t *testing.T) {
	for maker, want := range map[string]attest.StorageKind{
		"IBM": attest.StorageTPMEmulated, "MSFT": attest.StorageTPMEmulated, "IFX": attest.StorageTPMDiscrete,
		"INTC": attest.StorageTPMFirmware, "AMD": attest.StorageTPMFirmware, "": attest.StorageTPMFirmware,
	} {
		if got := (tpmprofile.Engine{Manufacturer: maker}).Kind(); got != want {
			t.Errorf("kind of maker %q = %s, want %s", maker, got, want)
		}
	}
}
