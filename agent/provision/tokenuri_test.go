package provision_test

import (
	"reflect"
	"strings"
	"testing"

	"imei-attest/agent/provision"
)

func TestTokenURIs(t *testing.T) {
	for text, want := range map[string]provision.TokenURI{
		"pkcs11:token=oem;object=nv?module-path=/m.so":                       {Module: "/m.so", Token: "oem", Object: "nv"},
		"pkcs11:object=nv%20key;token=o%3Bem;type=private?module-path=/m.so": {Module: "/m.so", Token: "o;em", Object: "nv key"},
		"pkcs11:token=oem;serial=1;id=%01%ff?module-path=/m.so":              {Module: "/m.so", Token: "oem", Serial: "1", ID: []byte{1, 255}},
	} {
		if got, err := provision.ParseTokenURI(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, because := range map[string]string{
		"pkcs12:token=oem": "begins with", "pkcs11:token=oem;object=nv": "module-path", "pkcs11:token=oem?module-path=/m": "want token",
		"pkcs11:token=oem;object=nv?module-path=/m&pin-value=1234": "--pin-file", "pkcs11:token=oem;object=nv;object=boot?module-path=/m": "twice",
		"pkcs11:token=oem;object=nv;type=public?module-path=/m": "private", "pkcs11:token=oem;model=x;object=nv?module-path=/m": "not known",
		"pkcs11:token=%zz": "not well formed",
	} {
		if _, err := provision.ParseTokenURI(text); err == nil || !strings.Contains(err.Error(), because) || strings.Contains(err.Error(), "1234") {
			t.Errorf("%s: %v; want an error with %q and no PIN", text, err, because)
		}
	}
}
