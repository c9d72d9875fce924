package corim_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier/trust"
	"imei-attest/verifier/trust/corim"
)

// TestARefusedImportChangesNothing: each says why, and is the document's fault.
func TestARefusedImportChangesNothing(t *testing.T) {
	firstKey, key := attesttest.Key("first"), func(name string) *ecdsa.PrivateKey { return attesttest.Key(name) }
	edited := func(edit func(*corim.Document)) []byte {
		d := document(t)
		edit(d)
		return signed(t, d, firstKey, issuer)
	}
	otherIssuer := func(d *corim.Document) { d.Issuer = "tag:other.example,2026:devices" }
	forged := signed(t, document(t), firstKey, issuer)
	forged[len(forged)-1] ^= 1
	stranger := func(kid string) []byte {
		payload, err := document(t).Encode()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := attest.SignCoRIM(nil, issuer, payload, attesttest.Signer(key("stranger")), attest.KeyIDOf(&key(kid).PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	good := signed(t, document(t), firstKey, issuer)
	unsigned, err := document(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	garbage, err := attest.SignCoRIM(nil, issuer, []byte{0xa0}, attesttest.Signer(firstKey), attest.KeyIDOf(&firstKey.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"by a stranger", stranger("stranger"), "none of the credential keys in the trust folder"},
		{"by a stranger in the name of a trusted key", stranger("first"), "signature does not verify"},
		{"that was changed", forged, "signature does not verify"},
		{"without a signature", unsigned, "not tagged as COSE_Sign1"},
		{"that is empty", nil, "ends too early"},
		{"with bytes behind it", append(bytes.Clone(good), 0), "trailing"},
		{"that is too long", make([]byte, attest.MaxCoRIMBytes+1), "at most"},
		{"with another content", garbage, "want tag 501"},
		{"by a key that is revoked", signed(t, document(t), key("revoked"), issuer), "is revoked"},
		{"by another manufacturer of the folder", signed(t, document(t), key("other"), issuer), "another manufacturer than tag:other"},
		{"in the name of another manufacturer", signed(t, document(t), firstKey, "tag:other.example,2026:devices"), "another manufacturer"},
		{"of another manufacturer's devices", edited(otherIssuer), "another manufacturer"},
		{"of another OEM id", edited(func(d *corim.Document) { d.OEMID = attest.PENOEMID(1) }), "another manufacturer"},
		{"that is not valid yet", edited(func(d *corim.Document) { d.NotBefore = now.Add(time.Second) }), "valid from 2026-11-30T12:00:01Z on"},
		{"that is not valid any more", edited(func(d *corim.Document) { d.NotBefore, d.NotAfter = now.Add(-time.Hour), now.Add(-time.Second) }), "valid until 2026-11-30T11:59:59Z"},
		{"with a new credential key", edited(func(d *corim.Document) { d.Keys = append(d.Keys, public(t, "next")) }), "--new-keys"},
		{"that revokes a stranger's key", edited(func(d *corim.Document) {
			id := attest.KeyIDOf(&key("stranger").PublicKey)
			d.Withdrawals = append(d.Withdrawals, corim.Withdrawal{Element: corim.ElementCredentialKey, Value: id[:]})
		}), "none of the file's credential_keys"},
		{"that revokes firmware of another manufacturer's TACs", edited(func(d *corim.Document) {
			d.Withdrawals = append(d.Withdrawals, corim.Withdrawal{Element: corim.ElementFirmware, Firmware: trust.FirmwareRange{TACs: "86871907", From: "1", To: "2"}})
		}), "within no entry"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, other := bare(t, "first", "second", "revoked"), bare(t, "other")
			f.Revoked.CredentialKeys = []string{keyID("revoked")}
			other.Issuer = "tag:other.example,2026:devices"
			dir := folder(t, map[string]*trust.File{"oem.yaml": f, "other.yaml": other})
			before := snapshot(t, dir)
			added, err := corim.Import(dir, c.raw, corim.Options{Now: now})
			refusal := new(corim.Refusal)
			if added != nil || !errors.As(err, &refusal) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "nothing was changed") {
				t.Errorf("added %+v, %v, want a refusal that says %q", added, err, c.want)
			}
			if after := snapshot(t, dir); !reflect.DeepEqual(after, before) {
				t.Errorf("the folder was changed: %v", after)
			}
		})
	}
}

// TestBothEndsOfTheValidityAreValid: the near misses of the refusals above.
func TestBothEndsOfTheValidityAreValid(t *testing.T) {
	raw := export(t, full(t), "first")
	for _, at := range []time.Time{now, now.Add(corim.Validity)} {
		if _, err := corim.Import(oem(t, bare(t, "first", "second")), raw, corim.Options{Now: at}); err != nil {
			t.Errorf("at %v: %v", at, err)
		}
	}
}

// TestABadFolderIsNotTheDocumentsFault, and is not written to.
func TestABadFolderIsNotTheDocumentsFault(t *testing.T) {
	dir := oem(t, bare(t, "first", "second"))
	if err := os.WriteFile(filepath.Join(dir, "x.yaml"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	_, err := corim.Import(dir, export(t, full(t), "first"), corim.Options{Now: now})
	if refusal := new(corim.Refusal); err == nil || errors.As(err, &refusal) || !strings.Contains(err.Error(), "x.yaml") {
		t.Errorf("got %v", err)
	}
	if after := snapshot(t, dir); !reflect.DeepEqual(after, before) {
		t.Errorf("the folder was changed: %v", after)
	}
}

// revoking is a document that revokes one device key, number n.
func revoking(t testing.TB, n int) []byte {
	d := &corim.Document{ID: fmt.Sprint("n", n), Issuer: issuer, OEMID: attest.PENOEMID(32473), NotBefore: now, NotAfter: now,
		Withdrawals: []corim.Withdrawal{{Element: corim.ElementDeviceKey, Value: binary.BigEndian.AppendUint64(make([]byte, 8), uint64(n))}}}
	return signed(t, d, attesttest.Key("first"), issuer)
}

func TestImportsAtTheSameTimeAllCount(t *testing.T) {
	dir := oem(t, bare(t, "first"))
	const imports = 20
	var all sync.WaitGroup
	for n := range imports {
		raw := revoking(t, n)
		all.Go(func() {
			if _, err := corim.Import(dir, raw, corim.Options{Now: now}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := len(read(t, dir, "oem.yaml").Revoked.DeviceKeys); got != imports {
		t.Errorf("%d of %d revocations are left", got, imports)
	}
}

// asImporter is the folder that the test binary, started again, imports into until it is killed. It prints the number of each
// import that is done.
const asImporter = "IMEI_VERIFIER_TEST_IMPORT_INTO"

func TestMain(m *testing.M) {
	dir := os.Getenv(asImporter)
	if dir == "" {
		os.Exit(m.Run())
	}
	t := new(testing.T)
	for n := len(read(t, dir, "oem.yaml").Revoked.DeviceKeys); ; n++ {
		if _, err := corim.Import(dir, revoking(t, n), corim.Options{Now: now}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

// TestAKillLosesNoImport: after SIGKILL at any moment the folder loads, and holds all that was told to be done and at most one more.
func TestAKillLosesNoImport(t *testing.T) {
	dir := oem(t, bare(t, "first"))
	const kills = 15
	between := 0
	for i := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), asImporter+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, done := bufio.NewScanner(out), -1
		for lines.Scan() {
			if _, err := fmt.Sscan(lines.Text(), &done); err != nil {
				t.Errorf("the importer says %s", lines.Text())
				break
			}
			if done%3 == 2 {
				time.AfterFunc(time.Duration(i)*211*time.Microsecond, func() { _ = cmd.Process.Kill() })
			}
		}
		_ = cmd.Wait()
		if _, _, err := trust.Load(dir); err != nil {
			t.Fatalf("after kill %d: %v", i, err)
		}
		if got := len(read(t, dir, "oem.yaml").Revoked.DeviceKeys); got != done+1 && got != done+2 {
			t.Errorf("after kill %d: %d revocations, %d were done", i, got, done+1)
		}
		if _, left := snapshot(t, dir)[".oem.yaml.new"]; left {
			between++
		}
	}
	t.Logf("%d of %d kills came between making the new file and renaming it", between, kills)
}

// TestALongDocumentIsExchanged: with IMEI_ATTEST_SOAK=1, as many revoked keys as the limit's comment promises.
func TestALongDocumentIsExchanged(t *testing.T) {
	revoked := 1_500
	if os.Getenv("IMEI_ATTEST_SOAK") == "1" {
		revoked = 15_000
	}
	f, dir := bare(t, "first"), oem(t, bare(t, "first"))
	for n := range revoked {
		f.Revoked.DeviceKeys = append(f.Revoked.DeviceKeys, fmt.Sprintf("%032x", n))
	}
	raw := export(t, f, "first")
	t.Logf("%d revocations are %d bytes", revoked, len(raw))
	if _, err := corim.Import(dir, raw, corim.Options{Now: now}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, dir, "oem.yaml").Revoked.DeviceKeys; !reflect.DeepEqual(got, f.Revoked.DeviceKeys) {
		t.Errorf("%d of %d revocations arrived", len(got), revoked)
	}
}

func TestExportRefusesWhatNobodyWouldTake(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		issuer string
		key    crypto.Signer
		want   string
	}{
		{"an issuer that nobody trusts", "tag:other.example,2026:x", attesttest.Key("first"), "no file in the trust folder has the issuer"},
		{"a stranger's key", issuer, attesttest.Key("stranger"), "none of the credential keys of"},
		{"a key that is revoked", issuer, attesttest.Key("second"), "is revoked"},
		{"an RSA key", issuer, rsaKey, "want an ECDSA key"},
	} {
		if raw, err := corim.Export(nil, oem(t, full(t)), c.issuer, c.key, now); err == nil || raw != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %x, %v, want %q", c.name, raw, err, c.want)
		}
	}
	if _, err := corim.Export(nil, t.TempDir(), issuer, attesttest.Key("first"), now); err == nil {
		t.Error("an empty folder was exported")
	}
}

// TestEncodeRefusesWhatDecodeWould: a caller in Go gets an error, not a document that nobody reads.
func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	for name, edit := range map[string]func(*corim.Document){
		"nothing to say":        func(d *corim.Document) { d.References, d.Keys, d.Withdrawals = nil, nil, nil },
		"no id":                 func(d *corim.Document) { d.ID = "" },
		"an unknown element":    func(d *corim.Document) { d.Withdrawals[0].Element = "person" },
		"a value of 3 bytes":    func(d *corim.Document) { d.Withdrawals[0].Value = []byte{1, 2, 3} },
		"a key in another form": func(d *corim.Document) { d.Keys[0] += "\n" },
		"no manufacturer":       func(d *corim.Document) { d.Issuer = "" },
	} {
		d := document(t)
		edit(d)
		if _, err := d.Encode(); err == nil {
			t.Errorf("%s was encoded", name)
		}
	}
}
