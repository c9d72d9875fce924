package tpmtest_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/agent/tpmvault/tpmtest"
)

func TestEngineKeepsItsStateAcrossARestart(t *testing.T) {
	folder := t.TempDir()
	first := tpmtest.NewIn(t, folder)
	before := derive(t, first)
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(first.Socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket of a killed engine: %v, want it removed", err)
	}
	if after := derive(t, tpmtest.NewIn(t, folder)); after != before {
		t.Error("the engine came back as another TPM")
	}
	if other := derive(t, tpmtest.New(t)); other == before {
		t.Error("two engines are the same TPM")
	}
}

// derive returns the Name of the endorsement key.
func derive(t *testing.T, e *tpmtest.Engine) string {
	t.Helper()
	conn, err := tpmdev.Open(t.Context(), e.Spec())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	response, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(tpm2.ECCEKTemplate)}.Execute(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(response.Name.Buffer)
}

func TestEngineEndsWithItsContext(t *testing.T) {
	tpmtest.New(t) // skips without swtpm
	ctx, cancel := context.WithCancel(t.Context())
	e, err := tpmtest.Start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := e.Stop(); err != nil {
		t.Errorf("stopping an engine whose context ended: %v", err)
	}
}
