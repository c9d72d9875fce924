package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"
	"time"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/softvault/privatefile"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// unitFlags say what a device is.
type unitFlags struct {
	imei, slot2, model string
	serial             uint64
	class              uint
}

func (f *unitFlags) declare(flags *flag.FlagSet) {
	f.declareSlots(flags)
	flags.Uint64Var(&f.serial, "serial", 1, "serial `number` of the credential, rising when IMEIs are provisioned again")
	flags.StringVar(&f.model, "model", "unspecified", "hardware model, at most 32 bytes")
	flags.UintVar(&f.class, "class", 3, "IMS client class the device ships, `N`: 1, 2 or 3 for 2.1, 2.2 or 2.3")
}

func (f *unitFlags) declareSlots(flags *flag.FlagSet) {
	flags.StringVar(&f.imei, "imei", "", "IMEI of slot 1, 15 `digits`")
	flags.StringVar(&f.slot2, "slot2", "", "IMEI of slot 2, 15 `digits`")
}

func (f *unitFlags) unit() (provision.Unit, error) {
	if f.imei == "" {
		return provision.Unit{}, usagef("--imei is missing")
	}
	if f.class > math.MaxUint8 {
		return provision.Unit{}, usagef("--class %d: want 1, 2 or 3", f.class)
	}
	slots, err := f.slots()
	if err != nil {
		return provision.Unit{}, err
	}
	u := provision.Unit{Slots: slots, Model: f.model, Serial: f.serial, Class: uint8(f.class)}
	return u, u.Check()
}

func (f *unitFlags) slots() (slots []imei.IMEI, err error) {
	for _, text := range []string{f.imei, f.slot2} {
		if text == "" {
			continue
		}
		id, err := imei.Parse(text)
		if err != nil {
			return nil, usageError{err}
		}
		slots = append(slots, id)
	}
	if len(slots) == 2 && slots[0] == slots[1] {
		return nil, usagef("--slot2 repeats the IMEI of slot 1")
	}
	if f.slot2 != "" && f.imei == "" {
		return nil, usagef("--slot2 without --imei")
	}
	return slots, nil
}

// storageFlags say how a device keeps its record.
type storageFlags struct {
	pcrs, nv, kind string
	rollback       bool
}

func (f *storageFlags) declare(flags *flag.FlagSet) {
	flags.StringVar(&f.pcrs, "pcrs", defaultPCRs, "registers of the boot approval, `list`; \"\" means that the boot is not measured")
	declareNV(flags, &f.nv)
	declareKind(flags, &f.kind)
	flags.BoolVar(&f.rollback, "rollback-protected", false, "vouch that this TPM cannot be set back (a discrete one with the counters of the platform always counts as such)")
}

func declareNV(flags *flag.FlagSet, nv *string) {
	flags.StringVar(nv, "nv", "auto", "who creates the NV index: auto, platform or owner")
}

func declareKind(flags *flag.FlagSet, kind *string) {
	flags.StringVar(kind, "tpm-kind", "auto", "discrete or firmware; auto asks the maker; an emulator is always tpm-emulated")
}

func (f *storageFlags) options(stderr io.Writer) (o provision.Options, err error) {
	o = provision.Options{Now: time.Now(), RollbackProtected: f.rollback, Progress: progressTo(stderr)}
	if o.Variant, err = parseNV(f.nv); err != nil {
		return o, err
	}
	if o.Kind, err = parseKind(f.kind); err != nil {
		return o, err
	}
	if o.PCRs, err = tpmprofile.ParsePCRs(f.pcrs); err != nil {
		return o, usageError{err}
	}
	return o, nil
}

func parseNV(text string) (attest.NVVariant, error) {
	variant, known := map[string]attest.NVVariant{"auto": 0, "platform": attest.NVPlatform, "owner": attest.NVOwner}[text]
	if !known {
		return 0, usagef("--nv %q: want auto, platform or owner", text)
	}
	return variant, nil
}

func parseKind(text string) (attest.StorageKind, error) {
	kinds := map[string]attest.StorageKind{"auto": 0, "discrete": attest.StorageTPMDiscrete, "firmware": attest.StorageTPMFirmware}
	kind, known := kinds[text]
	if !known {
		return 0, usagef("--tpm-kind %q: want auto, discrete or firmware", text)
	}
	return kind, nil
}

func progressTo(w io.Writer) provision.Progress {
	return func(step provision.Step, detail string) error {
		fmt.Fprintf(w, "%-16s %s\n", step, detail)
		return nil
	}
}

// tpmFlags name a TPM.
type tpmFlags struct{ vault string }

func (f *tpmFlags) declare(flags *flag.FlagSet) {
	flags.StringVar(&f.vault, "vault", "", "the TPM, `SPEC`: tpm:/dev/tpmrm0 or tpm:unix:SOCKET")
}

// with runs do with the TPM.
func (f *tpmFlags) with(ctx context.Context, do func(*tpmdev.Conn, *tpmvault.Factory) error) error {
	if f.vault == "" {
		return usagef("--vault is missing")
	}
	conn, err := tpmdev.Open(ctx, f.vault)
	if errors.Is(err, tpmdev.ErrSpec) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	factory, err := tpmvault.NewFactory(ctx, conn)
	if err != nil {
		return err
	}
	return do(conn, factory)
}

// opener opens the finished vault on an open connection.
func opener(conn *tpmdev.Conn) func(context.Context, []tpmprofile.BootApproval) (agent.Vault, error) {
	return func(ctx context.Context, approvals []tpmprofile.BootApproval) (agent.Vault, error) {
		return tpmvault.Open(ctx, conn, tpmvault.Config{Approvals: approvals})
	}
}

// anchorFlag names the manufacturer's anchor, where no private key is needed.
type anchorFlag struct{ path string }

func (f *anchorFlag) declare(flags *flag.FlagSet) {
	flags.StringVar(&f.path, "anchor", "", "the manufacturer's anchor, `FILE` oem-anchor.yaml")
}

func (f *anchorFlag) load() (*provision.OEM, error) {
	text, err := readFile("--anchor", f.path)
	if err != nil {
		return nil, err
	}
	oem, err := provision.ReadAnchor(text)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", f.path, err)}
	}
	return oem, nil
}

// openRegular opens a file that can be read to its end at once. A pipe may never have one.
func openRegular(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file: pipes, devices and folders are not read", path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// readFile reads the file that an option names.
func readFile(option, path string) ([]byte, error) {
	if path == "" {
		return nil, usagef("%s is missing", option)
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", option, err)}
	}
	defer f.Close()
	const limit = 1 << 20 // all decoders take less
	raw, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	return raw, nil
}

// decoded reads the file that an option names and decodes it.
func decoded[T any](option, path string, decode func([]byte) (T, error)) (value T, err error) {
	raw, err := readFile(option, path)
	if err != nil {
		return value, err
	}
	if value, err = decode(raw); err != nil {
		return value, usageError{fmt.Errorf("%s %s: %w", option, path, err)}
	}
	return value, nil
}

// checkNew refuses an output that exists, before anything is done.
func checkNew(path string) error {
	if path == "" {
		return usagef("--out is missing")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return usagef("--out: %s exists; it is not overwritten", path)
	}
	return nil
}

// keep writes an encoded file that names IMEIs, so for its owner alone, and never over another.
func keep(path string, value interface{ Encode() ([]byte, error) }) error {
	raw, err := value.Encode()
	if err != nil {
		return err
	}
	return privatefile.Create(path, raw)
}
