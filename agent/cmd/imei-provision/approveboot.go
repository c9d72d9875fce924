package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

var approveBootCommand = command{
	example: `  imei-provision approve-boot --oem /secure/oem --pcrs sha256:0,2,4,7 --digest 3f4a...c9 --approvals approvals
  imei-provision approve-boot --oem /secure/oem --pcrs sha256:0,2,4,7 --from-device tpm:/dev/tpmrm0 --epoch 3 --approvals approvals
  imei-provision approve-boot --oem /standby/oem --role standby --pcrs "" --approvals approvals
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var f approveFlags
		f.keys.declare(flags)
		flags.StringVar(&f.role, "role", "primary", "which boot key signs: primary or standby")
		flags.StringVar(&f.pcrs, "pcrs", defaultPCRs, "registers, `list`; \"\" approves devices whose boot is not measured")
		flags.StringVar(&f.digest, "digest", "", "SHA-256 over the registers' values, 32 bytes in `hex`, as tpm2_policypcr takes it")
		flags.StringVar(&f.device.vault, "from-device", "", "read the registers of a device in the new boot state, `SPEC`: tpm:/dev/tpmrm0 or tpm:unix:SOCKET")
		flags.Func("epoch", "the approval ends on devices whose epoch counter is above `N`, from 1; without it, it never ends", func(text string) (err error) {
			if f.epoch, err = strconv.ParseUint(text, 10, 64); err != nil || f.epoch == 0 {
				return errors.New("want a number from 1")
			}
			if f.epoch == math.MaxUint64 {
				return errors.New("no counter rises above that, so the approval would never end: leave --epoch out to say so")
			}
			return nil
		})
		flags.StringVar(&f.nv, "nv", "", "whose epoch counter that is: platform or owner (default platform)")
		flags.StringVar(&f.approvals, "approvals", "", "`folder` for the approval")
		return f.run
	},
}

type approveFlags struct {
	keys                          keyFlags
	device                        tpmFlags
	role, pcrs, digest, approvals string
	epoch                         uint64
	nv                            string
}

// bootState is what is approved, and by whom.
type bootState struct {
	role tpmprofile.BootRole
	tpmprofile.BootState
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
	a, err := oem.ApproveBoot(state.role, state.BootState)
	if err != nil {
		return err
	}
	if !state.PCRs.IsEmpty() && state.Digest == state.PCRs.ResetDigest() {
		fmt.Fprintf(stderr, "WARNING: %s hold their reset values: never ship this approval\n", state.PCRs)
	}
	if err := os.MkdirAll(f.approvals, 0o755); err != nil {
		return usageError{err}
	}
	if err := provision.SaveApproval(f.approvals, a); err != nil {
		return err
	}
	what := state.PCRs.String() + " with digest " + hex.EncodeToString(state.Digest[:])
	if state.PCRs.IsEmpty() {
		what = "UNMEASURED: any software on the device may use the key"
	}
	until := "never: it can be ended only by a new key"
	if state.Epoch > 0 {
		until = fmt.Sprintf("when a device's epoch counter is above %d", state.Epoch)
	}
	fmt.Fprintf(stdout, "boot      %s\nends      %s\nsigned by %s\napproval  %s\n", what, until, a.SignedBy, filepath.Join(f.approvals, a.FileName()))
	return nil
}

func (f *approveFlags) state(ctx context.Context) (s bootState, err error) {
	s.role = tpmprofile.BootRole(f.role)
	if s.role != tpmprofile.RolePrimary && s.role != tpmprofile.RoleStandby {
		return s, usagef("--role %q: want primary or standby", f.role)
	}
	if s.PCRs, err = tpmprofile.ParsePCRs(f.pcrs); err != nil {
		return s, usageError{err}
	}
	if s.Epoch, s.Variant, err = f.end(); err != nil {
		return s, err
	}
	given := 0
	for _, source := range []string{f.digest, f.device.vault} {
		if source != "" {
			given++
		}
	}
	if s.PCRs.IsEmpty() && given != 0 || !s.PCRs.IsEmpty() && given != 1 {
		return s, usagef("want one of --digest and --from-device, and neither with --pcrs \"\"")
	}
	switch {
	case f.digest != "":
		raw, err := hex.DecodeString(f.digest)
		if err != nil || copy(s.Digest[:], raw) != len(raw) || len(raw) != len(s.Digest) {
			return s, usagef("--digest: want 32 bytes in hex")
		}
	case f.device.vault != "":
		err = f.device.with(ctx, func(_ *tpmdev.Conn, factory *tpmvault.Factory) (err error) {
			s.Digest, err = factory.ReadPCRs(ctx, s.PCRs)
			return err
		})
	}
	return s, err
}

// end is until when the approval serves.
func (f *approveFlags) end() (epoch uint64, variant attest.NVVariant, err error) {
	switch {
	case f.epoch == 0 && f.nv != "":
		return 0, 0, usagef("--nv says whose epoch counter counts: give --epoch too")
	case f.epoch == 0:
		return 0, 0, nil
	case f.nv == "" || f.nv == "platform":
		return f.epoch, attest.NVPlatform, nil
	case f.nv == "owner":
		return f.epoch, attest.NVOwner, nil
	}
	return 0, 0, usagef("--nv %q: want platform or owner", f.nv)
}
