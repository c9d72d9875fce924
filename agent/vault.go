package agent

import (
	"context"
	"crypto/ecdsa"
	"errors"

	"imei-attest/attest"
)

// Vault is the device's secure storage: it keeps the manufacturer's signed IMEI value and the key that signs
// evidence. A Vault may refuse to sign when its device is not in a state the manufacturer approved; it must refuse
// when its key is not the Credential's.
type Vault interface {
	// Credential returns the manufacturer's signed IMEI value as it is stored, or ErrNotProvisioned.
	Credential(ctx context.Context) ([]byte, error)
	// Signer returns the device key as a COSE signer. Signing waits on hardware, at most until ctx is done.
	Signer(ctx context.Context) attest.Signer
	// Evidence returns the storage's own proof over binding, SHA-256 of the claims, as the encoded `tpmproof` of
	// profiles B and C; nil means that it has none, and the token is of profile A.
	Evidence(ctx context.Context, binding [32]byte) ([]byte, error)
	// Describe says what the storage is; it waits on nothing.
	Describe() Description
	// Close releases the storage. The Vault is of no use afterwards.
	Close() error
}

// Description says what a Vault is. What it says of itself grades nothing: the Credential does.
type Description struct {
	Kind              attest.StorageKind // as the Credential says
	Manufacturer      string             // of the TPM, for people; empty otherwise
	Firmware          string             // of the TPM, for people; empty otherwise
	BootBound         bool               // signs only in an approved boot state
	StorageBound      bool               // signs only while the stored value is in place
	RollbackProtected bool               // as the Credential says
	Key               *ecdsa.PublicKey   // the key that Signer signs with
}

// Errors a Vault returns that its callers tell apart.
var (
	// ErrNotProvisioned: there is no manufacturer's value in the storage.
	ErrNotProvisioned = errors.New("the vault holds no IMEI credential: provision the device with imei-provision")
	// ErrKeyMismatch: the storage's key is not the one that the manufacturer endorsed.
	ErrKeyMismatch = errors.New("the vault's key is not the one in its credential: the credential belongs to another device or storage; provision this one")
)
