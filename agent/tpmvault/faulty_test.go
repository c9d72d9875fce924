package tpmvault_test

import (
	"bytes"
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// faulty is a transport before a TPM that spoils what is sent and what comes back. Its functions change the bytes in
// place; nil ones change nothing.
type faulty struct {
	transport.TPM
	command, response func(code tpm2.TPMCC, raw []byte)
}

// Send implements transport.TPM.
func (f *faulty) Send(command []byte) ([]byte, error) {
	code := tpm2.TPMCC(binary.BigEndian.Uint32(command[6:]))
	command = bytes.Clone(command)
	if f.command != nil {
		f.command(code, command)
	}
	response, err := f.TPM.Send(command)
	if err == nil && f.response != nil {
		f.response(code, response)
	}
	return response, err
}
