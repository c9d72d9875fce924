package tpmvault

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// record is the manufacturer's record and the index it was found in.
type record struct {
	tpmprofile.Record
	index   tpm2.TPMHandle
	name    []byte // of the index
	variant attest.NVVariant
}

// findRecord looks for the record in the platform's index, then in the owner's.
func findRecord(t contextTPM) (*record, error) {
	unfinished := false
	for _, place := range []record{
		{index: tpmprofile.PlatformIndex, variant: attest.NVPlatform},
		{index: tpmprofile.OwnerIndex, variant: attest.NVOwner},
	} {
		public, name, err := readIndexPublic(t, place.index)
		if err != nil {
			return nil, err
		}
		if public == nil {
			continue
		}
		if !public.Attributes.Written || !public.Attributes.WriteLocked {
			unfinished = true
			continue
		}
		place.name = name
		if place.Record, err = readRecord(t, public, name); err != nil {
			return nil, err
		}
		return &place, nil
	}
	if unfinished {
		return nil, fmt.Errorf("provisioning was interrupted, run it again with the same IMEI: %w", agent.ErrNotProvisioned)
	}
	return nil, agent.ErrNotProvisioned
}

// readIndexPublic reads the public area of an index and computes its Name; nil if the handle is free.
func readIndexPublic(t contextTPM, index tpm2.TPMHandle) (*tpm2.TPMSNVPublic, []byte, error) {
	response, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t)
	if isAbsent(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, explain(fmt.Sprintf("reading the attributes of NV index %#x", uint32(index)), err)
	}
	public, err := tpmprofile.Unmarshal[tpm2.TPMSNVPublic](response.NVPublic.Bytes())
	if err != nil {
		return nil, nil, err
	}
	name, err := tpm2.NVName(public)
	if err != nil {
		return nil, nil, err
	}
	return public, name.Buffer, nil
}

// readRecord reads and decodes a written index.
func readRecord(t contextTPM, public *tpm2.TPMSNVPublic, name []byte) (tpmprofile.Record, error) {
	if public.DataSize != tpmprofile.RecordSize {
		return tpmprofile.Record{}, fmt.Errorf("NV index %#x has %d bytes, a record has %d", uint32(public.NVIndex), public.DataSize, tpmprofile.RecordSize)
	}
	raw, err := readNV(t, tpm2.NamedHandle{Handle: public.NVIndex, Name: tpm2.TPM2BName{Buffer: name}}, public.DataSize)
	if err != nil {
		return tpmprofile.Record{}, err
	}
	return tpmprofile.DecodeRecord(raw)
}

// readNV reads an index piece by piece: chips differ in how much one command may carry (TPM_PT_NV_BUFFER_MAX).
func readNV(t contextTPM, index tpm2.NamedHandle, size uint16) ([]byte, error) {
	values, err := properties(t, tpm2.TPMPTNVBufferMax, 1)
	if err != nil {
		return nil, err
	}
	most := values[tpm2.TPMPTNVBufferMax]
	if most == 0 {
		most = 512 // the smallest seen on a chip; the property is optional
	}
	raw := make([]byte, 0, size)
	for len(raw) < int(size) {
		want := min(int(size)-len(raw), int(most))
		response, err := tpm2.NVRead{AuthHandle: index, NVIndex: index, Size: uint16(want), Offset: uint16(len(raw))}.Execute(t)
		if err != nil {
			return nil, explain(fmt.Sprintf("reading NV index %#x", uint32(index.Handle)), err)
		}
		if len(response.Data.Buffer) != want {
			return nil, fmt.Errorf("reading NV index %#x: got %d bytes, want %d", uint32(index.Handle), len(response.Data.Buffer), want)
		}
		raw = append(raw, response.Data.Buffer...)
	}
	return raw, nil
}
