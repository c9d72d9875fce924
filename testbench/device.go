package testbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/softvault"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
	"imei-attest/modem/serialport"
)

// bootPCRs are the registers that the devices' keys depend on.
const bootPCRs = "sha256:0,2,4,7"

// Device is a provisioned device: an emulated modem on a terminal, and a vault.
type Device struct {
	Name  string
	IMEI  imei.IMEI // provisioned in slot 1
	Modem *modemtest.Emulator
	Vault agent.Vault
	TPM   *tpmdev.Conn // nil with a software vault

	port      string // path of the modem's terminal
	serial    uint64 // of its Credential
	class     uint8  // of its client
	engine    *tpmtest.Engine
	tpmFolder string
	approvals []tpmprofile.BootApproval
}

// NewDevice makes a device with the World's kind of vault and provisions it. A later one with the same IMEI takes it over, as
// after a repair. Its AT transcript goes into the World's folder.
func (w *World) NewDevice(ctx context.Context, name string, id imei.IMEI) (*Device, error) {
	return w.NewDeviceWith(ctx, name, id, w.Kind)
}

// NewDeviceWith makes a device with a vault of its own kind.
func (w *World) NewDeviceWith(ctx context.Context, name string, id imei.IMEI, kind VaultKind) (*Device, error) {
	w.serials++
	d := &Device{Name: name, IMEI: id, serial: w.serials, class: w.class}
	if err := w.startModem(ctx, d); err != nil {
		return nil, fmt.Errorf("device %s: modem: %w", name, err)
	}
	provisionDevice := w.provisionTPM
	if kind == VaultSoftware {
		provisionDevice = w.provisionSoftware
	}
	if err := provisionDevice(ctx, d); err != nil {
		return nil, fmt.Errorf("device %s: vault: %w", name, err)
	}
	w.close = append(w.close, func() error { return d.Vault.Close() }) // the one it has then
	return d, nil
}

func (w *World) startModem(ctx context.Context, d *Device) error {
	transcript, err := os.OpenFile(filepath.Join(w.Dir, d.Name+".at.jsonl"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w.close = append(w.close, transcript.Close)
	if d.Modem, err = modemtest.New(modemtest.Config{IMEI: d.IMEI.Digits(), Transcript: transcript}); err != nil {
		return err
	}
	pty, err := modemtest.OpenPTY("")
	if err != nil {
		return err
	}
	d.port = pty.Path
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Modem.Serve(ctx, pty) }()
	w.close = append(w.close, func() error {
		cancel()
		err := pty.Close()
		<-ended // a modem that was switched off has no more to say
		return err
	})
	return nil
}

func (w *World) provisionTPM(ctx context.Context, d *Device) error {
	d.tpmFolder = filepath.Join(w.Dir, d.Name+".tpm")
	if err := d.startTPM(ctx); err != nil {
		return err
	}
	w.close = append(w.close, d.stopTPM)
	factory, err := tpmvault.NewFactory(ctx, d.TPM)
	if err != nil {
		return err
	}
	pcrs, err := tpmprofile.ParsePCRs(bootPCRs)
	if err != nil {
		return err
	}
	open := func(ctx context.Context, approvals []tpmprofile.BootApproval) (agent.Vault, error) {
		return tpmvault.Open(ctx, d.TPM, tpmvault.Config{Approvals: approvals})
	}
	_, err = provision.TPM(ctx, factory, w.oem, d.unit(), provision.Options{
		Now: time.Now(), PCRs: pcrs, OpenVault: open,
		SaveApproval: func(a tpmprofile.BootApproval) error { d.approvals = append(d.approvals, a); return nil },
	})
	if err != nil {
		return err
	}
	d.Vault, err = open(ctx, d.approvals)
	return err
}

func (d *Device) startTPM(ctx context.Context) (err error) {
	if d.engine, err = tpmtest.Start(ctx, d.tpmFolder); err != nil {
		return err
	}
	d.TPM, err = tpmdev.Open(ctx, d.engine.Spec())
	return err
}

func (d *Device) stopTPM() error { return errors.Join(d.TPM.Close(), d.engine.Stop()) }

// PowerCycle switches the device off and on again. Meanwhile the state of its TPM lies in a folder, as no real TPM's does.
func (d *Device) PowerCycle(ctx context.Context, meanwhile func(tpmState string) error) error {
	err := errors.Join(d.Vault.Close(), d.stopTPM())
	if err == nil {
		err = meanwhile(d.tpmFolder)
	}
	if err = errors.Join(err, d.startTPM(ctx)); err != nil {
		return err
	}
	d.Vault, err = tpmvault.Open(ctx, d.TPM, tpmvault.Config{Approvals: d.approvals})
	return err
}

func (w *World) provisionSoftware(ctx context.Context, d *Device) error {
	dir := filepath.Join(w.Dir, d.Name+".vault")
	folder, err := softvault.Create(dir)
	if err != nil {
		return err
	}
	_, err = provision.Software(ctx, folder, w.oem, d.unit(), provision.Options{
		Now:       time.Now(),
		OpenVault: func(context.Context, []tpmprofile.BootApproval) (agent.Vault, error) { return softvault.Open(dir) },
	})
	if err != nil {
		return err
	}
	d.Vault, err = softvault.Open(dir)
	return err
}

func (d *Device) unit() provision.Unit {
	return provision.Unit{Slots: []imei.IMEI{d.IMEI}, Model: "testbench", Serial: d.serial, Class: d.class}
}

// Attest runs the agent: it reads the modem over the terminal and signs with the vault.
func (d *Device) Attest(ctx context.Context, nonce attest.Nonce) ([]byte, error) {
	a, err := d.answer(ctx, d.Vault, agent.Request{Nonce: nonce, Registration: true})
	if err != nil {
		return nil, err
	}
	return a.Token, nil
}

func (d *Device) answer(ctx context.Context, vault agent.Vault, request agent.Request) (*agent.Attestation, error) {
	port, err := serialport.Open(ctx, d.port, serialport.Config{})
	if err != nil {
		return nil, err
	}
	defer port.Close()
	a, err := agent.New(agent.Config{Reader: modem.NewReader(port, modem.Config{}), Vault: vault, Now: time.Now})
	if err != nil {
		return nil, err
	}
	return a.Attest(ctx, request)
}
