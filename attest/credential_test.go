package attest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"

	"github.com/fxamacker/cbor/v2"
)

func randomOEMID(r *rand.Rand) attest.OEMID {
	texts := []string{"ieee:" + hex.EncodeToString(randomBytes(r, 3)), "random:" + hex.EncodeToString(randomBytes(r, 16))}
	if n := r.IntN(3); n < 2 {
		id, err := attest.ParseOEMID(texts[n])
		if err != nil {
			panic(err)
		}
		return id
	}
	return attest.PENOEMID(1 + r.Uint32N(1<<32-1))
}

func randomCredential(r *rand.Rand) attest.Credential {
	c := attest.Credential{
		Issuer: randomText(r, 1, 64), IssuedAt: time.Unix(1+r.Int64N(1<<40), 0).UTC(), Key: &attesttest.Key(randomText(r, 8, 8)).PublicKey,
		Slots: randomIMEIs(r), OEMID: randomOEMID(r), HWModel: randomBytes(r, 1+r.IntN(32)), Serial: r.Uint64(), ClientClass: uint8(1 + r.IntN(3)),
		Storage: attest.Storage{Kind: attest.StorageKind(1 + r.IntN(5)), Boot: attest.BootKind(1 + r.IntN(2)),
			RecordID: [16]byte(randomBytes(r, 16)), RollbackProtected: r.IntN(2) == 0},
	}
	if c.Storage.Kind.IsTPM() {
		c.Storage.NV, c.Storage.KeyName = attest.NVVariant(1+r.IntN(2)), randomBytes(r, 34)
	}
	if r.IntN(2) == 0 {
		c.Storage.EKNameHash = randomBytes(r, 32)
	}
	return c
}

func TestWordsOfStorage(t *testing.T) {
	for got, want := range map[fmt.Stringer]string{
		attest.BootMeasured: "measured", attest.BootUnmeasured: "unmeasured", attest.BootKind(0): "kind 0", attest.BootKind(3): "kind 3",
		attest.NVPlatform: "platform", attest.NVOwner: "owner", attest.NVVariant(0): "variant 0", attest.NVVariant(3): "variant 3",
	} {
		if got.String() != want {
			t.Errorf("%T %v, want %s", got, got, want)
		}
	}
}

func TestCredentialRoundTrip(t *testing.T) {
	r, c := source(), grammar(t)
	for round := range 200 {
		want := randomCredential(r)
		raw := attesttest.SignedCredential(want)
		got, err := attest.DecodeCredential(raw)
		if err != nil {
			t.Fatalf("round %d: %v of %x", round, err, raw)
		}
		if !got.Key.Equal(want.Key) || got.DeviceKeyID != attest.KeyIDOf(want.Key) {
			t.Fatalf("round %d: another key", round)
		}
		got.Key = want.Key // the same point may stand in another form
		if !reflect.DeepEqual(got.Credential, want) {
			t.Fatalf("round %d: got %+v, want %+v", round, got.Credential, want)
		}
		if err := c.obeys(t, "credential", raw); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

func TestCredentialPrefixesAreTruncated(t *testing.T) {
	raw := attesttest.SignedCredential(attesttest.Credential())
	for n := range raw {
		if _, err := attest.DecodeCredential(raw[:n]); attest.ClassOf(err) != attest.ClassTruncated {
			t.Errorf("%d of %d bytes: got %v, want class %s", n, len(raw), err, attest.ClassTruncated)
		}
	}
}

func TestSignCredentialRefusesWhatItCouldNotRead(t *testing.T) {
	for name, spoil := range map[string]func(*attest.Credential){
		"no issuer":          func(c *attest.Credential) { c.Issuer = "" },
		"long issuer":        func(c *attest.Credential) { c.Issuer = strings.Repeat("i", 65) },
		"no time":            func(c *attest.Credential) { c.IssuedAt = time.Time{} },
		"no key":             func(c *attest.Credential) { c.Key = nil },
		"a key on P-384":     func(c *attest.Credential) { c.Key = &attesttest.Key384("x").PublicKey },
		"no IMEI":            func(c *attest.Credential) { c.Slots = nil },
		"one IMEI twice":     func(c *attest.Credential) { c.Slots = append(c.Slots, c.Slots[0]) },
		"no OEM id":          func(c *attest.Credential) { c.OEMID = attest.OEMID{} },
		"no model":           func(c *attest.Credential) { c.HWModel = nil },
		"storage of no kind": func(c *attest.Credential) { c.Storage.Kind = 0 },
		"boot of no kind":    func(c *attest.Credential) { c.Storage.Boot = 0 },
		"TPM without a Name": func(c *attest.Credential) {
			c.Storage.Kind, c.Storage.NV = attest.StorageTPMDiscrete, attest.NVPlatform
		},
		"a file with an NV variant": func(c *attest.Credential) { c.Storage.NV = attest.NVPlatform },
		"short EK hash":             func(c *attest.Credential) { c.Storage.EKNameHash = make([]byte, 31) },
		"client class 0":            func(c *attest.Credential) { c.ClientClass = 0 },
	} {
		c := attesttest.Credential()
		spoil(&c)
		if raw, err := attest.SignCredential(nil, c, attesttest.Signer(attesttest.OEMKey), attest.KeyID{}); err == nil {
			t.Errorf("%s: signed as %x", name, raw)
		}
	}
}

func TestStorageKindNames(t *testing.T) {
	for kind := attest.StorageTPMDiscrete; kind <= attest.StorageTPMEmulated; kind++ {
		if got, err := attest.ParseStorageKind(kind.String()); err != nil || got != kind {
			t.Errorf("%s: got %v, %v", kind, got, err)
		}
	}
	for _, name := range []string{"", "tpm", "kind 0"} {
		if got, err := attest.ParseStorageKind(name); err == nil {
			t.Errorf("%q: got %v", name, got)
		}
	}
	if got := attest.StorageKind(9).String(); got != "kind 9" {
		t.Errorf("got %q", got)
	}
}

// TestBindingHash has one golden value, computed once without this package: it is burnt into devices.
func TestBindingHash(t *testing.T) {
	slots := []imei.IMEI{attesttest.MustIMEI(attesttest.IMEI1), attesttest.MustIMEI(attesttest.IMEI2)}
	record := [16]byte([]byte("0123456789abcdef"))
	const want = "8ae77296eb1212822b64a8a9899ac025aa65ce5b6e7ffaaa4dc0b85b26d22f81"
	got, err := attest.BindingHash(attest.PENOEMID(32473), slots, record)
	if err != nil || hex.EncodeToString(got[:]) != want {
		t.Errorf("got %x, %v, want %s", got, err, want)
	}
	content := []any{"imei-attest-nv-v1", uint64(32473), []any{slots[0].UEID(), slots[1].UEID()}, record[:]}
	if err := grammar(t).match("binding", content); err != nil {
		t.Error(err)
	}
	raw, err := deterministic.Marshal(content)
	if sum := sha256.Sum256(raw); err != nil || sum != got {
		t.Errorf("by profile.cddl it is %x, %v", sum, err)
	}
	slices.Reverse(slots)
	if other, err := attest.BindingHash(attest.PENOEMID(32473), slots, record); err != nil || other == got {
		t.Errorf("the order of slots makes no difference: %x, %v", other, err)
	}
	for name, err := range map[string]error{
		"no OEM":    second(attest.BindingHash(attest.OEMID{}, slots, record)),
		"no slot":   second(attest.BindingHash(attest.PENOEMID(1), nil, record)),
		"zero slot": second(attest.BindingHash(attest.PENOEMID(1), []imei.IMEI{{}}, record)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestBindingHashOfEveryDevice: each form of OEM id, and each number of slots, encoded by the library.
func TestBindingHashOfEveryDevice(t *testing.T) {
	r := source()
	for range 100 {
		c := randomCredential(r)
		var ueids []any
		for _, id := range c.Slots {
			ueids = append(ueids, id.UEID())
		}
		got, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := deterministic.Marshal([]any{"imei-attest-nv-v1", c.OEMID, ueids, c.Storage.RecordID[:]})
		if want := sha256.Sum256(raw); err != nil || got != want {
			t.Errorf("%s, %d slots: got %x, want %x, %v", c.OEMID, len(c.Slots), got, want, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestOEMIDForms(t *testing.T) {
	for _, tt := range []struct{ text, encoded string }{
		{"pen:1", "01"},
		{"pen:32473", "197ed9"},
		{"pen:4294967295", "1affffffff"},
		{"ieee:AC80DE", "43ac80de"},
		{"random:00112233445566778899aabbccddeeff", "5000112233445566778899aabbccddeeff"},
	} {
		id, err := attest.ParseOEMID(tt.text)
		if err != nil || id.String() != tt.text || id.IsZero() {
			t.Errorf("%s: got %v, %v", tt.text, id, err)
		}
		raw, err := cbor.Marshal(id)
		if err != nil || hex.EncodeToString(raw) != tt.encoded {
			t.Errorf("%s: encoded as %x, %v, want %s", tt.text, raw, err, tt.encoded)
		}
		var back attest.OEMID
		if err := cbor.Unmarshal(raw, &back); err != nil || back != id {
			t.Errorf("%s: decoded as %v, %v", tt.text, back, err)
		}
	}
	for _, text := range []string{"", "pen:", "pen:0", "pen:-1", "pen:4294967296", "32473", "ieee:AC80", "ieee:AC80DE00", "random:00", "mac:AC80DE"} {
		if id, err := attest.ParseOEMID(text); err == nil || !id.IsZero() {
			t.Errorf("%q: got %v", text, id)
		}
	}
	for _, encoded := range []string{"00", "1b0000000100000000", "20", "40", "44ac80de00", "63616263", "f6", "80"} {
		raw, err := hex.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		var id attest.OEMID
		if err := cbor.Unmarshal(raw, &id); err == nil && !id.IsZero() {
			t.Errorf("%s: got %v", encoded, id)
		}
	}
	if !(attest.OEMID{}).IsZero() {
		t.Error("the zero value names somebody")
	}
}
