package trust_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/trust"
)

func keyID(name string) attest.KeyID { return attest.KeyIDOf(&attesttest.Key(name).PublicKey) }

// full is a file that says everything.
func full(t testing.TB) map[string]string {
	lines := good(t, "first")
	lines["tacs"] = "tacs: [\"49015420\", \"35693800-35693899\"]\n"
	lines["end"] = fmt.Sprintf(`models:
  - hwmodel: bench
    firmware: ["RG650V R01", 1.10]
  - hwmodel: hex:00ff
    firmware: [2026-01-01]
denied_tpm_firmware: [0x2019003300000000, "0x0000000000000001"]
revoked:
  credentials: ["%s"]
  device_keys: ["%s"]
  credential_keys: ["%s"]
  firmware:
    - tacs: "49015420"
      from: R01
      to: R03
    - tacs: "35693803-35693804"
      from: R9
      to: R10
`, strings.Repeat("ab", 32), keyID("device"), keyID("first"))
	return lines
}

func fullAnchor() *verifier.Anchor {
	return &verifier.Anchor{Issuer: "tag:example,2026:oem", OEMID: attest.PENOEMID(32473),
		TACs:         []verifier.TACRange{tac("49015420", "49015420"), tac("35693800", "35693899")},
		StorageKinds: []attest.StorageKind{attest.StorageTPMDiscrete, attest.StorageSoftware},
		NVKey:        &attesttest.Key("nv").PublicKey, BootKey: &attesttest.Key("boot").PublicKey, BootKeyStandby: &attesttest.Key("standby").PublicKey,
		Models:            []verifier.Model{{HWModel: "bench", Firmware: []string{"RG650V R01", "1.10"}}, {HWModel: "\x00\xff", Firmware: []string{"2026-01-01"}}},
		DeniedTPMFirmware: []uint64{0x2019003300000000, 1},
		Revoked: verifier.Revocations{
			Credentials:    map[[32]byte]bool{[32]byte(hexBytes(strings.Repeat("ab", 32))): true},
			DeviceKeys:     map[attest.KeyID]bool{keyID("device"): true},
			CredentialKeys: map[attest.KeyID]bool{keyID("first"): true},
			Firmware: []verifier.FirmwareRange{{TACs: tac("49015420", "49015420"), From: "R01", To: "R03"},
				{TACs: tac("35693803", "35693804"), From: "R9", To: "R10"}},
		}}
}

func tac(first, last imei.TAC) verifier.TACRange { return verifier.TACRange{First: first, Last: last} }

func hexBytes(text string) []byte {
	raw, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return raw
}

func TestEveryKeyOfAFileIsRead(t *testing.T) {
	_, anchors, err := trust.Load(folder(t, map[string]string{"a.yaml": text(full(t))}))
	if err != nil {
		t.Fatal(err)
	}
	if want := fullAnchor(); !reflect.DeepEqual(anchors[0], want) {
		t.Errorf("got %+v, want %+v", anchors[0], want)
	}
}

// TestAFileIsWrittenAsItWasRead: the same anchor, and from then on the same bytes.
func TestAFileIsWrittenAsItWasRead(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": text(full(t))})
	f := readFile(t, filepath.Join(dir, "a.yaml"))
	first, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "b.yaml")
	if err := os.WriteFile(path, first, 0o644); err != nil {
		t.Fatal(err)
	}
	again := readFile(t, path)
	second, err := again.Encode()
	if err != nil || string(second) != string(first) || !reflect.DeepEqual(again, f) {
		t.Errorf("%v\n%s\nthen\n%s", err, first, second)
	}
	if a, err := again.Anchor(); err != nil || !reflect.DeepEqual(a, fullAnchor()) {
		t.Errorf("%+v, %v", a, err)
	}
	if !strings.HasPrefix(string(first), "# ") || !strings.Contains(string(first), "no other comment") {
		t.Errorf("no header in\n%s", first)
	}
}

func readFile(t testing.TB, path string) *trust.File {
	t.Helper()
	f, err := trust.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestABadPartOfAFileIsRefused, and the message names the place in the file.
func TestABadPartOfAFileIsRefused(t *testing.T) {
	revoked := func(line string) string { return "revoked:\n  " + line + "\n" }
	firmware := func(tacs, from, to string) string {
		return revoked(fmt.Sprintf("firmware: [{tacs: \"49015420\", from: A, to: A}, {tacs: %q, from: %q, to: %q}]", tacs, from, to))
	}
	id, digest := keyID("device").String(), strings.Repeat("ab", 32)
	many := func(format string) string {
		var b strings.Builder
		for i := range 10_001 {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, c := range []struct{ name, lines, want string }{
		{"a model twice", "models: [{hwmodel: bench, firmware: [R1]}, {hwmodel: hex:62656e6368, firmware: [R2]}]\n",
			"models: entry 2 says the same as entry 1: remove one"},
		{"a model without a name", "models: [{firmware: [R1]}]\n", "models: entry 1: hwmodel must have 1 to 32 bytes"},
		{"a long model", "models: [{hwmodel: " + strings.Repeat("m", 33) + ", firmware: [R1]}]\n", "models: entry 1: hwmodel must have 1 to 32 bytes, not 33"},
		{"a model of bytes", "models: [{hwmodel: \"\\x01\", firmware: [R1]}]\n", "no printable text: write hex:"},
		{"a model of half a byte", "models: [{hwmodel: hex:0, firmware: [R1]}]\n", "want pairs of hex digits after hex:"},
		{"a model of no bytes", "models: [{hwmodel: \"hex:\", firmware: [R1]}]\n", "1 to 32 bytes"},
		{"a model without firmware", "models: [{hwmodel: bench, firmware: []}]\n", "models: entry 1: firmware: empty: list the approved revisions"},
		{"a model with an unknown key", "models: [{hwmodel: bench, firmware: [R1], fw: [R2]}]\n", `unknown key "fw"`},
		{"a revision twice", "models: [{hwmodel: bench, firmware: [R1, R2, R1]}]\n", "models: entry 1: firmware: entry 3 says the same as entry 1"},
		{"a long revision", "models: [{hwmodel: bench, firmware: [" + strings.Repeat("R", 33) + "]}]\n", "want 1 to 32 bytes of printable text"},
		{"a revision with a line's end", "models: [{hwmodel: bench, firmware: [\"R1\\n\"]}]\n", "printable text"},
		{"too many models", "models:\n" + many("- {hwmodel: m%d, firmware: [R1]}\n"), "models: 10001 entries, at most 10000"},
		{"a model that is text", "models: [bench]\n", "want keys with values, not !!str"},
		{"TPM firmware in decimal", "denied_tpm_firmware: [1]\n", `denied_tpm_firmware: entry 1: "1": want 0x and 16 hex digits`},
		{"half of TPM firmware", "denied_tpm_firmware: [0x20190033]\n", "want 0x and 16 hex digits"},
		{"TPM firmware with an underscore", "denied_tpm_firmware: [0x2019_033_0000_00]\n", "want 0x and 16 hex digits"},
		{"TPM firmware twice", "denied_tpm_firmware: [0x00000000000000AB, 0x00000000000000ab]\n", "entry 2 says the same as entry 1"},
		{"a digest that is short", revoked("credentials: [" + digest[2:] + "]"), "revoked.credentials: entry 1"},
		{"a digest twice", revoked("credentials: [" + digest + ", " + strings.ToUpper(digest) + "]"), "revoked.credentials: entry 2 says the same as entry 1"},
		{"a key id that is long", revoked("device_keys: [" + id + "00]"), "revoked.device_keys: entry 1: \"" + id + "00\": want 32 hex digits"},
		{"a key id that is no hex", revoked("device_keys: [" + id[:31] + "g]"), "want 32 hex digits"},
		{"a key id twice", revoked("device_keys: [" + id + ", " + id + "]"), "revoked.device_keys: entry 2 says the same as entry 1"},
		{"a credential key of somebody else", revoked("credential_keys: [" + id + "]"), "is none of the file's credential_keys, whose ids are [" + keyID("first").String() + "]: leave the key there"},
		{"an unknown kind of revocation", revoked("serials: [1]"), `unknown key "serials"`},
		{"a revocation without a value", revoked("device_keys:\n    -"), "a value is missing"},
		{"nothing revoked", "revoked:\n", "a value is missing"},
		{"firmware in the wrong order", firmware("49015420", "R10", "R9"), `revoked.firmware: entry 2: from "R10" comes after to "R9": exchange them`},
		{"firmware without an end", firmware("49015420", "R10", ""), "revoked.firmware: entry 2: to:"},
		{"firmware without a begin", firmware("49015420", "", "R1"), "revoked.firmware: entry 2: from:"},
		{"firmware of all TACs", firmware("*", "R1", "R2"), `revoked.firmware: entry 2: tacs: "*": want 8 digits`},
		{"firmware of a TAC of somebody else", firmware("49015421", "R1", "R2"), "49015421 lies within no entry of the file's own tacs"},
		{"firmware of more TACs than its own", firmware("49015420-49015421", "R1", "R2"), "lies within no entry"},
		{"firmware twice", firmware("49015420", "A", "A"), "revoked.firmware: entry 2 says the same as entry 1"},
		{"too much firmware", "revoked:\n  firmware:\n" + many("  - {tacs: \"49015420\", from: R%d, to: S}\n"), "revoked.firmware: 10001 entries"},
		{"a file that is too large", "#" + strings.Repeat("x", 8<<20), "more than 8388608 bytes"},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			lines := good(t, "first")
			lines["end"] = c.lines
			dir := folder(t, map[string]string{"bad.yaml": text(lines)})
			wantRefusal(t, dir, filepath.Join(dir, "bad.yaml"), c.want, "mended or removed")
			_, err := trust.ReadFile(filepath.Join(dir, "bad.yaml"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ReadFile says %v", err)
			}
			_, said, _ := strings.Cut(fmt.Sprint(err), "bad.yaml: ")
			for _, name := range []string{"trust.", "[]", "main.", "yaml:", "TPMFirmware", "KeyID"} { // of Go
				if strings.Contains(said, name) {
					t.Errorf("%q speaks of %s", said, name)
				}
			}
		})
	}
}

// TestWhatWouldBeRefusedIsNotWritten.
func TestWhatWouldBeRefusedIsNotWritten(t *testing.T) {
	f := readFile(t, filepath.Join(folder(t, map[string]string{"a.yaml": text(full(t))}), "a.yaml"))
	f.Revoked.DeviceKeys = append(f.Revoked.DeviceKeys, f.Revoked.DeviceKeys[0])
	if raw, err := f.Encode(); err == nil || !strings.Contains(err.Error(), "revoked.device_keys") {
		t.Errorf("%v\n%s", err, raw)
	}
	if raw, err := new(trust.File).Encode(); err == nil {
		t.Errorf("nothing was written as\n%s", raw)
	}
}

func TestAnHWModelIsWrittenAsItReads(t *testing.T) {
	for want, model := range map[string]string{
		"bench": "bench", "RG650V-EU 2": "RG650V-EU 2", "módem": "módem", "hex:00ff": "\x00\xff", "hex:6865783a3030": "hex:00", "hex:610a": "a\n",
	} {
		if got := trust.FormatHWModel([]byte(model)); got != want {
			t.Errorf("%q: got %q, want %q", model, got, want)
		}
		lines := good(t, "first")
		lines["end"] = fmt.Sprintf("models: [{hwmodel: %q, firmware: [R1]}]\n", want)
		_, anchors, err := trust.Load(folder(t, map[string]string{"a.yaml": text(lines)}))
		if err != nil || anchors[0].Models[0].HWModel != model {
			t.Errorf("%q: %v, %v", want, anchors, err)
		}
	}
}

// TestACertificateStandsForItsKey, expired as it may be.
func TestACertificateStandsForItsKey(t *testing.T) {
	certificate := func(key crypto.Signer) string {
		t.Helper()
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1, 0)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	lines := full(t)
	lines["credential_keys"] = "credential_keys:\n  - " + block(certificate(attesttest.Key("first")))
	_, anchors, err := trust.Load(folder(t, map[string]string{"a.yaml": text(lines)}))
	if err != nil || !reflect.DeepEqual(anchors[0], fullAnchor()) { // which revokes that very key
		t.Errorf("%+v, %v", anchors, err)
	}

	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"of an RSA key":       {certificate(rsaKey), "P-256 or P-384"},
		"that is cut":         {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "no certificate that can be read"},
		"and its key, in one": {certificate(attesttest.Key("first")) + publicPEM(t, "first"), "one PEM block"},
	} {
		lines["credential_keys"] = "credential_keys:\n  - " + block(c.text)
		t.Run("a certificate "+name, func(t *testing.T) {
			wantRefusal(t, folder(t, map[string]string{"a.yaml": text(lines)}), "credential_keys: entry 1", c.want)
		})
	}
}

// TestTheREADMEListsEveryKey of a file, in the section for operators.
func TestTheREADMEListsEveryKey(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Trust folder\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var check func(reflect.Type)
	check = func(of reflect.Type) {
		for of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct {
			return
		}
		for _, field := range reflect.VisibleFields(of) {
			key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			if key == "" || !strings.Contains(section, "`"+key+"`") {
				t.Errorf("verifier/README.md does not list %q, of %s", key, field.Name)
			}
			check(field.Type)
		}
	}
	check(reflect.TypeFor[trust.File]())
}
