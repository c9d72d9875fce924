package corim_test

import (
	"bytes"
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier/trust"
	"imei-attest/verifier/trust/corim"
)

const issuer = "tag:oem.example,2026:devices"

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func public(t testing.TB, name string) string {
	t.Helper()
	text, err := trust.FormatKey(&attesttest.Key(name).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func keyID(name string) string { return attest.KeyIDOf(&attesttest.Key(name).PublicKey).String() }

// bare is the file of a manufacturer that has published nothing yet but the keys of these names.
func bare(t testing.TB, keys ...string) *trust.File {
	f := &trust.File{Issuer: issuer, OEMID: "pen:32473", NVKey: public(t, "nv"), BootKey: public(t, "boot"), BootKeyStandby: public(t, "standby"),
		TACs: []string{"49015420", "35693800-35693899"}, StorageKinds: []string{"tpm-discrete"}}
	for _, name := range keys {
		f.CredentialKeys = append(f.CredentialKeys, public(t, name))
	}
	return f
}

// full says everything that a CoRIM can, of the keys first and second.
func full(t testing.TB) *trust.File {
	f := bare(t, "first", "second")
	f.Models = []trust.Model{{HWModel: "bench", Firmware: []string{"R01", "R02 ä"}}, {HWModel: "hex:00ff", Firmware: []string{"1.10"}}}
	f.DeniedTPMFirmware = []string{"0x2019003300000000"}
	f.Revoked = trust.Revoked{Credentials: []string{strings.Repeat("ab", 32)}, DeviceKeys: []string{keyID("device")}, CredentialKeys: []string{keyID("second")},
		Firmware: []trust.FirmwareRange{{TACs: "49015420", From: "R01", To: "R03"}, {TACs: "35693803-35693804", From: "R9", To: "R10"}}}
	return f
}

// folder writes files by name.
func folder(t testing.TB, files map[string]*trust.File) string {
	t.Helper()
	dir := t.TempDir()
	for name, f := range files {
		content, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func oem(t testing.TB, f *trust.File) string {
	return folder(t, map[string]*trust.File{"oem.yaml": f})
}

func export(t testing.TB, f *trust.File, key string) []byte {
	t.Helper()
	raw, err := corim.Export(nil, oem(t, f), issuer, attesttest.Key(key), now)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func read(t testing.TB, dir, name string) *trust.File {
	t.Helper()
	f, err := trust.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// additions is what a file says, in its one form.
func additions(t testing.TB, f *trust.File) *trust.Additions {
	t.Helper()
	a, err := f.Additions()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// snapshot is all that a folder holds.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	content := make(map[string]string)
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		content[entry.Name()] = string(raw)
	}
	return content
}

// document is what the full file says.
func document(t testing.TB) *corim.Document {
	t.Helper()
	frame, err := attest.DecodeCoRIM(export(t, full(t), "first"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := corim.Decode(frame.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// signed is a document signed by a key, in the name of an issuer.
func signed(t testing.TB, d *corim.Document, key *ecdsa.PrivateKey, name string) []byte {
	t.Helper()
	payload, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := attest.SignCoRIM(nil, name, payload, attesttest.Signer(key), attest.KeyIDOf(&key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAFileSurvivesTheRoundTrip(t *testing.T) {
	raw := export(t, full(t), "first")
	if !bytes.HasPrefix(raw, []byte{0xd2, 0x84}) || !bytes.Contains(raw, []byte{0xd9, 0x01, 0xf5}) { // draft-ietf-rats-corim-11 section 11.12
		t.Errorf("the magic numbers are not in %x", raw)
	}
	dir := oem(t, bare(t, "first"))
	added, err := corim.Import(dir, raw, corim.Options{Now: now, NewKeys: true})
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, dir, "oem.yaml")
	if want := additions(t, full(t)); !reflect.DeepEqual(additions(t, got), want) {
		t.Errorf("got %+v, want %+v", additions(t, got), want)
	}
	want := additions(t, full(t))
	want.CredentialKeys = want.CredentialKeys[1:] // the first was there
	if !reflect.DeepEqual(added, want) {
		t.Errorf("added %+v, want %+v", added, want)
	}
	if again, err := corim.Export(nil, dir, issuer, attesttest.Key("first"), now); err != nil || !bytes.Equal(again, raw) {
		t.Errorf("exported again: %x, %v, want %x", again, err, raw)
	}
}

func TestTheSecondImportAddsNothing(t *testing.T) {
	dir := oem(t, full(t))
	path := filepath.Join(dir, "oem.yaml")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content = append([]byte("# a comment of the operator's\n"), content...)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	added, err := corim.Import(dir, export(t, full(t), "first"), corim.Options{Now: now})
	if err != nil || !added.IsEmpty() {
		t.Errorf("added %+v, %v", added, err)
	}
	if after := snapshot(t, dir); !reflect.DeepEqual(after, before) {
		t.Errorf("the folder was changed: %v", after)
	}
}

func TestADryRunTellsAndChangesNothing(t *testing.T) {
	dir := oem(t, bare(t, "first", "second"))
	before, raw := snapshot(t, dir), export(t, full(t), "first")
	dry, err := corim.Import(dir, raw, corim.Options{Now: now, DryRun: true})
	if err != nil || dry.IsEmpty() {
		t.Fatalf("%+v, %v", dry, err)
	}
	if after := snapshot(t, dir); !reflect.DeepEqual(after, before) {
		t.Errorf("the folder was changed: %v", after)
	}
	if wet, err := corim.Import(dir, raw, corim.Options{Now: now}); err != nil || !reflect.DeepEqual(wet, dry) {
		t.Errorf("added %+v, %v, the dry run said %+v", wet, err, dry)
	}
}

// TestEntriesInOtherFormsAreTheSame: a file that a person wrote.
func TestEntriesInOtherFormsAreTheSame(t *testing.T) {
	f := full(t)
	f.Models[0].HWModel = "hex:62656E6368" // bench
	f.Revoked.Credentials[0] = strings.ToUpper(f.Revoked.Credentials[0])
	f.Revoked.Firmware[0].TACs = "49015420-49015420"
	f.CredentialKeys[0] = "\n" + f.CredentialKeys[0]
	added, err := corim.Import(oem(t, f), export(t, full(t), "first"), corim.Options{Now: now})
	if err != nil || !added.IsEmpty() {
		t.Errorf("added %+v, %v", added, err)
	}
}

// TestAnOldDocumentTakesNothingBack: revocations, and the approval of a revision that was revoked since, stay as they are.
func TestAnOldDocumentTakesNothingBack(t *testing.T) {
	old := bare(t, "first", "second")
	old.Models = []trust.Model{{HWModel: "bench", Firmware: []string{"R00"}}}
	dir := oem(t, full(t))
	added, err := corim.Import(dir, export(t, old, "first"), corim.Options{Now: now.Add(24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if want := (&trust.Additions{Models: []trust.Model{{HWModel: "bench", Firmware: []string{"R00"}}}}); !reflect.DeepEqual(added, want) {
		t.Errorf("added %+v, want %+v", added, want)
	}
	got, want := additions(t, read(t, dir, "oem.yaml")), additions(t, full(t))
	if !reflect.DeepEqual(got.Revoked, want.Revoked) || !reflect.DeepEqual(got.DeniedTPMFirmware, want.DeniedTPMFirmware) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestOnlyTheManufacturersOwnFileIsTouched: with a second one in the folder, which comes first.
func TestOnlyTheManufacturersOwnFileIsTouched(t *testing.T) {
	other := bare(t, "other")
	other.Issuer, other.OEMID = "tag:other.example,2026:devices", "pen:32474"
	dir := folder(t, map[string]*trust.File{"a.yaml": other, "oem.yaml": bare(t, "first", "second")})
	before := snapshot(t, dir)
	if _, err := corim.Import(dir, export(t, full(t), "first"), corim.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	after := snapshot(t, dir)
	if after["a.yaml"] != before["a.yaml"] || after["oem.yaml"] == before["oem.yaml"] || len(after) != 2 {
		t.Errorf("before %v, after %v", before, after)
	}
	got, want := read(t, dir, "oem.yaml"), full(t)
	got.CredentialKeys, want.CredentialKeys = nil, nil // YAML ends a text as it likes
	if !reflect.DeepEqual(got.TACs, want.TACs) || !reflect.DeepEqual(got.StorageKinds, want.StorageKinds) || got.Development ||
		strings.TrimSpace(got.NVKey+got.BootKey+got.BootKeyStandby) != strings.TrimSpace(want.NVKey+want.BootKey+want.BootKeyStandby) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if info, err := os.Stat(filepath.Join(dir, "oem.yaml")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v, want that of the file before", info.Mode(), err)
	}
}
