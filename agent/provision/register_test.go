package provision_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imei-attest/agent/provision"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
)

// One IMEI, one endorsement key, for good; and the file says so to the next program.
func TestRegister(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register")
	one, two := attesttest.MustIMEI(attesttest.IMEI1), attesttest.MustIMEI(attesttest.IMEI2)
	a, b := bytes.Repeat([]byte{1}, 34), bytes.Repeat([]byte{2}, 34)
	for _, c := range []struct {
		name  string
		slots []imei.IMEI
		ek    []byte
		taken bool
	}{
		{"first", []imei.IMEI{one}, a, true},
		{"the same again", []imei.IMEI{one}, a, true},
		{"the IMEI on another TPM", []imei.IMEI{one}, b, false},
		{"another IMEI on the TPM", []imei.IMEI{two}, a, false},
		{"one more IMEI on the TPM", []imei.IMEI{one, two}, a, true},
		{"one fewer", []imei.IMEI{one}, a, false},
		{"one of two on another", []imei.IMEI{two}, b, false},
	} {
		r, err := provision.OpenRegister(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Add(c.slots, c.ek); c.taken != (err == nil) || err != nil && (!errors.Is(err, provision.ErrRefused) || strings.Contains(err.Error(), one.Body())) {
			t.Errorf("%s: %v; taken must be %v", c.name, err, c.taken)
		}
	}
	if err := os.WriteFile(path, []byte("490154203237518 00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := provision.OpenRegister(path); err == nil || strings.Contains(err.Error(), "49015420323751") {
		t.Errorf("a broken register: %v; want an error without the IMEI", err)
	}
}
