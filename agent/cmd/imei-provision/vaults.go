package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"imei-attest/agent/provision"
	"imei-attest/agent/softvault"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest"
)

var _ provision.Vaults = (*lineVaults)(nil)

// lineVaults are the vaults that a vault command names; each is provisioned as "device" does it.
type lineVaults struct {
	command vaultCommand
	device  deviceFlags // without vault and IMEIs
	oem     *provision.OEM
	// unmeasured is how many vaults got an approval for a boot in which nothing was measured.
	unmeasured int
}

func (v *lineVaults) Next(ctx context.Context, u provision.LineUnit) (string, error) {
	return v.command.run(ctx, u)
}

// Identify looks at what is there before a provisioning and after it: the endorsement key of a TPM, the key of a folder.
func (v *lineVaults) Identify(ctx context.Context, spec string) (string, error) {
	if folder, software := strings.CutPrefix(spec, softwarePrefix); software && folder != "" {
		vault, err := softvault.Create(folder)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("key:%x", attest.Thumbprint(vault.Key())), nil
	}
	conn, err := tpmdev.Open(ctx, spec)
	if errors.Is(err, tpmdev.ErrSpec) {
		return "", fmt.Errorf("--vault-command: %w, or software:DIR", err)
	}
	if err != nil {
		return "", err
	}
	defer conn.Close()
	factory, err := tpmvault.NewFactory(ctx, conn)
	if err != nil {
		return "", fmt.Errorf("vault %s: %w", spec, err)
	}
	return fmt.Sprintf("ek:%x", factory.Engine().EKNameHash), nil
}

func (v *lineVaults) Provision(ctx context.Context, spec string, u provision.Unit, progress func(provision.Step, string)) (*provision.Result, error) {
	f := v.device
	f.vault = spec
	options, err := f.options(io.Discard)
	if err != nil {
		return nil, err
	}
	options.Progress = progress
	provisionOne := f.tpm
	if strings.HasPrefix(spec, softwarePrefix) {
		provisionOne = f.software
	}
	result, err := provisionOne(ctx, v.oem, u, options)
	if err == nil && result.NothingMeasured {
		v.unmeasured++
	}
	return result, err
}
