package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"imei-attest/agent"
	"imei-attest/agent/softvault"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest/tpmprofile"
)

var (
	_ agent.Vault = (*tpmvault.Vault)(nil)
	_ agent.Vault = (*softvault.Vault)(nil)
)

// openVault opens the secure storage that spec names.
func openVault(ctx context.Context, spec, approvals string) (agent.Vault, error) {
	if dir, ok := strings.CutPrefix(spec, "software:"); ok {
		vault, err := softvault.Open(dir)
		if err != nil {
			return nil, fail(exitRefused, err)
		}
		return vault, nil
	}
	if !strings.HasPrefix(spec, tpmdev.Prefix) {
		return nil, fail(exitUsage, fmt.Errorf("--vault %q: want tpm:/dev/tpmrm0, tpm:unix:SOCKET or software:DIR", spec))
	}
	approved, err := loadApprovals(approvals)
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	tpm, err := tpmdev.Open(ctx, spec)
	switch {
	case errors.Is(err, tpmdev.ErrSpec):
		return nil, fail(exitUsage, fmt.Errorf("--vault: %w", err))
	case err != nil:
		return nil, fail(exitRefused, err)
	}
	vault, err := tpmvault.Open(ctx, tpm, tpmvault.Config{Approvals: approved, OnClose: tpm.Close})
	if err != nil {
		return nil, fail(exitRefused, errors.Join(err, tpm.Close()))
	}
	return vault, nil
}

func loadApprovals(folder string) ([]tpmprofile.BootApproval, error) {
	if folder == "" {
		return nil, errors.New("--approvals is missing: the TPM's key signs only in a boot state that an approval of the manufacturer describes; name the folder that imei-provision wrote them to")
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("--approvals %s: no such folder: name the one that imei-provision wrote the boot approvals to", folder)
	}
	approvals, err := tpmprofile.LoadApprovals(os.DirFS(folder))
	if err != nil {
		return nil, fmt.Errorf("--approvals %s: %w", folder, err)
	}
	return approvals, nil
}
