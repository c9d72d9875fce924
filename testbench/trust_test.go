package testbench_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"imei-attest/agent/provision"
	"imei-attest/attest"
	"imei-attest/verifier/trust"
)

// TestWhatAManufacturerWritesAVerifierWritesAgain: programs that change an anchor change nothing else in it.
func TestWhatAManufacturerWritesAVerifierWritesAgain(t *testing.T) {
	for name, anchor := range map[string]provision.Anchor{
		"a manufacturer": {Issuer: "tag:example,2026:oem", OEMID: attest.PENOEMID(32473), TACs: []string{"35000001", "01234567"}},
		"a laboratory":   {Issuer: "tag:example,2026:laboratory", OEMID: attest.PENOEMID(32473), TACs: []string{"*"}, Development: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "oem")
			if _, err := provision.GenerateOEM(dir, anchor); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, provision.AnchorFile)
			first, err := trust.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := first.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			second, err := trust.ReadFile(path)
			if err != nil || !reflect.DeepEqual(second, first) {
				t.Fatalf("%v: got %+v, want %+v", err, second, first)
			}
			want, err := first.Anchor()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := second.Anchor(); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%v: got %+v, want %+v", err, got, want)
			}
			if _, err := provision.ReadAnchor(raw); err != nil { // the manufacturer's tools read it too
				t.Error(err)
			}
		})
	}
}
