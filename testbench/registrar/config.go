package registrar

import (
	"bytes"
	"context"
	_ "embed" // the configurations
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"imei-attest/verifier/kamailio"
)

// Packages are the Debian packages that hold Kamailio with the modules that the configurations here load.
var Packages = []string{"kamailio", "kamailio-ims-modules", "kamailio-presence-modules", "kamailio-utils-modules"}

// ErrNoKamailio means that Kamailio or some of its modules are not installed. The error says what to install.
var ErrNoKamailio = errors.New("Kamailio is not installed")

//go:embed scscf.cfg
var scscfConfig string

//go:embed cdp.xml
var cdpConfig string

//go:embed registrar.cfg
var registrarConfig string

//go:embed gate.cfg
var gateConfig string // settings of the gate, for both

// SCSCF is what an S-CSCF needs.
type SCSCF struct {
	Dir         string // for its files; it must exist
	Subscribers []Subscriber
	// Server is the SIP URI of the application server that the subscribers' filter criteria name; empty where they have none.
	Server string
	// Verifier is the address of a verifier, such as http://127.0.0.1:8080: with one it has the gate of verifier/kamailio.
	Verifier string
	Observe  Observer // of what it asks the HSS; nil is allowed
}

// StartSCSCF starts Kamailio as an S-CSCF with an [HSS], and waits until the one can ask the other.
func StartSCSCF(ctx context.Context, c SCSCF) (*Kamailio, error) {
	h, err := StartHSS(ctx, c.Subscribers, c.Server, c.Observe)
	if err != nil {
		return nil, err
	}
	k, err := c.start(ctx, h)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	k.hss = h
	return k, nil
}

func (c SCSCF) start(ctx context.Context, h *HSS) (*Kamailio, error) {
	f, err := newFacts(c.Dir, c.Verifier)
	if err != nil {
		return nil, err
	}
	if _, f.HSSPort, err = net.SplitHostPort(h.Addr); err != nil {
		return nil, err
	}
	if err := f.write("cdp.xml", cdpConfig); err != nil {
		return nil, err
	}
	k, err := f.start(ctx, "scscf.cfg", scscfConfig)
	if err != nil {
		return nil, err
	}
	if err := k.awaitHSS(ctx); err != nil {
		return nil, errors.Join(err, k.Stop())
	}
	return k, nil
}

// awaitHSS registers a subscriber of its own until that is challenged: what Kamailio knows of its peer cannot be asked from outside, and who
// comes too early gets no answer at all.
func (k *Kamailio) awaitHSS(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		err := k.isReady(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("Kamailio does not reach the HSS: %w. It said:\n%s", err, k.Log())
		}
		pause(ctx, lookAgain)
	}
}

func (k *Kamailio) isReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	u, err := NewUE(ctx, "tcp", k.Addr, probe, "", nil)
	if err != nil {
		return err
	}
	defer u.Close()
	_, err = u.Start(ctx)
	return err
}

// StartRegistrar starts Kamailio as a plain registrar, which challenges for [Password]; with a verifier as [SCSCF] has it. Its files go into dir.
func StartRegistrar(ctx context.Context, dir, verifier string) (*Kamailio, error) {
	f, err := newFacts(dir, verifier)
	if err != nil {
		return nil, err
	}
	return f.start(ctx, "registrar.cfg", registrarConfig)
}

// facts fill in a configuration.
type facts struct {
	Dir, Modules       string
	Port, HSSPort      string
	Realm, SCSCFHost   string
	Password, Verifier string
}

// newFacts finds what Kamailio needs, and writes the files of the gate where there is a verifier.
func newFacts(dir, verifier string) (*facts, error) {
	modules, err := moduleFolder()
	if err != nil {
		return nil, err
	}
	f := &facts{Dir: dir, Modules: modules, Realm: Realm, SCSCFHost: scscfHost, Password: Password, Verifier: verifier}
	if verifier != "" {
		err = os.CopyFS(dir, kamailio.Files)
	}
	return f, err
}

// needed are modules of each of the packages: who lacks one is told the packages, not how Kamailio failed.
var needed = []string{"tm.so", "ims_registrar_scscf.so", "presence.so", "http_client.so"}

// modulesAt is where Debian has them.
var modulesAt = "/usr/lib/*/kamailio/modules"

func moduleFolder() (string, error) {
	folders, err := filepath.Glob(modulesAt)
	if err != nil {
		return "", err
	}
	for _, folder := range folders {
		complete := true
		for _, m := range needed {
			_, err := os.Stat(filepath.Join(folder, m))
			complete = complete && err == nil
		}
		if complete {
			return folder, nil
		}
	}
	return "", noKamailio()
}

func noKamailio() error {
	return fmt.Errorf("%w, or not all of it: install the Debian packages %s", ErrNoKamailio, strings.Join(Packages, " "))
}

// Listen opens UDP and TCP on one free port of loopback, as SIP servers have it.
func Listen(ctx context.Context) (net.PacketConn, net.Listener, error) {
	const tries = 20
	for range tries {
		streams, err := new(net.ListenConfig).Listen(ctx, "tcp", loopback)
		if err != nil {
			return nil, nil, err
		}
		packets, err := new(net.ListenConfig).ListenPacket(ctx, "udp", streams.Addr().String())
		if err == nil {
			return packets, streams, nil
		}
		streams.Close()
	}
	return nil, nil, fmt.Errorf("no port of loopback was free for UDP and TCP in %d tries", tries)
}

// freePort is one that was free just now; tests choose another.
var freePort = func(ctx context.Context) (string, error) {
	packets, streams, err := Listen(ctx)
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(streams.Addr().String())
	return port, errors.Join(err, packets.Close(), streams.Close())
}

func (f *facts) write(name, text string) error {
	t, err := template.New(name).Parse(text + `{{define "gate"}}` + gateConfig + `{{end}}`)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, f); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.Dir, name), b.Bytes(), 0o600)
}
