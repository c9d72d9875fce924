package main

import (
	"bytes"
	"regexp"
	"sync"
	"testing"

	"imei-attest/attest/imei"
)

// written is everything that the programs of these tests wrote: logs, messages, metrics and problems.
var written record

type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

var (
	fullIMEI   = regexp.MustCompile(`(?:^|[^0-9A-Za-z])([0-9]{15})(?:[^0-9A-Za-z]|$)`)
	secretText = regexp.MustCompile(`(?i)imsi-?[0-9]{5,}|[0-9]{6,}@|PRIVATE KEY-----\n[A-Za-z0-9+/=]|(?:^|[^0-9a-fA-F])[0-9a-f]{128,}|eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}`)
	keyInHex   = regexp.MustCompile(`(?:^|[^0-9a-fA-F":])[0-9a-f]{64}(?:[^0-9a-fA-F"]|$)`) // digests stand in quotes, or after a colon
)

// identities are what names somebody, and secrets.
func identities(text string) (found []string) {
	for _, m := range fullIMEI.FindAllStringSubmatch(text, -1) {
		if _, err := imei.Parse(m[1]); err == nil {
			found = append(found, m[1])
		}
	}
	found = append(found, secretText.FindAllString(text, -1)...)
	return append(found, keyInHex.FindAllString(text, -1)...)
}

func TestIdentitiesAreFound(t *testing.T) {
	for _, text := range []string{"IMEI 490154203237518.", "imsi-001010123456789", "001010123456789@ims", "eyJhbGciOiJFUzI1NiIsInR5cCI6.eyJlYXIucHJvZmlsZSI6InRhZzpn",
		" 000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\n"} {
		if len(identities(text)) == 0 {
			t.Errorf("nothing in %q", text)
		}
	}
	if found := identities(`IMEI 49015420*****18, "sha256":"000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f" v0.0.0-20261130165312-abc`); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}
