// Package testbench puts whole devices and a verifier together for demonstrations, tests and laboratories: emulated
// modems on terminals, TPM engines, the agent, and a verifier on loopback HTTP. Start with [NewWorld], or with
// [RunDemo] for the tour.
//
// Everything that pretends, lies or attacks is composed here of the shipped parts; no shipped program contains it.
package testbench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"imei-attest/agent/provision"
	"imei-attest/agent/submit"
	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/ear"
	"imei-attest/verifier/httpapi"
	"imei-attest/verifier/store"
	"imei-attest/verifier/trust"
)

// VaultKind chooses the secure storage of a World's devices.
type VaultKind string

// The kinds of secure storage a World can give its devices.
const (
	VaultTPM      VaultKind = "tpm"      // swtpm, one engine a device
	VaultSoftware VaultKind = "software" // a file
)

// World is one manufacturer, one verifier and any number of devices, in one folder.
type World struct {
	Dir       string
	Kind      VaultKind
	Verifier  string // address of the HTTP interface
	Transport *submit.Client

	oem     *provision.OEM
	serials uint64            // given out
	class   uint8             // of the client that devices are made with, 1 to 3
	results *ecdsa.PrivateKey // of the verifier
	judge   *verifier.Verifier
	decided chan verifier.Verdict // the last ones that nobody took
	watch   watch
	close   []func() error
}

// NewWorld makes a manufacturer with a laboratory's anchor and starts a verifier that trusts it. The World ends with
// Close.
func NewWorld(ctx context.Context, dir string, kind VaultKind) (*World, error) {
	w := &World{Dir: dir, Kind: kind, class: 3, decided: make(chan verifier.Verdict, decisions)}
	if err := w.makeOEM(); err != nil {
		return nil, err
	}
	if err := w.startVerifier(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// makeOEM writes the keys, and the anchor into the verifier's trust folder, as imei-provision oem-key does.
func (w *World) makeOEM() error {
	keys, trusted := filepath.Join(w.Dir, "oem"), filepath.Join(w.Dir, "trust")
	oem, err := provision.GenerateOEM(keys, provision.Anchor{
		Issuer: "tag:example,2026:laboratory", OEMID: attest.PENOEMID(exampleEnterprise), TACs: []string{"*"}, Development: true})
	if err != nil {
		return fmt.Errorf("making the manufacturer: %w", err)
	}
	w.oem = oem
	anchor, err := os.ReadFile(filepath.Join(keys, provision.AnchorFile))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(trusted, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(trusted, provision.AnchorFile), anchor, 0o644)
}

// exampleEnterprise is the private enterprise number for documentation (RFC 5612).
const exampleEnterprise = 32473

func (w *World) startVerifier(ctx context.Context) error {
	handler, err := w.newVerifier()
	if err != nil {
		return fmt.Errorf("making the verifier: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("starting the verifier: %w", err)
	}
	server := &http.Server{Handler: w.watch.over(handler), ReadHeaderTimeout: time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	w.close = append(w.close, server.Close)
	go server.Serve(listener) //nolint:errcheck // it ends with Close, and its error is that
	w.Verifier = "http://" + listener.Addr().String()
	w.Transport, err = submit.New(w.Verifier)
	return err
}

func (w *World) newVerifier() (http.Handler, error) {
	anchors, _, err := trust.Load(filepath.Join(w.Dir, "trust"))
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	nonces, err := attest.NewNonceKeys(0, key, nil)
	if err != nil {
		return nil, err
	}
	v, err := verifier.New(verifier.Config{Store: store.NewMemory(), Nonces: nonces, Trust: anchors, Decided: w.decide})
	if err != nil {
		return nil, err
	}
	w.judge = v
	if w.results, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	signer, err := ear.NewSigner(w.results, "testbench")
	if err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Config{Verifier: v, Results: signer, Identify: httpapi.Anybody(httpapi.RoleDevice | httpapi.RoleNetwork), Rand: rand.Reader, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Version: "testbench"})
}

// decisions is how many are kept for who waits for one.
const decisions = 8

// decide keeps a verdict, in the place of the oldest where there is none.
func (w *World) decide(v *verifier.Verdict) {
	for {
		select {
		case w.decided <- *v:
			return
		default:
		}
		select {
		case <-w.decided:
		default:
		}
	}
}

// Close ends the verifier and the devices. The folder stays.
func (w *World) Close() error {
	var errs []error
	for i := len(w.close) - 1; i >= 0; i-- {
		errs = append(errs, w.close[i]())
	}
	w.close = nil
	return errors.Join(errs...)
}
