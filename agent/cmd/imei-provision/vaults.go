package main

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"imei-attest/agent/provision"
	"imei-attest/agent/softvault"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest"
)

var _ provision.Vaults = (*lineVaults)(nil)

// lineVaults are the vaults that a vault command names; each is provisioned as "device" does it.
type lineVaults struct {
	command    vaultCommand
	device     deviceFlags // without vault and IMEIs
	oem        *provision.OEM
	identified string // what Identify said last
	// unmeasured is how many vaults got an approval for a boot in which nothing was measured, approved how many approvals
	// were signed because none fitted.
	unmeasured, approved int
}

// Next asks the vault command for the SPEC of the unit's vault.
func (v *lineVaults) Next(ctx context.Context, u provision.LineUnit) (string, error) {
	return v.command.run(ctx, u)
}

// Identify looks at what is there before a provisioning and after it: the endorsement key of a TPM, the key of a folder.
func (v *lineVaults) Identify(ctx context.Context, spec string) (id string, err error) {
	if strings.HasPrefix(spec, tpmdev.Prefix) && v.device.approvals == "" {
		return "", usageError{fmt.Errorf("%w: %w", provision.ErrLine, errNoApprovals)} // before the unit is begun
	}
	v.identified, err = identify(ctx, spec)
	return v.identified, err
}

func identify(ctx context.Context, spec string) (string, error) {
	if folder, software := strings.CutPrefix(spec, softwarePrefix); software && folder != "" {
		vault, err := softvault.Create(folder)
		if err != nil {
			return "", err
		}
		return keyIdentity(vault.Key()), nil
	}
	conn, err := openWhenFree(ctx, spec)
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
	hash := factory.Engine().EKNameHash
	return tpmIdentity(hash[:]), nil
}

// openWhenFree waits a little for a TPM that has not noticed yet that an earlier run of this program has ended.
func openWhenFree(ctx context.Context, spec string) (*tpmdev.Conn, error) {
	const patience, pause = 3 * time.Second, 50 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		conn, err := tpmdev.Open(ctx, spec)
		if !errors.Is(err, tpmdev.ErrBusy) || waited >= patience {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func keyIdentity(key *ecdsa.PublicKey) string { return fmt.Sprintf("key:%x", attest.Thumbprint(key)) }
func tpmIdentity(ekNameHash []byte) string    { return fmt.Sprintf("ek:%x", ekNameHash) }

// identityOf is that of the vault that a Credential was made for.
func identityOf(c *attest.SignedCredential) string {
	if c.Storage.Kind.IsTPM() {
		return tpmIdentity(c.Storage.EKNameHash)
	}
	return keyIdentity(c.Key)
}

// Provision does all steps of the command device.
func (v *lineVaults) Provision(ctx context.Context, spec string, u provision.Unit, progress provision.Progress) (*provision.Result, error) {
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
	if err != nil {
		return nil, err
	}
	if identityOf(result.Credential) != v.identified {
		return nil, fmt.Errorf("%w: the vault at %s was exchanged after it was identified: take the one that is there out, it has a Credential that is on no list",
			provision.ErrRefused, spec)
	}
	if result.NothingMeasured {
		v.unmeasured++
	}
	if result.NewApproval {
		v.approved++
	}
	return result, nil
}
