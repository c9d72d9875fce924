package tpmvault

import "crypto/ecdsa"

// BelieveCredentialFor has the vault take its Credential for one of another key.
func (v *Vault) BelieveCredentialFor(key *ecdsa.PublicKey) { v.credential.Key = key }
