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
		return softvault.Open(dir)
	}
	if !strings.HasPrefix(spec, tpmdev.Prefix) {
		return nil, fmt.Errorf("--vault %q: want tpm:/dev/tpmrm0, tpm:unix:SOCKET or software:DIR", spec)
	}
	if approvals == "" {
		return nil, errors.New("--approvals is missing: the TPM's key signs only in a boot state that an approval of the manufacturer describes; name the folder that imei-provision wrote them to")
	}
	approved, err := tpmprofile.LoadApprovals(os.DirFS(approvals))
	if err != nil {
		return nil, fmt.Errorf("--approvals %s: %w", approvals, err)
	}
	tpm, err := tpmdev.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	vault, err := tpmvault.Open(ctx, tpm, tpmvault.Config{Approvals: approved, OnClose: tpm.Close})
	if err != nil {
		return nil, errors.Join(err, tpm.Close())
	}
	return vault, nil
}
