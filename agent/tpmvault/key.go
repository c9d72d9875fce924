package tpmvault

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/attest/tpmprofile"
)

// locateKey finds the device key at its persistent handle or derives it again: a primary key is a function of its
// template and the TPM, so that losing the copy, as TPM2_Clear does, costs one command. It refuses a key that
// is not the Credential's: a record copied into another TPM.
func (v *Vault) locateKey(t contextTPM) error {
	if v.transient {
		_ = flush(t.uncancelled(), v.key) // TPM2_Clear has emptied the slot, as a rule
		v.transient = false
	}
	name, err := persistentName(t)
	if err != nil {
		return err
	}
	if bytes.Equal(name, v.keyName) {
		v.key, v.transient = tpmprofile.KeyHandle, false
		return nil
	}
	handle, name, err := createKey(t, v.template)
	if err != nil {
		return err
	}
	if !bytes.Equal(name, v.keyName) {
		return errors.Join(agent.ErrKeyMismatch, flush(t.uncancelled(), handle))
	}
	v.key, v.transient = handle, true
	if err := persist(t, handle, name); err != nil {
		v.event(fmt.Sprintf("the device key was derived again and stays in a slot of the TPM: %v", err))
		return nil
	}
	v.event("the device key was derived again and made persistent")
	v.key, v.transient = tpmprofile.KeyHandle, false
	return flush(t.uncancelled(), handle)
}

// persistentName is the Name of the object at the device key's persistent handle; nil if the handle is free.
func persistentName(t contextTPM) ([]byte, error) {
	response, err := tpm2.ReadPublic{ObjectHandle: tpmprofile.KeyHandle}.Execute(t)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain("reading the persistent device key", err)
	}
	return publicName(&response.OutPublic)
}

// publicName computes the Name of a public area instead of believing the one beside it.
func publicName(public *tpm2.TPM2BPublic) ([]byte, error) {
	contents, err := tpmprofile.Unmarshal[tpm2.TPMTPublic](public.Bytes())
	if err != nil {
		return nil, err
	}
	name, err := tpm2.ObjectName(contents)
	if err != nil {
		return nil, err
	}
	return name.Buffer, nil
}

// createKey derives the device key into a slot, which the caller frees.
func createKey(t contextTPM, template tpm2.TPMTPublic) (tpm2.TPMHandle, []byte, error) {
	response, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(t)
	if err != nil {
		return 0, nil, explain("deriving the device key", err)
	}
	name, err := publicName(&response.OutPublic)
	if err != nil {
		return 0, nil, errors.Join(err, flush(t.uncancelled(), response.ObjectHandle))
	}
	return response.ObjectHandle, name, nil
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
