// Package tpmvault keeps the manufacturer's IMEI record in a TPM 2.0 and signs with the key that depends on it.
//
// Start with [Open] on a device and with [NewFactory] on a production line. Both take any transport of go-tpm's package
// tpm2; tpmdev opens one.
//
// The device key is restricted and can be used through its policy only: one of the manufacturer's two boot keys
// approved the values of the platform configuration registers, up to an epoch of the device's epoch counter if it named
// one, and the locked NV index holds the binding hash of the Credential. So one plain ES256 signature proves key, record
// and boot state, and the vault has nothing to enforce; what it checks, it checks for a better message.
//
// Beside the signature, [Vault.Evidence] gives the proof of profile B: the attestation counter, raised and certified by
// the same key. It shows that the storage was not set back, where the platform made the counter; the owner's dies at
// TPM2_Clear.
//
// After the first, a token of profile A costs 7 TPM commands and one with the proof 13; an approval that names an epoch adds one
// to each use of the key, so 8 and 15, and claims above 1024 bytes add two.
//
// The package takes the TPM for itself, or what a resource manager shows of it: it flushes sessions and transient
// objects that an earlier program left behind. "Part 3" is part 3 of the TPM 2.0 Library Specification.
package tpmvault

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// Config is what a Vault needs beside a TPM.
type Config struct {
	// Approvals are the boot states that the manufacturer approved, [tpmprofile.LoadApprovals]; at least one must be for
	// the boot keys of this device.
	Approvals []tpmprofile.BootApproval
	// Event is told what an operator may care about: a key derived again, a ticket made again. Nil means nobody is.
	Event func(text string)
	// OnClose is called once by Close, to close the transport; nil means nobody does. It is not called when Open fails.
	OnClose func() error
}

// Vault is an [agent.Vault] on a TPM.
type Vault struct {
	tpm        transport.TPM
	event      func(text string)
	engine     tpmprofile.Engine
	record     *record
	credential *attest.SignedCredential

	template  tpm2.TPMTPublic    // of the device key
	keyName   []byte             // of the device key
	public    *ecdsa.PublicKey   // the device key as the TPM showed it
	branches  []tpm2.TPM2BDigest // of its policy
	approvals []*approval        // those for its boot keys

	mu        sync.Mutex // one operation at a time: a TPM has few slots
	key       tpm2.TPMHandle
	transient bool         // key is to be flushed
	keyProven bool         // a signature was verified since Open, and nothing failed since
	session   keySession   // stays from Evidence until Sign
	current   *approval    // served last time
	policy    []policyStep // for current, and nil without
	counter   counterUse
	onClose   func() error
}

// Open finds the record in the TPM, checks that the device key is the Credential's, deriving it again where the
// persistent copy is lost, and leaves one slot of the TPM occupied at most. Whether the boot state is approved shows
// with the first signature. The error is [agent.ErrNotProvisioned], [agent.ErrKeyMismatch], [ErrBootState] or [ErrLockout] where a
// caller can do something.
func Open(ctx context.Context, tpm transport.TPM, cfg Config) (*Vault, error) {
	t := withContext(ctx, tpm)
	if err := flushLeftovers(t); err != nil {
		return nil, err
	}
	engine, err := readEngine(t)
	if err != nil {
		return nil, err
	}
	found, err := findRecord(t)
	if err != nil {
		return nil, err
	}
	v := &Vault{tpm: tpm, event: cfg.Event, engine: engine, record: found, onClose: cfg.OnClose}
	if v.event == nil {
		v.event = func(string) {}
	}
	if err := v.checkCredential(); err != nil {
		return nil, err
	}
	if err := v.adoptApprovals(cfg.Approvals); err != nil {
		return nil, err
	}
	if v.public, err = v.locateKey(t); err != nil {
		return nil, err
	}
	return v, nil
}

// checkCredential decodes the Credential and checks that it belongs to the record it is in.
func (v *Vault) checkCredential() (err error) {
	if v.credential, err = attest.DecodeCredential(v.record.Credential); err != nil {
		return fmt.Errorf("the credential in the NV record: %w", err)
	}
	c := v.credential
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	if err != nil {
		return fmt.Errorf("the credential in the NV record: %w", err)
	}
	if binding != v.record.Binding {
		return fmt.Errorf("the NV record holds the binding hash of another credential: %w", agent.ErrKeyMismatch)
	}
	if !c.Storage.Kind.IsTPM() || c.Storage.NV != v.record.variant {
		return fmt.Errorf("the credential is for storage kind %s and the NV index of the %s; it was found in that of the %s of a TPM: %w",
			c.Storage.Kind, c.Storage.NV, v.record.variant, agent.ErrKeyMismatch)
	}
	return nil
}

// adoptApprovals keeps the approvals by boot keys that the device key depends on: with them, the index's Name and
// cnf, its Name comes out as the Credential says.
func (v *Vault) adoptApprovals(all []tpmprofile.BootApproval) error {
	boot := v.credential.Storage.Boot
	var other []string
	for _, a := range all {
		policy, err := tpmprofile.KeyPolicy(a.Keys, boot, v.record.name, v.record.Binding)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		name, err := tpmprofile.DeviceKeyName(v.credential.Key, policy)
		if err != nil {
			return err
		}
		if !bytes.Equal(name, v.credential.Storage.KeyName) || a.Boot() != boot {
			other = append(other, a.Name)
			continue
		}
		if v.branches, err = a.Keys.Branches(boot); err != nil {
			return err
		}
		v.template, v.keyName = tpmprofile.KeyTemplate(policy), name
		v.approvals = append(v.approvals, &approval{BootApproval: a})
	}
	if len(v.approvals) == 0 {
		return noApproval(other)
	}
	return nil
}

func noApproval(other []string) error {
	if len(other) == 0 {
		return fmt.Errorf("%w: there is no boot approval at all; install the manufacturer's approval files", ErrBootState)
	}
	return fmt.Errorf("%w: none of the approvals %q is for this device's key; "+
		"install those of its manufacturer and boot kind (if they are, the NV index is not the one that was provisioned)", ErrBootState, other)
}

// Credential implements [agent.Vault].
func (v *Vault) Credential(context.Context) ([]byte, error) {
	return bytes.Clone(v.record.Credential), nil
}

// Signer implements [agent.Vault]. Its Sign returns [ErrBootState] while the boot state is not approved.
func (v *Vault) Signer(ctx context.Context) attest.Signer { return signer{v, ctx} }

// Describe implements [agent.Vault].
func (v *Vault) Describe() agent.Description {
	s := v.credential.Storage
	return agent.Description{
		Kind: s.Kind, Manufacturer: v.engine.Manufacturer, Firmware: v.engine.Firmware,
		BootBound: s.Boot == attest.BootMeasured, StorageBound: true, RollbackProtected: s.RollbackProtected,
		Key: v.public,
	}
}

// Close implements [agent.Vault]: it frees the TPM's slots, if key or session occupy any, and calls Config.OnClose.
func (v *Vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.endSession(withContext(context.Background(), v.tpm))
	var err error
	if v.transient {
		err = flush(v.tpm, v.key)
		v.transient = false
	}
	if v.onClose != nil {
		err = errors.Join(err, v.onClose())
		v.onClose = nil
	}
	return err
}
