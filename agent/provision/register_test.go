package provision_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imei-attest/agent/provision"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

var ekA, ekB = bytes.Repeat([]byte{0xa}, 34), bytes.Repeat([]byte{0xb}, 34)

// enrolled is what would be registered of a device.
func enrolled(ek []byte, kind provision.EKKind, serial uint64, key string, slots ...string) provision.Enrolment {
	e := provision.Enrolment{EKName: ek, EKKind: kind, Serial: serial, Key: &attesttest.Key(key).PublicKey}
	for _, digits := range slots {
		e.Slots = append(e.Slots, attesttest.MustIMEI(digits))
	}
	return e
}

// One IMEI, one endorsement key, for good, of one kind, and serials that rise; and the file says so to the next program.
func TestRegister(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register")
	const one, two, ecc = attesttest.IMEI1, attesttest.IMEI2, provision.EKECC
	for _, c := range []struct {
		name string
		e    provision.Enrolment
		says string // "" when it is taken
	}{
		{"first", enrolled(ekA, ecc, 3, "k1", one), ""},
		{"the same again", enrolled(ekA, ecc, 3, "k1", one), ""},
		{"another kind of endorsement key", enrolled(ekB, provision.EKRSA, 1, "k2", two), "enroll with --ek ecc"},
		{"the IMEI on another TPM", enrolled(ekB, ecc, 9, "k2", one), "enroll with --serial 4 or higher"},
		{"another IMEI on the TPM", enrolled(ekA, ecc, 9, "k2", two), "with other IMEIs"},
		{"another key with the serial", enrolled(ekA, ecc, 3, "k2", one), "--serial 4 or higher"},
		{"another key with a lower serial", enrolled(ekA, ecc, 2, "k2", one), "--serial 4 or higher"},
		{"the key with a lower serial", enrolled(ekA, ecc, 2, "k1", one), "--serial 4 or higher"},
		{"one more IMEI on the TPM", enrolled(ekA, ecc, 4, "k2", one, two), ""},
		{"the one of before", enrolled(ekA, ecc, 3, "k1", one, two), "--serial 5 or higher"},
		{"one fewer", enrolled(ekA, ecc, 9, "k3", one), "with other IMEIs"},
		{"one of two on another", enrolled(ekB, ecc, 9, "k3", two), "was enrolled on the TPM"},
		{"both again", enrolled(ekA, ecc, 9, "k3", one, two), ""},
	} {
		r, err := provision.OpenRegister(path)
		if err != nil {
			t.Fatal(err)
		}
		switch err := r.Add(c.e); {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v; want it to be taken", c.name, err)
		case c.says != "" && (!errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v; want a refusal with %q", c.name, err, c.says)
		case err != nil && strings.Contains(err.Error(), attesttest.MustIMEI(one).Body()):
			t.Errorf("%s: %v shows a whole IMEI", c.name, err)
		}
	}
	ek, key := strings.Repeat("0a", 34), attest.KeyIDOf(&attesttest.Key("k3").PublicKey).String()
	want := one + " " + ek + " ecc-p256 9 " + key + "\n" + two + " " + ek + " ecc-p256 9 " + key + "\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("the file holds, %v:\n%swant:\n%s", err, got, want)
	}
}

// A register that cannot be read is refused with the line, and an earlier version's with what it lacks.
func TestRegisterThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register")
	ek, key := strings.Repeat("0a", 34), strings.Repeat("0", 2*len(attest.KeyID{}))
	good := attesttest.IMEI1 + " " + ek + " rsa-2048 1 " + key + "\n"
	for _, c := range []struct{ name, text, says string }{
		{"an earlier version's", attesttest.IMEI1 + " " + ek + "\n", "line 1: an earlier version wrote it"},
		{"an empty line", good + "\n", "line 2: 0 fields"},
		{"no IMEI", "1" + good, "line 1"},
		{"a short Name", strings.Replace(good, "0a", "", 1), "Name"},
		{"another kind", strings.Replace(good, "2048", "1024", 1), "kind"},
		{"no serial", strings.Replace(good, " 1 ", " 0 ", 1), "serial"},
		{"no key", strings.Replace(good, " "+key, " 00", 1), "key id"},
		{"an IMEI twice", good + good, "line 2: 49015420*****18 stands there twice"},
		{"two kinds", good + attesttest.IMEI2 + " " + ek + " ecc-p256 1 " + key + "\n", "line 2: kind ecc-p256 after rsa-2048"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := provision.OpenRegister(path)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), attesttest.IMEI1[:14]) {
			t.Errorf("%s: %v; want an error with %q and without the IMEI", c.name, err, c.says)
		}
	}
	if err := os.WriteFile(path, []byte(strings.ToUpper(good)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := provision.OpenRegister(path); err != nil {
		t.Errorf("a good one in capitals: %v", err)
	}
}
