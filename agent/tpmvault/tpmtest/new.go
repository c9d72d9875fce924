package tpmtest

import (
	"context"
	"errors"
	"os"
)

// RequireVariable is the environment variable that turns "skipped, no swtpm" into a failure, for continuous integration.
const RequireVariable = "IMEI_ATTEST_REQUIRE_PEERS"

// T is what [New] needs of a *testing.T, so that this package does not link package testing into the laboratory.
type T interface {
	Helper()
	Skip(args ...any)
	Fatal(args ...any)
	Cleanup(func())
	TempDir() string
}

// New starts an engine with fresh state for one test. Without swtpm the test is skipped, or fails when
// [RequireVariable] is 1.
func New(t T) *Engine {
	t.Helper()
	return NewIn(t, t.TempDir())
}

// NewIn is [New] with the state in folder.
func NewIn(t T, folder string) *Engine {
	t.Helper()
	e, err := Start(context.Background(), folder)
	switch {
	case errors.Is(err, ErrNoEngine) && os.Getenv(RequireVariable) != "1":
		t.Skip("needs a TPM engine:", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop() })
	return e
}
