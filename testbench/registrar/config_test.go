package registrar

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"imei-attest/testbench/peertest"
)

// TestKamailioIsMissing says what to install, also where a package of several is missing.
func TestKamailioIsMissing(t *testing.T) {
	defer func(before string) { modulesAt = before }(modulesAt)
	modulesAt = t.TempDir()
	for _, present := range []string{"", "tm.so", "ims_registrar_scscf.so"} {
		if present != "" {
			if err := os.WriteFile(filepath.Join(modulesAt, present), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, errSCSCF := StartSCSCF(t.Context(), SCSCF{Dir: t.TempDir()})
		_, errRegistrar := StartRegistrar(t.Context(), t.TempDir(), "")
		for _, err := range []error{errSCSCF, errRegistrar} {
			if !errors.Is(err, ErrNoKamailio) || !strings.Contains(err.Error(), "install the Debian packages kamailio kamailio-ims-modules kamailio-presence-modules ") {
				t.Errorf("with %q: %v", present, err)
			}
		}
	}
}

// TestPortIsTaken takes another, and gives up where that is taken too.
func TestPortIsTaken(t *testing.T) {
	if _, err := moduleFolder(); err != nil {
		peertest.Unavailable(t, peertest.Peer{Name: "kamailio"}, err.Error())
	}
	packets, streams, err := Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	defer streams.Close()
	_, taken, err := net.SplitHostPort(streams.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	choose := freePort
	defer func() { freePort = choose }()
	tries := 0
	freePort = func(ctx context.Context) (string, error) {
		if tries++; tries == 1 {
			return taken, nil
		}
		return choose(ctx)
	}
	k, err := StartRegistrar(t.Context(), t.TempDir(), "")
	if err != nil || tries != 2 {
		t.Fatalf("after %d tries: %v", tries, err)
	}
	if err := k.Stop(); err != nil {
		t.Error(err)
	}
	freePort = func(context.Context) (string, error) { return taken, nil }
	if _, err := StartRegistrar(t.Context(), t.TempDir(), ""); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that stays taken: %v", err)
	}
}
