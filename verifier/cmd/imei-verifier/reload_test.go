package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier/trust"
)

// anotherManufacturer is a file like the sample manufacturer's, with a credential key of its own.
func anotherManufacturer(t *testing.T, folder string) []byte {
	t.Helper()
	f, err := trust.ReadFile(filepath.Join(folder, "oem.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&attesttest.Key("another").PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	f.Issuer, f.CredentialKeys = "tag:another", []string{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
	raw, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// judge hands a token in to a new session and returns the status that is logged.
func (s *serving) judge() string {
	s.t.Helper()
	path, n := s.open()
	response, err := http.Post("http://"+s.address+path, attest.EvidenceMediaType, bytes.NewReader(token(s.t, attest.StorageTPMDiscrete, n)))
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	return s.until("judged").Status
}

// until skips what is logged before.
func (s *serving) until(message string) event {
	s.t.Helper()
	for {
		if e := s.next(); e.Message == message {
			return e
		}
	}
}

// TestAChangeOfTheTrustFolderIsInForceForTheNextJudgement, and a bad one is not.
func TestAChangeOfTheTrustFolderIsInForceForTheNextJudgement(t *testing.T) {
	const (
		read    = "the trust folder was read again"
		refused = "the trust folder was refused: what was trusted before still holds"
	)
	folder := trustFolder(t)
	path := filepath.Join(folder, "oem.yaml")
	aside := path + ".aside"
	if err := os.WriteFile(filepath.Join(folder, "another.yaml"), anotherManufacturer(t, folder), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, folder, t.TempDir())
	defer s.stop()
	want := func(status string) {
		t.Helper()
		if got := s.judge(); got != status {
			t.Errorf("judged %s, want %s", got, status)
		}
	}
	want("affirming")

	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	s.until(read)
	want("warning")
	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}
	s.until(read)
	want("affirming")

	begun := time.Now()
	revokeTheDevice(t, path)
	s.until(read)
	t.Logf("in force after %v", time.Since(begun))
	want("contraindicated")
	if err := os.WriteFile(filepath.Join(folder, "bad.yaml"), []byte("tacs: [\"490154203237518\"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.until(refused)
	want("contraindicated")
}

// revokeTheDevice lists the sample device's key, as an operator's program would: the file is replaced by rename.
func revokeTheDevice(t *testing.T, path string) {
	t.Helper()
	f, err := trust.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Revoked.DeviceKeys = []string{attest.KeyIDOf(&attesttest.DeviceKey.PublicKey).String()}
	raw, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestTheLogNamesManufacturersAndFaults, and no IMEI that stands in a file.
func TestTheLogNamesManufacturersAndFaults(t *testing.T) {
	folder := trustFolder(t)
	another := anotherManufacturer(t, folder)
	s := start(t, folder, t.TempDir())
	path := filepath.Join(folder, "another.yaml")
	if err := os.WriteFile(path, bytes.Replace(another, []byte("'*'"), []byte("'490154203237518'"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	var bad, good struct {
		Level, Error, Generation string
		Issuers                  []string
	}
	if err := json.Unmarshal(<-s.log, &bad); err != nil || bad.Level != "ERROR" || !strings.Contains(bad.Error, "another.yaml") ||
		!strings.Contains(bad.Error, "want 8 digits") || strings.Contains(bad.Error, "49015420323751") {
		t.Errorf("%+v, %v", bad, err)
	}
	if err := os.WriteFile(path, another, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(<-s.log, &good); err != nil || good.Level != "INFO" || len(good.Generation) != 16 ||
		strings.Join(good.Issuers, " ") != "tag:another "+attesttest.Credential().Issuer {
		t.Errorf("%+v, %v", good, err)
	}
	s.stop()
}
