package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest/tpmprofile"
)

var _ provision.Inspector = (*tpmvault.Factory)(nil)

var verifyCommand = command{
	example: `  imei-provision verify --anchor oem-anchor.yaml --vault tpm:/dev/tpmrm0 --approvals approvals --imei 352099001761481
`,
	declare: func(flags *flag.FlagSet) func(context.Context, io.Writer, io.Writer) error {
		var f verifyFlags
		f.anchor.declare(flags)
		f.tpm.declare(flags)
		f.unit.declareSlots(flags)
		flags.StringVar(&f.approvals, "approvals", "", "`folder` of the boot approvals")
		flags.StringVar(&f.nonce, "nonce", "", "what the device key is to sign, 8 to 64 bytes in `hex`; random without")
		flags.BoolVar(&f.json, "json", false, "print JSON: credential, checks, ok, nonce, signature")
		return f.run
	},
}

type verifyFlags struct {
	anchor           anchorFlag
	tpm              tpmFlags
	unit             unitFlags
	approvals, nonce string
	json             bool
}

func (f *verifyFlags) run(ctx context.Context, stdout, _ io.Writer) error {
	oem, err := f.anchor.load()
	if err != nil {
		return err
	}
	want, err := f.want()
	if err != nil {
		return err
	}
	approvals, err := loadApprovals(f.approvals)
	if err != nil {
		return err
	}
	return f.tpm.with(ctx, func(conn *tpmdev.Conn, factory *tpmvault.Factory) error {
		want.OpenVault = func(ctx context.Context) (agent.Vault, error) { return opener(conn)(ctx, approvals) }
		found, err := provision.Verify(ctx, factory, oem, want)
		switch {
		case err == nil && !found.OK():
			err = noError{errors.New("the device is not as it must be")}
		case err != nil && !f.json:
			err = shownError{err}
		}
		return errors.Join(err, f.show(stdout, found, want.Nonce))
	})
}

// shownError ended the checks, and the last line of them says how.
type shownError struct{ err error }

func (shownError) Error() string {
	return "the last line says why the device could not be checked further"
}
func (e shownError) Unwrap() error { return e.err }

func (f *verifyFlags) want() (want provision.Inspect, err error) {
	if want.Slots, err = f.unit.slots(); err != nil {
		return want, err
	}
	if f.nonce == "" {
		want.Nonce = make([]byte, 32)
		_, _ = rand.Read(want.Nonce) // never fails (crypto/rand)
		return want, nil
	}
	want.Nonce, err = hex.DecodeString(f.nonce)
	if err != nil || len(want.Nonce) < 8 || len(want.Nonce) > 64 {
		return want, usagef("--nonce: want 8 to 64 bytes in hex")
	}
	return want, nil
}

func (f *verifyFlags) show(w io.Writer, found *provision.Inspection, nonce []byte) error {
	if f.json {
		type check struct {
			Name   string `json:"name"`
			Detail string `json:"detail"`
			OK     bool   `json:"ok"`
		}
		checks := make([]check, len(found.Checks))
		for i, c := range found.Checks {
			checks[i] = check{c.Name, c.Detail, c.OK}
		}
		var credential []byte
		if found.Credential != nil {
			credential = found.Credential.Raw
		}
		return json.NewEncoder(w).Encode(map[string]any{"credential": hex.EncodeToString(credential), "checks": checks, "ok": found.OK(),
			"nonce": hex.EncodeToString(nonce), "signature": hex.EncodeToString(found.Signature)})
	}
	for _, c := range found.Checks {
		fmt.Fprintf(w, "%-4s %-20s %s\n", map[bool]string{true: "ok", false: "BAD"}[c.OK], c.Name, c.Detail)
	}
	return nil
}

// loadApprovals reads the folder of boot approvals that an option names.
func loadApprovals(folder string) ([]tpmprofile.BootApproval, error) {
	if folder == "" {
		return nil, usagef("--approvals is missing: the device key signs only in an approved boot state")
	}
	approvals, err := tpmprofile.LoadApprovals(os.DirFS(folder))
	if err != nil {
		return nil, usageError{fmt.Errorf("--approvals: %w", err)}
	}
	if len(approvals) == 0 {
		return nil, usagef("--approvals: %s holds no boot approval; imei-provision approve-boot makes one", folder)
	}
	return approvals, nil
}
