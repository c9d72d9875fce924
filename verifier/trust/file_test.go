package trust_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

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
