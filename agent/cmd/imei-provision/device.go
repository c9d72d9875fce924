package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/softvault"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

var (
	_ provision.Provisioner   = (*tpmvault.Factory)(nil)
	_ provision.SoftwareVault = (*softvault.Folder)(nil)
	_ agent.Vault             = (*tpmvault.Vault)(nil)
	_ agent.Vault             = (*softvault.Vault)(nil)
)

// softwarePrefix begins the name of a vault in a folder; the others begin with tpmdev.Prefix.
const softwarePrefix = "software:"

// defaultPCRs are firmware code, option ROMs, boot loader and secure boot state (TCG PC Client Platform Firmware
// Profile section 3.3.4).
const defaultPCRs = "sha256:0,2,4,7"

var deviceCommand = command{
	example: `  imei-provision device --oem /secure/oem --vault tpm:/dev/tpmrm0 --imei 352099001761481 --serial 1 --model router-5g --approvals approvals
  imei-provision device --oem oem --vault tpm:unix:/run/swtpm/sock --imei 352099001761481 --pcrs "" --approvals approvals
  imei-provision device --oem oem --vault software:/var/lib/imei-agent/vault --imei 352099001761481
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var f deviceFlags
		f.keys.declare(flags)
		flags.StringVar(&f.vault, "vault", "", "secure storage, `SPEC`: tpm:/dev/tpmrm0, tpm:unix:SOCKET or software:DIR")
		f.unitFlags.declare(flags)
		f.storageFlags.declare(flags)
		flags.StringVar(&f.approvals, "approvals", "", "`folder` of the boot approvals, for the devices of this release")
		return f.run
	},
}

// deviceFlags are the command line of "device".
type deviceFlags struct {
	keys keyFlags
	unitFlags
	storageFlags
	vault, approvals string
}

func (f *deviceFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if f.imei == "" || f.keys.oem == "" || f.vault == "" {
		return usagef("--oem, --vault and --imei are needed")
	}
	unit, err := f.unit()
	if err != nil {
		return err
	}
	options, err := f.options(stderr)
	if err != nil {
		return err
	}
	oem, err := f.keys.load(stderr, provision.DutyCredential, provision.DutyNV, provision.DutyBoot)
	if err != nil {
		return err
	}
	provisionOne := f.tpm
	if strings.HasPrefix(f.vault, softwarePrefix) {
		provisionOne = f.software
	}
	result, err := provisionOne(ctx, oem, unit, options)
	if err != nil {
		return err
	}
	f.summary(stdout, result)
	return nil
}

func (f *deviceFlags) tpm(ctx context.Context, oem *provision.OEM, unit provision.Unit, options provision.Options) (*provision.Result, error) {
	if f.approvals == "" {
		return nil, usageError{errNoApprovals}
	}
	var err error
	if options.Approvals, err = openApprovals(f.approvals); err != nil {
		return nil, err
	}
	options.SaveApproval = func(a tpmprofile.BootApproval) error { return provision.SaveApproval(f.approvals, a) }
	conn, err := tpmdev.Open(ctx, f.vault)
	if errors.Is(err, tpmdev.ErrSpec) {
		return nil, usageError{fmt.Errorf("--vault: %w, or software:DIR", err)}
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	factory, err := tpmvault.NewFactory(ctx, conn)
	if err != nil {
		return nil, err
	}
	options.OpenVault = opener(conn)
	return provision.TPM(ctx, factory, oem, unit, options)
}

var errNoApprovals = errors.New("--approvals is needed with a TPM: the device's agent reads the boot approvals there")

// openApprovals reads the folder of boot approvals, and makes it for the first.
func openApprovals(folder string) ([]tpmprofile.BootApproval, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, usageError{fmt.Errorf("--approvals: %w", err)}
	}
	approvals, err := tpmprofile.LoadApprovals(os.DirFS(folder))
	if err != nil {
		return nil, usageError{fmt.Errorf("--approvals: %w", err)}
	}
	return approvals, nil
}

func (f *deviceFlags) software(ctx context.Context, oem *provision.OEM, unit provision.Unit, options provision.Options) (*provision.Result, error) {
	folder := strings.TrimPrefix(f.vault, softwarePrefix)
	if folder == "" {
		return nil, usagef("--vault software: names no folder")
	}
	vault, err := softvault.Create(folder)
	if err != nil {
		return nil, err
	}
	options.OpenVault = func(context.Context, []tpmprofile.BootApproval) (agent.Vault, error) { return softvault.Open(folder) }
	return provision.Software(ctx, vault, oem, unit, options)
}

func (f *deviceFlags) summary(w io.Writer, r *provision.Result) {
	c := r.Credential
	for i, id := range c.Slots {
		fmt.Fprintf(w, "slot%d     %s\n", i+1, id)
	}
	fmt.Fprintf(w, "vault     %s (%s)\n", f.vault, c.Storage.Kind)
	fmt.Fprintf(w, "key       %s\n", attest.KeyIDOf(c.Key))
	fmt.Fprintf(w, "serial    %d\n", c.Serial)
	if c.Storage.Kind.IsTPM() {
		boot := "measured, " + f.pcrs
		if c.Storage.Boot == attest.BootUnmeasured {
			boot = "UNMEASURED: any software on the device may use the key"
		}
		fmt.Fprintf(w, "boot      %s\n", boot)
		fmt.Fprintf(w, "approval  %s\n", filepath.Join(f.approvals, r.Approval.Name))
	}
	if r.NewApproval {
		fmt.Fprintln(w, "approved  this boot state for good, as a laboratory's is: outside one, approve-boot comes first")
	}
	if r.NothingMeasured {
		fmt.Fprintln(w, "warning   the registers hold their reset values: if no firmware measures, provision with --pcrs \"\" instead")
	}
	if c.Storage.Kind == attest.StorageSoftware || c.Storage.Kind == attest.StorageTPMEmulated {
		fmt.Fprintln(w, "warning   this storage can be copied: verifiers affirm it under a laboratory's anchor at most")
	}
	if r.Resumed {
		fmt.Fprintln(w, "resumed   the record of an earlier run was kept as it is")
	}
}
