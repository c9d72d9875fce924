package agent_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// chip is what a secure element, a trusted application or a PKCS #11 token gives: a key on P-256 that never leaves it and
// signs a SHA-256, and a place for the manufacturer's value. Its Sign answers in the form of ecdsa.SignASN1.
type chip interface {
	crypto.Signer
	ReadCredential() ([]byte, error) // nil when nothing was written
}

// chipVault is an agent.Vault on a chip.
type chipVault struct{ chip chip }

var _ agent.Vault = chipVault{}

// Credential returns the manufacturer's value as it is stored.
func (v chipVault) Credential(context.Context) ([]byte, error) {
	raw, err := v.chip.ReadCredential()
	if err == nil && raw == nil {
		err = agent.ErrNotProvisioned
	}
	return raw, err
}

// Signer signs with the chip's key. A chip that signs only in an approved boot state refuses here, with its own error.
func (v chipVault) Signer(ctx context.Context) attest.Signer {
	signer, err := attest.NewSigner(v.chip)
	if err != nil {
		return brokenSigner{err}
	}
	return signer
}

// Evidence returns nil: the chip has no proof of its own, and tokens are of profile A.
func (v chipVault) Evidence(context.Context, [32]byte) ([]byte, error) { return nil, nil }

// Describe says what the storage is. It grades nothing: the Credential does.
func (v chipVault) Describe() agent.Description {
	key, _ := v.chip.Public().(*ecdsa.PublicKey)
	return agent.Description{Kind: attest.StorageOther, Key: key}
}

// Close has nothing to release here.
func (v chipVault) Close() error { return nil }

// brokenSigner tells later why there is no signer.
type brokenSigner struct{ err error }

func (brokenSigner) Algorithm() attest.Algorithm              { return attest.ES256 }
func (s brokenSigner) Sign(io.Reader, []byte) ([]byte, error) { return nil, s.err }

// endorse makes the manufacturer's value for the chip with this key. Serial 1 is for IMEIs that never had one: it must rise from then on.
func endorse(oem *provision.OEM, key *ecdsa.PublicKey, slot1 imei.IMEI, now time.Time) ([]byte, error) {
	signer, err := attest.NewSigner(oem.Credential)
	if err != nil {
		return nil, err
	}
	public, ok := oem.Credential.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the credential key is not ECDSA")
	}
	c := attest.Credential{
		Issuer: oem.Issuer, OEMID: oem.ID, IssuedAt: now.UTC().Truncate(time.Second), Key: key, Slots: []imei.IMEI{slot1},
		HWModel: []byte("router-5g"), Serial: 1, ClientClass: 3,
		Storage: attest.Storage{Kind: attest.StorageOther, Boot: attest.BootUnmeasured},
	}
	_, _ = rand.Read(c.Storage.RecordID[:]) // never fails (crypto/rand)
	return attest.SignCredential(rand.Reader, c, signer, attest.KeyIDOf(public))
}

// trialChip is a chip in memory.
type trialChip struct {
	*ecdsa.PrivateKey
	credential []byte
}

func (c *trialChip) ReadCredential() ([]byte, error) { return c.credential, nil }

// endorsed is what new keys of a manufacturer say of the chip's key.
func endorsed(key *ecdsa.PublicKey) ([]byte, error) {
	folder, err := os.MkdirTemp("", "oem")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	anchor := provision.Anchor{Issuer: "tag:oem.example,2026:devices", OEMID: attesttest.Credential().OEMID, TACs: []string{"*"}}
	oem, err := provision.GenerateOEM(folder, anchor)
	if err != nil {
		return nil, err
	}
	slot1, err := imei.Parse(attesttest.IMEI1)
	if err != nil {
		return nil, err
	}
	raw, err := endorse(oem, key, slot1, attesttest.Now)
	if err != nil {
		return nil, err
	}
	credential, err := attest.DecodeCredential(raw)
	if err != nil {
		return nil, err
	}
	public, ok := oem.Credential.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the credential key is not ECDSA")
	}
	return raw, credential.Verify(public)
}

// A vault of one's own attests as the others do.
func ExampleVault() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	c := &trialChip{PrivateKey: key}
	emulator, err := modemtest.New(modemtest.Config{IMEI: attesttest.IMEI1})
	if err != nil {
		fmt.Println(err)
		return
	}
	port := emulator.Pipe()
	defer port.Close()
	a, err := agent.New(agent.Config{Reader: modem.NewReader(port, modem.Config{}), Vault: chipVault{c}})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := agent.Request{Nonce: attesttest.Nonce()}
	if _, err := a.Attest(context.Background(), request); errors.Is(err, agent.ErrNotProvisioned) {
		fmt.Println("not provisioned")
	}
	if c.credential, err = endorsed(&key.PublicKey); err != nil {
		fmt.Println(err)
		return
	}
	attestation, err := a.Attest(context.Background(), request)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(attestation.Measurements)
	// Output:
	// not provisioned
	// [equal]
}
