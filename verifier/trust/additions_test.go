package trust_test

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"imei-attest/attest/attesttest"
	"imei-attest/verifier/trust"
)

func fullFile(t *testing.T) *trust.File {
	return readFile(t, filepath.Join(folder(t, map[string]string{"a.yaml": text(full(t))}), "a.yaml"))
}

// TestAFileSaysEachAdditionInOneForm: whatever form a person wrote.
func TestAFileSaysEachAdditionInOneForm(t *testing.T) {
	f := fullFile(t)
	f.Models[0].HWModel = "hex:62656E6368"
	f.Revoked.DeviceKeys[0] = strings.ToUpper(f.Revoked.DeviceKeys[0])
	f.Revoked.Firmware[0].TACs = "49015420-49015420"
	f.DeniedTPMFirmware[1] = "0x000000000000000F"
	got, err := f.Additions()
	want := &trust.Additions{CredentialKeys: []string{publicPEM(t, "first")},
		Models:            []trust.Model{{HWModel: "bench", Firmware: []string{"RG650V R01", "1.10"}}, {HWModel: "hex:00ff", Firmware: []string{"2026-01-01"}}},
		DeniedTPMFirmware: []string{"0x2019003300000000", "0x000000000000000f"},
		Revoked: trust.Revoked{Credentials: []string{strings.Repeat("ab", 32)}, DeviceKeys: []string{keyID("device").String()},
			CredentialKeys: []string{keyID("first").String()},
			Firmware:       []trust.FirmwareRange{{TACs: "49015420", From: "R01", To: "R03"}, {TACs: "35693803-35693804", From: "R9", To: "R10"}}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if err := got.Check(); err != nil {
		t.Errorf("refused: %v", err)
	}
}

func TestWhatIsThereIsNotAddedAgain(t *testing.T) {
	f, more := fullFile(t), new(trust.Additions)
	var err error
	if more, err = f.Additions(); err != nil {
		t.Fatal(err)
	}
	added, err := f.Add(more)
	if err != nil || !added.IsEmpty() || !reflect.DeepEqual(f, fullFile(t)) {
		t.Errorf("added %+v, %v; the file is %+v", added, err, f)
	}
}

func TestAdditionsAreAppended(t *testing.T) {
	f := fullFile(t)
	more := &trust.Additions{CredentialKeys: []string{publicPEM(t, "next")},
		Models:            []trust.Model{{HWModel: "bench", Firmware: []string{"1.10", "R02"}}, {HWModel: "new", Firmware: []string{"1"}}},
		DeniedTPMFirmware: []string{"0x0000000000000002"},
		Revoked:           trust.Revoked{CredentialKeys: []string{keyID("next").String()}}}
	added, err := f.Add(more)
	want := *more
	want.Models = []trust.Model{{HWModel: "bench", Firmware: []string{"R02"}}, {HWModel: "new", Firmware: []string{"1"}}}
	if err != nil || !reflect.DeepEqual(added, &want) {
		t.Fatalf("added %+v, %v, want %+v", added, err, want)
	}
	wantFile := fullFile(t)
	wantFile.CredentialKeys = append(wantFile.CredentialKeys, publicPEM(t, "next"))
	wantFile.Models[0].Firmware = append(wantFile.Models[0].Firmware, "R02")
	wantFile.Models = append(wantFile.Models, trust.Model{HWModel: "new", Firmware: []string{"1"}})
	wantFile.DeniedTPMFirmware = append(wantFile.DeniedTPMFirmware, "0x0000000000000002")
	wantFile.Revoked.CredentialKeys = append(wantFile.Revoked.CredentialKeys, keyID("next").String())
	if !reflect.DeepEqual(f, wantFile) {
		t.Errorf("the file is %+v, want %+v", f, wantFile)
	}
}

func TestBadAdditionsLeaveTheFileAsItWas(t *testing.T) {
	revoked := func(r trust.Revoked) *trust.Additions { return &trust.Additions{Revoked: r} }
	model := func(name string, firmware ...string) *trust.Additions {
		return &trust.Additions{Models: []trust.Model{{HWModel: name, Firmware: firmware}}}
	}
	for _, c := range []struct {
		name string
		more *trust.Additions
		want string
	}{
		{"a model in hex that is text", model("hex:41", "1"), "another form"},
		{"a model without firmware", model("m"), "firmware: empty"},
		{"a revision twice", model("m", "1", "1"), "says the same"},
		{"a revision of 33 bytes", model("m", strings.Repeat("1", 33)), "1 to 32 bytes"},
		{"an id in capitals", revoked(trust.Revoked{DeviceKeys: []string{strings.Repeat("AB", 16)}}), "another form"},
		{"an id that is short", revoked(trust.Revoked{DeviceKeys: []string{"ab"}}), "32 hex digits"},
		{"a digest that is no hex", revoked(trust.Revoked{Credentials: []string{"x"}}), "64 hex digits"},
		{"a revoked key that is not the manufacturer's", revoked(trust.Revoked{CredentialKeys: []string{keyID("other").String()}}), "none of the file's"},
		{"a range of one TAC", revoked(trust.Revoked{Firmware: []trust.FirmwareRange{{TACs: "49015420-49015420", From: "1", To: "2"}}}), "another form"},
		{"the TACs of another manufacturer", revoked(trust.Revoked{Firmware: []trust.FirmwareRange{{TACs: "86871907", From: "1", To: "2"}}}), "within no entry"},
		{"revisions from last to first", revoked(trust.Revoked{Firmware: []trust.FirmwareRange{{TACs: "49015420", From: "2", To: "1"}}}), "exchange them"},
		{"a version in capitals", &trust.Additions{DeniedTPMFirmware: []string{"0x000000000000000F"}}, "another form"},
		{"a certificate", &trust.Additions{CredentialKeys: []string{pemOf(t, "CERTIFICATE", &attesttest.Key("next").PublicKey)}}, "credential_keys: entry 1"},
		{"a key with a comment", &trust.Additions{CredentialKeys: []string{"comment\n" + publicPEM(t, "next")}}, "another form"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := fullFile(t)
			added, err := f.Add(c.more)
			if err == nil || added != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("added %+v, %v, want an error that says %q", added, err, c.want)
			}
			if !reflect.DeepEqual(f, fullFile(t)) {
				t.Errorf("the file is %+v", f)
			}
		})
	}
}
