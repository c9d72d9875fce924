package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
	"imei-attest/verifier/store/sqlite"
	"imei-attest/verifier/store/storetest"
)

// config is of a store in a new folder.
func config(t testing.TB) sqlite.Config {
	return sqlite.Config{
		Path:    filepath.Join(t.TempDir(), "store.db"),
		Devices: verifier.PseudonymKeys{Current: verifier.PseudonymKey{1}}, Subscribers: verifier.PseudonymKeys{Current: verifier.PseudonymKey{2}},
		Signer: attesttest.Signer(verifierKey), KeyID: attest.KeyIDOf(&verifierKey.PublicKey), Program: "test",
	}
}

var verifierKey = attesttest.Key("verifier")

func open(t testing.TB, c sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t testing.TB, s *sqlite.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) verifier.Store { return open(t, config(t)) })
}

// TestConformanceDuringARotation of both keys: the former ones have named nothing yet.
func TestConformanceDuringARotation(t *testing.T) {
	storetest.Run(t, func(t *testing.T) verifier.Store {
		c := config(t)
		c.Devices.Former, c.Subscribers.Former = &verifier.PseudonymKey{3}, &verifier.PseudonymKey{4}
		return open(t, c)
	})
}
