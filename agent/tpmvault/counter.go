package tpmvault

import (
	"encoding/binary"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

// counter is one of the NV counters of a TPM.
type counter struct {
	tpmprofile.Counter
	variant attest.NVVariant
}

// String names the counter with its handle, as tpm2-tools take it.
func (c counter) String() string {
	return fmt.Sprintf("the %s counter at NV index %#x", c.Counter, uint32(c.Index(c.variant)))
}

// state looks at what the counter's handle holds.
func (c counter) state(t contextTPM) (tpmprofile.IndexState, error) {
	public, name, err := readIndexPublic(t, c.Index(c.variant))
	if err != nil {
		return tpmprofile.IndexForeign, err
	}
	if public == nil {
		return tpmprofile.IndexAbsent, nil
	}
	return c.StateOf(name, c.variant)
}

// handle is the counter after its first rise.
func (c counter) handle() (tpm2.NamedHandle, error) {
	name, err := c.Name(c.variant, true)
	return tpm2.NamedHandle{Handle: c.Index(c.variant), Name: tpm2.TPM2BName{Buffer: name}}, err
}

// define creates the counter (Part 3 section 31.3).
func (c counter) define(t contextTPM) error {
	public := tpm2.New2B(*c.Public(c.variant, false))
	_, err := tpm2.NVDefineSpace{AuthHandle: hierarchyOf(c.variant), PublicInfo: public}.Execute(t)
	return explain(fmt.Sprintf("defining %s", c), err)
}

// raise adds 1 (Part 3 section 31.8). The Name does not matter: a password session does not cover it, so whoever needs to
// know which counter rose looks at what the TPM certifies.
func (c counter) raise(t contextTPM) error {
	index := c.Index(c.variant)
	authorised := index
	if c.Counter == tpmprofile.CounterEpoch {
		authorised = hierarchyOf(c.variant)
	}
	err := t.runSilent(newCommand(tpm2.TPMSTSessions, tpm2.TPMCCNVIncrement).
		handle(authorised).handle(index).u32(passwordBytes).password())
	return explain(fmt.Sprintf("raising %s", c), err)
}

// read gives the value of a counter that has risen.
func (c counter) read(t contextTPM) (uint64, error) {
	index, err := c.handle()
	if err != nil {
		return 0, err
	}
	const size = 8
	response, err := tpm2.NVRead{AuthHandle: index, NVIndex: index, Size: size}.Execute(t)
	if err != nil {
		return 0, explain(fmt.Sprintf("reading %s", c), err)
	}
	if len(response.Data.Buffer) != size {
		return 0, fmt.Errorf("reading %s: got %d bytes, want %d", c, len(response.Data.Buffer), size)
	}
	return binary.BigEndian.Uint64(response.Data.Buffer), nil
}
