package provision_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/softvault"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

var anchor = provision.Anchor{
	Issuer: "tag:example,2026:oem", OEMID: attest.PENOEMID(32473), TACs: []string{"49015420", "35693803"}, Development: true,
}

func generate(t *testing.T) (*provision.OEM, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "oem")
	oem, err := provision.GenerateOEM(folder, anchor)
	if err != nil {
		t.Fatal(err)
	}
	return oem, folder
}

func TestGeneratedKeysLoad(t *testing.T) {
	made, folder := generate(t)
	loaded, err := provision.LoadOEM(folder)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Issuer != anchor.Issuer || loaded.ID != anchor.OEMID || !loaded.BootKeys().Equal(made.BootKeys()) {
		t.Errorf("loaded %q %s", loaded.Issuer, loaded.ID)
	}
	if err := loaded.Profile(attest.NVPlatform, attest.BootMeasured).Check(); err != nil {
		t.Errorf("the keys make no profile: %v", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 5 {
		t.Errorf("the folder holds %v, %v; want four keys and the anchor", entries, err)
	}
	for _, entry := range entries {
		want := fs.FileMode(0o600)
		if entry.Name() == provision.AnchorFile {
			want = 0o644 // public: a verifier that runs as another user reads the copy
		}
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", entry.Name(), info.Mode(), err, want)
		}
	}
}

func TestAnchorText(t *testing.T) {
	_, folder := generate(t)
	raw, err := os.ReadFile(filepath.Join(folder, provision.AnchorFile))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, want := range []string{
		"issuer: tag:example,2026:oem\n", "oemid: pen:32473\n", "credential_keys:\n", "nv_key: |\n", "boot_key: |\n", "boot_key_standby: |\n",
		"49015420", "35693803", "tpm-discrete", "tpm-firmware", "software", "tpm-emulated", "development: true\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the anchor lacks %q:\n%s", want, text)
		}
	}
	if strings.Count(text, "BEGIN PUBLIC KEY") != 4 || strings.Contains(text, "PRIVATE") {
		t.Errorf("the anchor does not hold four public keys:\n%s", text)
	}
}

func TestKeysAreNeverOverwritten(t *testing.T) {
	_, folder := generate(t)
	if _, err := provision.GenerateOEM(folder, anchor); !errors.Is(err, fs.ErrExist) {
		t.Errorf("GenerateOEM over keys: %v; want %v", err, fs.ErrExist)
	}
	if err := os.Remove(filepath.Join(folder, "credential.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := provision.GenerateOEM(folder, anchor); !errors.Is(err, fs.ErrExist) {
		t.Errorf("GenerateOEM over some of the keys: %v; want %v", err, fs.ErrExist)
	}
}

func TestGenerateRefusesAnAnchor(t *testing.T) {
	for what, spoil := range map[string]func(*provision.Anchor){
		"without issuer":         func(a *provision.Anchor) { a.Issuer = "" },
		"with a long issuer":     func(a *provision.Anchor) { a.Issuer = strings.Repeat("x", 65) },
		"without OEM id":         func(a *provision.Anchor) { a.OEMID = attest.OEMID{} },
		"without TAC":            func(a *provision.Anchor) { a.TACs = nil },
		"with a TAC of 7 digits": func(a *provision.Anchor) { a.TACs = []string{"4901542"} },
		"with letters for a TAC": func(a *provision.Anchor) { a.TACs = []string{"4901542x"} },
	} {
		a, folder := anchor, filepath.Join(t.TempDir(), "oem")
		spoil(&a)
		if _, err := provision.GenerateOEM(folder, a); !errors.Is(err, provision.ErrAnchor) {
			t.Errorf("an anchor %s: %v; want %v", what, err, provision.ErrAnchor)
		}
		if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("an anchor %s left a folder behind", what)
		}
	}
}

// A line does without the boot key: outside a laboratory it approves nothing.
func TestTheBootKeyMayBeKeptElsewhere(t *testing.T) {
	whole, folder := generate(t)
	if err := os.Remove(filepath.Join(folder, "boot.key")); err != nil {
		t.Fatal(err)
	}
	o, err := provision.LoadOEM(folder)
	if err != nil {
		t.Fatal(err)
	}
	if !o.BootKeys().Equal(whole.BootKeys()) {
		t.Error("the devices' policy would be another one")
	}
	if _, err := o.ApproveBoot(tpmprofile.RolePrimary, tpmprofile.BootState{}); !errors.Is(err, provision.ErrKeyLocked) || !strings.Contains(err.Error(), "boot key is not here") {
		t.Errorf("approving with a key that is not here: %v", err)
	}
}

func TestTheStandbyKeyMayBeKeptElsewhere(t *testing.T) {
	whole, folder := generate(t)
	if err := os.Remove(filepath.Join(folder, "boot-standby.key")); err != nil {
		t.Fatal(err)
	}
	o, err := provision.LoadOEM(folder)
	if err != nil {
		t.Fatal(err)
	}
	if !o.BootKeys().Equal(whole.BootKeys()) {
		t.Error("the devices' policy would be another one")
	}
	if _, err := o.ApproveBoot(tpmprofile.RolePrimary, tpmprofile.BootState{}); err != nil {
		t.Errorf("the primary approves nothing: %v", err)
	}
	if _, err := o.ApproveBoot(tpmprofile.RoleStandby, tpmprofile.BootState{}); err == nil || !strings.Contains(err.Error(), "bring it") {
		t.Errorf("approving with a key that is not here: %v", err)
	}
}

func TestAnIMEIThatTheAnchorDoesNotListIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	o, _ := generate(t) // lists the TACs of the two made-up IMEIs
	vault, err := softvault.Create(filepath.Join(t.TempDir(), "vault"))
	if err != nil {
		t.Fatal(err)
	}
	unit := provision.Unit{Slots: []imei.IMEI{attesttest.MustIMEI(attesttest.OtherIMEI)}, Model: "m", Serial: 1, Class: 3}
	_, err = provision.Software(t.Context(), vault, o, unit, provision.Options{Now: attesttest.Now})
	if !errors.Is(err, provision.ErrAnchor) || strings.Contains(err.Error(), attesttest.OtherIMEI) {
		t.Errorf("error %v, want %v without the IMEI", err, provision.ErrAnchor)
	}
	if _, err := vault.Credential(); !errors.Is(err, agent.ErrNotProvisioned) {
		t.Errorf("something was written: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(folder string) error
		says  string
	}{
		"a key others may read":    {func(f string) error { return os.Chmod(filepath.Join(f, "nv.key"), 0o644) }, "chmod 600"},
		"a folder others may read": {func(f string) error { return os.Chmod(f, 0o755) }, "chmod 700"},
		"a key that is missing":    {func(f string) error { return os.Remove(filepath.Join(f, "nv.key")) }, "oem-key"},
		"keys that were swapped": {func(f string) error {
			a, b, c := filepath.Join(f, "boot.key"), filepath.Join(f, "nv.key"), filepath.Join(f, "swap")
			return errors.Join(os.Rename(a, c), os.Rename(b, a), os.Rename(c, b))
		}, "other public keys"},
		"an anchor with an unknown key": {func(f string) error {
			path := filepath.Join(f, provision.AnchorFile)
			raw, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, append(raw, "more: 1\n"...), 0o600))
		}, "more"},
	} {
		_, folder := generate(t)
		if err := c.spoil(folder); err != nil {
			t.Fatal(err)
		}
		if _, err := provision.LoadOEM(folder); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want an error with %q", what, err, c.says)
		}
	}
}

func software(t *testing.T, oem *provision.OEM, path string, digits string) (*provision.Result, error) {
	t.Helper()
	vault, err := softvault.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	unit := provision.Unit{Slots: []imei.IMEI{attesttest.MustIMEI(digits)}, Model: "bench", Serial: 1, Class: 3}
	return provision.Software(t.Context(), vault, oem, unit, provision.Options{
		Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		OpenVault: func(context.Context, []tpmprofile.BootApproval) (agent.Vault, error) {
			return softvault.Open(path)
		},
	})
}

func TestSoftwareVault(t *testing.T) {
	oem, _ := generate(t)
	path := filepath.Join(t.TempDir(), "vault")
	first, err := software(t, oem, path, attesttest.IMEI1)
	if err != nil {
		t.Fatal(err)
	}
	if s := first.Credential.Storage; s.Kind != attest.StorageSoftware || s.Boot != attest.BootUnmeasured || s.RollbackProtected {
		t.Errorf("the credential claims %+v for software", s)
	}
	again, err := software(t, oem, path, attesttest.IMEI1)
	if err != nil || !again.Resumed || string(again.Credential.Raw) != string(first.Credential.Raw) {
		t.Errorf("the second run: resumed %v, %v", again != nil && again.Resumed, err)
	}
	if _, err := software(t, oem, path, attesttest.IMEI2); !errors.Is(err, provision.ErrRefused) {
		t.Errorf("another IMEI: %v; want %v", err, provision.ErrRefused)
	}
}

// What is wrong with a unit is found before its device is looked at, in a request of the line as in what is provisioned here.
func TestUnitsAreChecked(t *testing.T) {
	oem, _ := generate(t)
	id := attesttest.MustIMEI(attesttest.IMEI1)
	for what, spoil := range map[string]func(*provision.Unit){
		"no IMEI":                      func(u *provision.Unit) { u.Slots = nil },
		"an empty IMEI":                func(u *provision.Unit) { u.Slots = []imei.IMEI{{}} },
		"one IMEI twice":               func(u *provision.Unit) { u.Slots = []imei.IMEI{id, id} },
		"five slots":                   func(u *provision.Unit) { u.Slots = []imei.IMEI{id, id, id, id, id} },
		"no model":                     func(u *provision.Unit) { u.Model = "" },
		"a model of 33 bytes":          func(u *provision.Unit) { u.Model = strings.Repeat("m", 33) },
		"a terminal's escape":          func(u *provision.Unit) { u.Model = "m\x1b[2J" },
		"a line break":                 func(u *provision.Unit) { u.Model = "m\nserial 9" },
		"text that runs the other way": func(u *provision.Unit) { u.Model = "m\u202eg" },
		"bytes that are no UTF-8":      func(u *provision.Unit) { u.Model = "m\xff" },
		"serial 0":                     func(u *provision.Unit) { u.Serial = 0 },
		"no class":                     func(u *provision.Unit) { u.Class = 0 },
		"class 4":                      func(u *provision.Unit) { u.Class = 4 },
	} {
		unit := provision.Unit{Slots: []imei.IMEI{id}, Model: "Router \u00e9 5G", Serial: 1, Class: 3}
		if err := unit.Check(); err != nil {
			t.Fatal(err)
		}
		spoil(&unit)
		_, tpm := provision.TPM(t.Context(), nil, oem, unit, provision.Options{})
		_, software := provision.Software(t.Context(), nil, oem, unit, provision.Options{})
		_, request := provision.NewRequest(t.Context(), nil, oem, unit, provision.Options{})
		_, sign := oem.Sign(provision.Request{Unit: unit}, attesttest.Now)
		for by, err := range map[string]error{"TPM": tpm, "Software": software, "NewRequest": request, "Sign": sign} {
			if !errors.Is(err, provision.ErrUnit) {
				t.Errorf("a unit with %s, by %s: %v; want %v", what, by, err, provision.ErrUnit)
			}
		}
	}
}

func TestNothingMeasuredIsApprovedInALaboratoryOnly(t *testing.T) {
	selection, err := tpmprofile.ParsePCRs("sha256:0,2,4,7")
	if err != nil {
		t.Fatal(err)
	}
	reset := tpmprofile.BootState{PCRs: selection, Digest: selection.ResetDigest()}
	measured := tpmprofile.BootState{PCRs: selection, Digest: [32]byte{1}}
	oem, _ := generate(t)
	for _, c := range []struct {
		name        string
		development bool
		state       tpmprofile.BootState
		want        error
	}{
		{"a laboratory, measured", true, measured, nil},
		{"a laboratory, reset", true, reset, nil},
		{"a manufacturer, measured", false, measured, nil},
		{"a manufacturer, not measured and said so", false, tpmprofile.BootState{}, nil},
		{"a manufacturer, reset", false, reset, provision.ErrRefused},
	} {
		oem.Development = c.development
		for _, role := range []tpmprofile.BootRole{tpmprofile.RolePrimary, tpmprofile.RoleStandby} {
			if _, err := oem.ApproveBoot(role, c.state); !errors.Is(err, c.want) {
				t.Errorf("%s, %s key: %v; want %v", c.name, role, err, c.want)
			}
		}
	}
}

// Storage that the anchor does not list gets no Credential: verifiers would refuse each of its tokens.
func TestStorageThatTheAnchorDoesNotListIsRefused(t *testing.T) {
	production := anchor
	production.Development = false
	oem, err := provision.GenerateOEM(filepath.Join(t.TempDir(), "oem"), production)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "vault")
	_, err = software(t, oem, folder, attesttest.IMEI1)
	if !errors.Is(err, provision.ErrAnchor) || !strings.Contains(err.Error(), "storage kind software") || !strings.Contains(err.Error(), "--development") {
		t.Errorf("software: %v; want %v with a remedy", err, provision.ErrAnchor)
	}
	if _, err := os.Stat(filepath.Join(folder, softvault.CredentialFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a Credential is in the vault: %v", err)
	}
	r := sampleRequest(t, oem)
	if _, err := oem.Sign(r, attesttest.Now); !errors.Is(err, provision.ErrAnchor) {
		t.Errorf("a request for an emulated TPM: %v; want %v", err, provision.ErrAnchor)
	}
	r.Storage.Kind, r.Engine.Manufacturer = attest.StorageTPMDiscrete, "IFX"
	if _, err := oem.Sign(r, attesttest.Now); err != nil {
		t.Errorf("a request for a discrete TPM: %v", err)
	}
}

func TestSavedApprovalsLoad(t *testing.T) {
	oem, _ := generate(t)
	selection, err := tpmprofile.ParsePCRs("sha256:0")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, role := range []tpmprofile.BootRole{tpmprofile.RolePrimary, tpmprofile.RoleStandby} {
		a, err := oem.ApproveBoot(role, tpmprofile.BootState{PCRs: selection, Digest: [32]byte{1}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := provision.SaveApproval(folder, a); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, err := tpmprofile.LoadApprovals(os.DirFS(folder)); err != nil || len(got) != 2 {
		t.Errorf("%d approvals came back, %v; want 2", len(got), err)
	}
}
