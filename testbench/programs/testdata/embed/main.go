// Embed is a device's own main around the agent, as agent/README.md shows it: it signs for the nonce that it is given in hex, or for
// the 401 whose nonce text follows -401, and writes the token to standard output.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"imei-attest/agent"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
	"imei-attest/modem"
	"imei-attest/modem/serialport"
)

// device names what a main decides: which port, which TPM, which approvals.
type device struct {
	port      string // /dev/ttyUSB2
	tpm       string // tpm:/dev/tpmrm0
	approvals string // folder, as imei-provision wrote it
}

// answer401 makes the token for the REGISTER that answers a 401, whose WWW-Authenticate has this nonce text.
func (d device) answer401(ctx context.Context, text string) ([]byte, error) {
	return d.attest(ctx, agent.Request{Nonce: attest.NonceFrom401(text), Registration: true, InBand: true})
}

// attest answers one challenge with a token.
func (d device) attest(ctx context.Context, request agent.Request) ([]byte, error) {
	vault, err := d.openVault(ctx)
	if err != nil {
		return nil, err
	}
	defer vault.Close()
	port, err := serialport.Open(ctx, d.port, serialport.Config{})
	if err != nil {
		return nil, err
	}
	defer port.Close()
	a, err := agent.New(agent.Config{Reader: modem.NewReader(port, modem.Config{}), Vault: vault, Now: time.Now})
	if err != nil {
		return nil, err
	}
	attestation, err := a.Attest(ctx, request)
	if err != nil {
		return nil, err
	}
	return attestation.Token, nil
}

func (d device) openVault(ctx context.Context) (agent.Vault, error) {
	approvals, err := tpmprofile.LoadApprovals(os.DirFS(d.approvals))
	if err != nil {
		return nil, err
	}
	tpm, err := tpmdev.Open(ctx, d.tpm)
	if err != nil {
		return nil, err
	}
	vault, err := tpmvault.Open(ctx, tpm, tpmvault.Config{Approvals: approvals, OnClose: tpm.Close})
	if err != nil {
		return nil, errors.Join(err, tpm.Close())
	}
	return vault, nil
}

func main() {
	var d device
	flag.StringVar(&d.port, "port", "/dev/ttyUSB2", "AT port")
	flag.StringVar(&d.tpm, "tpm", "tpm:/dev/tpmrm0", "TPM")
	flag.StringVar(&d.approvals, "approvals", "/etc/imei-agent/approvals", "folder of boot approvals")
	challenge := flag.String("401", "", "nonce text of a 401")
	flag.Parse()
	if err := d.run(context.Background(), *challenge, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

func (d device) run(ctx context.Context, challenge, nonce string) (err error) {
	var token []byte
	if challenge != "" {
		token, err = d.answer401(ctx, challenge)
	} else if n, bad := hex.DecodeString(nonce); bad != nil {
		err = bad
	} else {
		token, err = d.attest(ctx, agent.Request{Nonce: n, Registration: true})
	}
	if err == nil {
		_, err = os.Stdout.Write(token)
	}
	return err
}
