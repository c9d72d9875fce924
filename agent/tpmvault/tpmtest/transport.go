package tpmtest

import (
	"encoding/binary"
	"sync"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Spy is a transport before a TPM that counts the commands and, when told, answers in the TPM's place.
type Spy struct {
	tpm transport.TPM

	mu       sync.Mutex
	commands []tpm2.TPMCC
	fault    func(command tpm2.TPMCC) (response []byte, err error)
}

// NewSpy puts a Spy before tpm.
func NewSpy(tpm transport.TPM) *Spy { return &Spy{tpm: tpm} }

// Send implements transport.TPM.
func (s *Spy) Send(command []byte) ([]byte, error) {
	s.mu.Lock()
	code := tpm2.TPMCC(binary.BigEndian.Uint32(command[6:]))
	s.commands = append(s.commands, code)
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		if response, err := fault(code); response != nil || err != nil {
			return response, err
		}
	}
	return s.tpm.Send(command)
}

// Commands returns what was sent since the last call.
func (s *Spy) Commands() []tpm2.TPMCC {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.commands
	s.commands = nil
	return sent
}

// Fault makes f answer first; where it returns nil and nil, the TPM answers. A nil f ends it.
func (s *Spy) Fault(f func(command tpm2.TPMCC) (response []byte, err error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Refuse answers each command of a kind with a response code, and lets the others pass.
func Refuse(command tpm2.TPMCC, code tpm2.TPMRC) func(tpm2.TPMCC) ([]byte, error) {
	return func(sent tpm2.TPMCC) ([]byte, error) {
		if sent != command {
			return nil, nil
		}
		return Response(code), nil
	}
}

// Response is the response of a TPM that refuses a command: a header with the code.
func Response(code tpm2.TPMRC) []byte {
	response := []byte{0x80, 0x01, 0, 0, 0, 10}
	return binary.BigEndian.AppendUint32(response, uint32(code))
}
