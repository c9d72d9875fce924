package tpmvault

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/go-tpm/tpm2"
)

// keySession is a policy session (Part 1 section 19.7) that authorises uses of the device key. It does what go-tpm's
// tpm2.Policy does, on a [command]. A session that stays is as new after a use, with another nonce: its policy has to run again.
type keySession struct {
	handle   tpm2.TPMHandle // 0 before it was started
	nonceTPM []byte
}

// startKeySession is TPM2_StartAuthSession (Part 3 section 11.1), neither bound nor salted. The handle is set whenever the TPM
// gave one, with an error too, so that the caller can free it.
func startKeySession(t contextTPM) (s keySession, err error) {
	nonce, err := newNonce()
	if err != nil {
		return s, err
	}
	a, err := t.run(newCommand(tpm2.TPMSTNoSessions, tpm2.TPMCCStartAuthSession).
		handle(tpm2.TPMRHNull).handle(tpm2.TPMRHNull).sized(nonce).sized(nil).
		sessionType(tpm2.TPMSEPolicy).algorithm(tpm2.TPMAlgNull).algorithm(tpm2.TPMAlgSHA256))
	if err != nil {
		return s, err
	}
	const policySessions = 0x03 // Part 2 section 7.2, TPM_HT_POLICY_SESSION
	handle := a.take(4)
	if len(handle) != 4 || handle[0] != policySessions {
		return s, errForm
	}
	s.handle, s.nonceTPM = tpm2.TPMHandle(binary.BigEndian.Uint32(handle)), a.sized()
	return s, a.end()
}

// sessionType appends a TPM_SE (Part 2 section 6.11).
func (c command) sessionType(kind tpm2.TPMSE) command { return append(c, byte(kind)) }

func newNonce() ([]byte, error) {
	nonce := make([]byte, nonceBytes)
	_, err := rand.Read(nonce)
	return nonce, err
}

// keyCommand is a command that the device key authorises. A key is its first handle.
type keyCommand struct {
	code       tpm2.TPMCC
	indices    []tpm2.NamedHandle // the other handles; the first has an empty password
	parameters command
	session    byte // afterwards: ends or stays
}

// What becomes of a session with the success of its command (Part 2 section 8.4, TPMA_SESSION, continueSession).
const (
	ends  = 0
	stays = 1
)

// run sends the command and returns the parameters of the response. A session that ended has no handle.
func (s *keySession) run(t contextTPM, key tpm2.NamedHandle, c keyCommand) (*answer, error) {
	nonce, err := newNonce()
	if err != nil {
		return nil, err
	}
	a, err := t.run(s.authorised(key, c, nonce))
	if err != nil {
		return nil, err
	}
	parameters := a.take(a.number(4))
	if err := s.check(a, c, nonce, parameters); err != nil {
		return nil, err
	}
	if c.session == ends {
		*s = keySession{}
	}
	return &answer{rest: parameters}, nil
}

// authorised is the whole command, with an authorisation for the key and one for an index.
func (s *keySession) authorised(key tpm2.NamedHandle, c keyCommand, nonce []byte) command {
	whole := newCommand(tpm2.TPMSTSessions, c.code).handle(key.Handle)
	hashed := command(nil).u32(uint32(c.code)) // cpHash, Part 1 section 18.7
	hashed = append(hashed, key.Name.Buffer...)
	for _, index := range c.indices {
		whole, hashed = whole.handle(index.Handle), append(hashed, index.Name.Buffer...)
	}
	size := 4 + 2 + nonceBytes + 1 + 2 + sha256.Size
	if len(c.indices) > 0 {
		size += passwordBytes
	}
	whole = whole.u32(uint32(size)).handle(s.handle).sized(nonce)
	whole = append(whole, c.session).sized(authorisation(append(hashed, c.parameters...), nonce, s.nonceTPM, c.session))
	if len(c.indices) > 0 {
		whole = whole.password()
	}
	return append(whole, c.parameters...)
}

// check takes the authorisations of the response: what an accident changed on the way has another HMAC. The TPM's
// new nonce is for the next use.
func (s *keySession) check(a *answer, c keyCommand, nonce, parameters []byte) error {
	s.nonceTPM = a.sized()
	a.expect(c.session)
	hashed := command(nil).u32(uint32(tpm2.TPMRCSuccess)).u32(uint32(c.code)) // rpHash, Part 1 section 18.8
	if !hmac.Equal(a.sized(), authorisation(append(hashed, parameters...), s.nonceTPM, nonce, c.session)) {
		return errForm
	}
	if len(c.indices) > 0 {
		a.password()
	}
	return a.end()
}

// authorisation is the HMAC of a session over a cpHash or rpHash, the newer and the older nonce, and the attributes (Part 1
// section 19.6.5). Its key is empty: the session is neither bound nor
// salted, and no policy of the device key asks for a password.
func authorisation(hashed, newer, older []byte, attributes byte) []byte {
	digest := sha256.Sum256(hashed)
	mac := hmac.New(sha256.New, nil)
	mac.Write(digest[:])
	mac.Write(newer)
	mac.Write(older)
	mac.Write([]byte{attributes})
	return mac.Sum(nil)
}
