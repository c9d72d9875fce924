package tpmvault

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// command is a TPM command as it is sent: header, handles, authorisations, parameters (Part 1 section 18). go-tpm finds
// that form by reflection, which took two thirds of our time for a token, while most of a token's commands are the same
// bytes for each. So those are [marshalled] by go-tpm once, and the few others are appended here. Commands that a token does
// not need are left to go-tpm.
type command []byte

// newCommand begins a command with its header (Part 1 section 18); its size is filled in by [contextTPM.run].
func newCommand(tag tpm2.TPMST, code tpm2.TPMCC) command {
	const usual = 512 // bytes, so that few commands grow
	return make(command, 0, usual).u16(uint16(tag)).u32(0).u32(uint32(code))
}

func (c command) u16(value uint16) command { return binary.BigEndian.AppendUint16(c, value) }
func (c command) u32(value uint32) command { return binary.BigEndian.AppendUint32(c, value) }

// handle appends a handle.
func (c command) handle(handle tpm2.TPMHandle) command { return c.u32(uint32(handle)) }

// algorithm appends a TPM_ALG_ID (Part 2 section 6.3).
func (c command) algorithm(id tpm2.TPMAlgID) command { return c.u16(uint16(id)) }

// sized appends a TPM2B (Part 2 section 10.4).
func (c command) sized(content []byte) command {
	return append(c.u16(uint16(len(content))), content...)
}

// password appends the authorisation with an empty password (Part 1 section 19.4): no nonce, no attributes.
func (c command) password() command { return append(c.handle(tpm2.TPMRSPW), 0, 0, 0, 0, 0) }

// Sizes in bytes: the header of a command and of a response, and what password appends.
const (
	headerBytes   = 2 + 4 + 4
	passwordBytes = 4 + 2 + 1 + 2
)

// marshalled is a command as go-tpm sends it.
func marshalled[R any](c interface {
	Execute(transport.TPM, ...tpm2.Session) (*R, error)
}) (command, error) {
	var r recorder
	if _, err := c.Execute(&r); r.sent == nil {
		return nil, err
	}
	return r.sent, nil
}

// recorder is a transport that keeps a command instead of sending it.
type recorder struct{ sent []byte }

var errRecorded = errors.New("the command was kept and not sent")

// Send implements transport.TPM.
func (r *recorder) Send(command []byte) ([]byte, error) {
	r.sent = bytes.Clone(command)
	return nil, errRecorded
}

// errForm is a response that cannot be one to the command.
var errForm = errors.New("the TPM's response has not the form of one to this command")

// run sends a command and takes the header off the response. A refusal is a [tpm2.TPMRC]; a success has the tag of the
// command (Part 2 section 6.9). Whether it has shows with [answer.end], so that the handle of a session can be read all the same.
func (c contextTPM) run(sent command) (*answer, error) {
	binary.BigEndian.PutUint32(sent[2:], uint32(len(sent)))
	response, err := c.Send(sent)
	if err != nil {
		return nil, err
	}
	if len(response) < headerBytes {
		return nil, errForm
	}
	if code := tpm2.TPMRC(binary.BigEndian.Uint32(response[6:])); code != tpm2.TPMRCSuccess {
		return nil, code
	}
	sameTag := bytes.Equal(response[:2], sent[:2])
	whole := binary.BigEndian.Uint32(response[2:]) == uint32(len(response))
	// A copy: the transport may use its buffer for the next response, while digest, ticket and nonce are needed longer.
	return &answer{rest: bytes.Clone(response[headerBytes:]), bad: !sameTag || !whole}, nil
}

// runSilent is run for a command whose response has no parameters; with a tag that announces authorisations it was
// authorised with a password.
func (c contextTPM) runSilent(sent command) error {
	a, err := c.run(sent)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint16(sent) == uint16(tpm2.TPMSTSessions) {
		a.expect(0, 0, 0, 0) // parameterSize
		a.password()
	}
	return a.end()
}

// answer is what is left to read of a response. What does not fit is remembered, so that one look at the end
// is enough.
type answer struct {
	rest []byte
	bad  bool
}

// take is the next n bytes, nil where there are fewer.
func (a *answer) take(n int) []byte {
	if n < 0 || n > len(a.rest) { // below 0: a size of 2 GiB and more where int has 32 bits
		a.rest, a.bad = nil, true
		return nil
	}
	taken := a.rest[:n:n]
	a.rest = a.rest[n:]
	return taken
}

// number is the next n bytes as a number, n being 4 at most.
func (a *answer) number(n int) (value int) {
	for _, b := range a.take(n) {
		value = value<<8 | int(b)
	}
	return value
}

// sized is the content of a TPM2B (Part 2 section 10.4).
func (a *answer) sized() []byte { return a.take(a.number(2)) }

// expect takes bytes that can only be these.
func (a *answer) expect(want ...byte) {
	if !bytes.Equal(a.take(len(want)), want) {
		a.bad = true
	}
}

// password takes the answer to an empty password: no nonce, continueSession, no HMAC (Part 1 section 19.4).
func (a *answer) password() { a.expect(0, 0, 1, 0, 0) }

// end reports whether everything fitted and nothing is left.
func (a *answer) end() error {
	if a.bad || len(a.rest) != 0 {
		return errForm
	}
	return nil
}
