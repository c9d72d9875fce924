package peertest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imei-attest/testbench/peertest"
)

// A row for each peer: one that is here, and one that cannot be.
func TestUse(t *testing.T) {
	table := filepath.Join(t.TempDir(), "table")
	t.Setenv(peertest.TableVariable, table)
	t.Setenv(peertest.RequireVariable, "0")
	t.Run("here", func(t *testing.T) {
		row := peertest.Use(t, peertest.Peer{Name: "shell", Program: "sh", Version: []string{"-c", "echo shell 1.2.3"}}, "")
		row.Asserted = "tells\nits version"
	})
	t.Run("missing", func(t *testing.T) {
		peertest.Use(t, peertest.Peer{Name: "no-such-program", Package: "no-such-package"}, "nothing")
		t.Error("goes on without its peer")
	})
	t.Run("helper missing", func(t *testing.T) {
		peertest.Use(t, peertest.Peer{Name: "shell", Program: "sh"}, "nothing", peertest.Peer{Name: "no-such-helper"})
		t.Error("goes on without its helper")
	})
	got, err := os.ReadFile(table)
	want := "shell\t1.2.3\ttells its version\tok\n" +
		"no-such-program\t-\tnothing\tskipped: needs the Debian package no-such-package\n" +
		"shell\t-\tnothing\tskipped: needs the Debian package no-such-helper\n"
	if err != nil || string(got) != want {
		t.Errorf("the table is\n%s%v\nwant\n%s", got, err, want)
	}
}

// failing is a test that may fail without failing the one that plays it.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Fatalf(format string, args ...any) { f.said = format }

func TestUnavailableFailsWherePeersAreRequired(t *testing.T) {
	t.Setenv(peertest.RequireVariable, "1")
	f := &failing{TB: t}
	peertest.Unavailable(f, peertest.Peer{Name: "no-such-program"}, "it is not there")
	if !strings.Contains(f.said, "make peers") {
		t.Errorf("a missing peer that is required: %q, want a failure that says what to do", f.said)
	}
}
