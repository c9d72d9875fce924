package main

import (
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest/tpmprofile"
)

var approveBootCommand = command{
	example: `  imei-provision approve-boot --oem /secure/oem --pcrs sha256:0,2,4,7 --digest 3f4a...c9 --approvals approvals
  imei-provision approve-boot --oem /secure/oem --pcrs sha256:0,2,4,7 --from-device tpm:/dev/tpmrm0 --approvals approvals
  imei-provision approve-boot --oem /standby/oem --role standby --pcrs "" --approvals approvals
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var f approveFlags
		f.keys.declare(flags)
		flags.StringVar(&f.role, "role", "primary", "which boot key signs: primary or standby")
		flags.StringVar(&f.pcrs, "pcrs", defaultPCRs, "registers, `list`; \"\" approves devices whose boot is not measured")
		flags.StringVar(&f.digest, "digest", "", "SHA-256 over the registers' values, 32 bytes in `hex`, as tpm2_policypcr takes it")
		flags.StringVar(&f.device.vault, "from-device", "", "read the registers of a device in the new boot state, `SPEC`: tpm:/dev/tpmrm0 or tpm:unix:SOCKET")
		flags.StringVar(&f.approvals, "approvals", "", "`folder` for the approval")
		return f.run
	},
}

type approveFlags struct {
	keys                          keyFlags
	device                        tpmFlags
	role, pcrs, digest, approvals string
}

// bootState is what is approved.
type bootState struct {
	role   tpmprofile.BootRole
	pcrs   tpmprofile.PCRSelection
	digest [32]byte // of the registers' values
}

// approve signs. It is the one place where what the command line says becomes an approval.
func (s bootState) approve(oem *provision.OEM) (tpmprofile.BootApproval, error) {
	return oem.ApproveBoot(s.role, s.pcrs, s.digest)
}

func (f *approveFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	state, err := f.state(ctx)
	if err != nil {
		return err
	}
	if f.approvals == "" {
		return usagef("--approvals is missing")
	}
	oem, err := f.keys.load(stderr, map[tpmprofile.BootRole]provision.Duty{tpmprofile.RolePrimary: provision.DutyBoot, tpmprofile.RoleStandby: provision.DutyStandby}[state.role])
	if err != nil {
		return err
	}
	if !state.pcrs.IsEmpty() && state.digest == state.pcrs.ResetDigest() {
		if !oem.Development {
			return fmt.Errorf("%w: registers %s hold their reset values, so nothing measured that boot; the approval would open every device whose TPM somebody resets", provision.ErrRefused, state.pcrs)
		}
		fmt.Fprintf(stderr, "WARNING: %s hold their reset values: never ship this approval\n", state.pcrs)
	}
	a, err := state.approve(oem)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.approvals, 0o755); err != nil {
		return usageError{err}
	}
	if err := provision.SaveApproval(f.approvals, a); err != nil {
		return err
	}
	what := state.pcrs.String() + " with digest " + hex.EncodeToString(state.digest[:])
	if state.pcrs.IsEmpty() {
		what = "UNMEASURED: any software on the device may use the key"
	}
	fmt.Fprintf(stdout, "boot      %s\nsigned by %s\napproval  %s\n", what, a.SignedBy, filepath.Join(f.approvals, a.FileName()))
	return nil
}

func (f *approveFlags) state(ctx context.Context) (s bootState, err error) {
	s.role = tpmprofile.BootRole(f.role)
	if s.role != tpmprofile.RolePrimary && s.role != tpmprofile.RoleStandby {
		return s, usagef("--role %q: want primary or standby", f.role)
	}
	if s.pcrs, err = tpmprofile.ParsePCRs(f.pcrs); err != nil {
		return s, usageError{err}
	}
	given := 0
	for _, source := range []string{f.digest, f.device.vault} {
		if source != "" {
			given++
		}
	}
	if s.pcrs.IsEmpty() && given != 0 || !s.pcrs.IsEmpty() && given != 1 {
		return s, usagef("want one of --digest and --from-device, and neither with --pcrs \"\"")
	}
	switch {
	case f.digest != "":
		raw, err := hex.DecodeString(f.digest)
		if err != nil || copy(s.digest[:], raw) != len(raw) || len(raw) != len(s.digest) {
			return s, usagef("--digest: want 32 bytes in hex")
		}
	case f.device.vault != "":
		err = f.device.with(ctx, func(_ *tpmdev.Conn, factory *tpmvault.Factory) (err error) {
			s.digest, err = factory.ReadPCRs(ctx, s.pcrs)
			return err
		})
	}
	return s, err
}
