package tpmvault

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/attest/tpmprofile"
)

// locateKey finds the device key at its persistent handle or derives it again: a primary key is a function of its
// template and the TPM, so that losing the copy, as TPM2_Clear does, costs one command. It refuses a key that
// is not the Credential's: a record copied into another TPM. It returns the public half as the TPM shows it.
func (v *Vault) locateKey(t contextTPM) (*ecdsa.PublicKey, error) {
	if v.transient {
		_ = flush(t.uncancelled(), v.key) // TPM2_Clear has emptied the slot, as a rule
		v.transient = false
	}
	there, err := persistentKey(t)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(there.name, v.keyName) {
		v.key, v.transient = tpmprofile.KeyHandle, false
		return tpmprofile.PublicKeyOf(there.public)
	}
	handle, made, err := createKey(t, v.template)
	if err != nil {
		return nil, err
	}
	key, err := tpmprofile.PublicKeyOf(made.public)
	if err == nil && !bytes.Equal(made.name, v.keyName) {
		err = agent.ErrKeyMismatch
	}
	if err != nil {
		return nil, errors.Join(err, flush(t.uncancelled(), handle))
	}
	v.key, v.transient = handle, true
	if err := persist(t, handle, made.name); err != nil {
		v.event(fmt.Sprintf("the device key was derived again and stays in a slot of the TPM: %v", err))
		return key, nil
	}
	v.event("the device key was derived again and made persistent")
	v.key, v.transient = tpmprofile.KeyHandle, false
	return key, flush(t.uncancelled(), handle)
}

// object is a key as the TPM shows it.
type object struct {
	public *tpm2.TPMTPublic
	name   []byte // computed of public instead of believing the one beside it
}

// persistentKey is the object at the device key's persistent handle; empty if the handle is free.
func persistentKey(t contextTPM) (object, error) {
	response, err := tpm2.ReadPublic{ObjectHandle: tpmprofile.KeyHandle}.Execute(t)
	if isAbsent(err) {
		return object{}, nil
	}
	if err != nil {
		return object{}, explain("reading the persistent device key", err)
	}
	return newObject(&response.OutPublic)
}

func newObject(encoded *tpm2.TPM2BPublic) (object, error) {
	public, err := tpmprofile.Unmarshal[tpm2.TPMTPublic](encoded.Bytes())
	if err != nil {
		return object{}, err
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return object{}, err
	}
	return object{public, name.Buffer}, nil
}

// createKey derives the device key into a slot, which the caller frees.
func createKey(t contextTPM, template tpm2.TPMTPublic) (tpm2.TPMHandle, object, error) {
	response, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(t)
	if err != nil {
		return 0, object{}, explain("deriving the device key", err)
	}
	made, err := newObject(&response.OutPublic)
	if err != nil {
		return 0, object{}, errors.Join(err, flush(t.uncancelled(), response.ObjectHandle))
	}
	return response.ObjectHandle, made, nil
}

// persist makes the device key permanent at its handle.
func persist(t contextTPM, handle tpm2.TPMHandle, name []byte) error {
	_, err := tpm2.EvictControl{
		Auth:             tpm2.TPMRHOwner,
		ObjectHandle:     tpm2.NamedHandle{Handle: handle, Name: tpm2.TPM2BName{Buffer: name}},
		PersistentHandle: tpmprofile.KeyHandle,
	}.Execute(t)
	if errors.Is(err, tpm2.TPMRCNVDefined) {
		return fmt.Errorf("handle %#x holds another key; remove it with tpm2_evictcontrol -c %#x (%w)",
			uint32(tpmprofile.KeyHandle), uint32(tpmprofile.KeyHandle), err)
	}
	return explain("making the device key persistent", err)
}
