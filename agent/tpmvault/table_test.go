package tpmvault_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/tpmvault/attacktest"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/testbench/peertest"
)

// swtpm is a swtpm under attack.
type swtpm struct {
	t      testing.TB
	folder string
	engine *tpmtest.Engine
	conn   *tpmdev.Conn
}

func newSWTPM(t testing.TB) attacktest.Engine {
	e := &swtpm{t: t, folder: t.TempDir()}
	if err := e.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.conn.Close() })
	return e
}

func (e *swtpm) start() (err error) {
	e.engine = tpmtest.NewIn(e.t, e.folder)
	e.conn, err = tpmdev.Open(e.t.Context(), e.engine.Spec())
	return err
}

func (e *swtpm) stop() error {
	if _, err := (tpm2.Shutdown{ShutdownType: tpm2.TPMSUClear}).Execute(e.conn); err != nil {
		return err
	}
	if err := e.conn.Close(); err != nil {
		return err
	}
	return e.engine.Stop()
}

// Send implements attacktest.Engine.
func (e *swtpm) Send(command []byte) ([]byte, error) { return e.conn.Send(command) }

// Restart implements attacktest.Engine.
func (e *swtpm) Restart() error {
	if err := e.stop(); err != nil {
		return err
	}
	return e.start()
}

// Snapshot implements attacktest.Snapshots.
func (e *swtpm) Snapshot() (restore func() error, err error) {
	state := filepath.Join(e.folder, "tpm2-00.permall")
	if err := e.stop(); err != nil {
		return nil, err
	}
	kept, err := os.ReadFile(state)
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := e.stop(); err != nil {
			return err
		}
		if err := os.WriteFile(state, kept, 0o600); err != nil {
			return err
		}
		return e.start()
	}, e.start()
}

// Every attack that the project knows, on swtpm; README.md has the table.
func TestAttack(t *testing.T) {
	peertest.Use(t, peertest.Peer{Name: "swtpm"}, "refuses each attack of the table")
	attacktest.Run(t, attacktest.SWTPM, newSWTPM)
}

var update = flag.Bool("update", false, "write the table of attacks into README.md anew")

// TestAttackTable: README.md has the table that is run.
func TestAttackTable(t *testing.T) {
	const (
		page  = "README.md"
		begin = "<!-- attacks, written by go test ./agent/tpmvault -run AttackTable -update -->\n"
		end   = "<!-- end of attacks -->\n"
	)
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), begin)
	old, after, ended := strings.Cut(rest, end)
	want := attacktest.Markdown()
	switch {
	case !found || !ended:
		t.Fatalf("%s has no place for %s", page, begin)
	case old == want:
	case *update:
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has another table than is run; go test ./agent/tpmvault -run AttackTable -update writes it", page)
	}
}
