package testbench

import (
	"context"
	"crypto/ecdsa"

	"imei-attest/agent"
)

// liarVault is the vault of a lying agent: it presents another device's Credential, claims that device's key, and signs
// with the key it has.
type liarVault struct {
	agent.Vault        // signs: the victim's key does not leave its TPM
	credential  []byte // of the victim
	key         *ecdsa.PublicKey
}

// newLiarVault copies the victim's Credential, which is no secret, to a thief's storage.
func newLiarVault(ctx context.Context, thief, victim agent.Vault) (*liarVault, error) {
	credential, err := victim.Credential(ctx)
	if err != nil {
		return nil, err
	}
	return &liarVault{Vault: thief, credential: credential, key: victim.Describe().Key}, nil
}

func (l *liarVault) Credential(context.Context) ([]byte, error) { return l.credential, nil }

// Describe claims the victim's key, so that the agent's own check of key against Credential passes.
func (l *liarVault) Describe() agent.Description {
	d := l.Vault.Describe()
	d.Key = l.key
	return d
}
