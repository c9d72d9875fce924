package verifier

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"

	"imei-attest/attest/imei"
)

// Pseudonym is 16 bytes that stand for something, in hex.
type Pseudonym [16]byte

// String is the pseudonym in hex.
func (p Pseudonym) String() string { return hex.EncodeToString(p[:]) }

// MarshalText implements encoding.TextMarshaler.
func (p Pseudonym) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Pseudonym) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(p) {
		return fmt.Errorf("a pseudonym is %d bytes in hex", len(p))
	}
	copy(p[:], raw)
	return nil
}

// PseudonymKey is a secret of the operator, 32 random bytes. Whoever has it can try all IMEIs, or all subscribers, and so tell who
// stands behind a pseudonym.
type PseudonymKey [32]byte

// ID names the key in what is kept under it. It tells nothing of the key.
func (k *PseudonymKey) ID() uint32 {
	sum := sha256.Sum256(append([]byte("imei-attest-pseudonym-key-id-v1"), k[:]...))
	return binary.BigEndian.Uint32(sum[:])
}

// PseudonymKeys are the keys of one kind of identity. While the key is exchanged there is a former one, under which is still found
// what was not seen since.
type PseudonymKeys struct {
	Current PseudonymKey
	Former  *PseudonymKey // nil but during a rotation
}

// Alias is an identity under the current key and, during a rotation, under the former one.
type Alias struct{ Current, Former Pseudonym }

// Is reports whether a pseudonym is one of the identity's.
func (a Alias) Is(p Pseudonym) bool {
	return p != (Pseudonym{}) && (p == a.Current || p == a.Former)
}

// Pseudonyms makes pseudonyms: HMAC-SHA-256 under the operator's keys, truncated to 128 bits. There are so few IMEIs and subscribers
// that a plain hash would hide none. It is safe for use by many goroutines.
type Pseudonyms struct{ devices, subscribers keyring }

// NewPseudonyms takes the keys for IMEIs and those for subscribers. They must differ: who learns one kind learns nothing of the other.
func NewPseudonyms(devices, subscribers PseudonymKeys) (*Pseudonyms, error) {
	if devices.Current == subscribers.Current {
		return nil, errors.New("the keys of pseudonyms for IMEIs and for subscribers are the same: make one of them anew")
	}
	p := new(Pseudonyms)
	p.devices.init(devices)
	p.subscribers.init(subscribers)
	return p, nil
}

// RandomPseudonyms is for a process that remembers nothing: what it names nobody can link to what another one named.
func RandomPseudonyms() *Pseudonyms {
	var devices, subscribers PseudonymKeys
	_, _ = rand.Read(devices.Current[:]) // crypto/rand.Read never fails
	_, _ = rand.Read(subscribers.Current[:])
	p, _ := NewPseudonyms(devices, subscribers)
	return p
}

// The kinds of pseudonyms: what is one in one of them says nothing in another.
const (
	ofDevice       = 'd'
	ofSubscriber   = 's'
	ofPresentation = 'p'
	ofCall         = 'c'
	ofPublic       = 'u'
)

// Device is the pseudonym of an IMEI; zero of none.
func (p *Pseudonyms) Device(id imei.IMEI) Alias {
	if id.IsZero() {
		return Alias{}
	}
	return p.devices.of(ofDevice, nil, id.Body())
}

// Subscriber is the pseudonym of a subscriber; zero of none.
func (p *Pseudonyms) Subscriber(identity string) Alias {
	if identity == "" {
		return Alias{}
	}
	return p.subscribers.of(ofSubscriber, nil, identity)
}

// Call is the pseudonym of a Call-ID; zero of none.
func (p *Pseudonyms) Call(id string) Alias {
	if id == "" {
		return Alias{}
	}
	return p.subscribers.of(ofCall, nil, id)
}

// Public is the pseudonym of a public identity, whichever way its URI is written; zero of none.
func (p *Pseudonyms) Public(impu string) Alias {
	if impu == "" {
		return Alias{}
	}
	return p.subscribers.of(ofPublic, nil, normalPublic(impu))
}

// Presentation is the same for two presentations of one nonce if and only if [Presentation.Same] holds.
func (p *Pseudonyms) Presentation(of *Presentation) Alias {
	by := byte('n') // the network
	if of.Front == FrontDevice {
		by = 'd'
	}
	const bodyLen = 14 // or 0
	fixed := append(make([]byte, 0, len(of.Token)+2+bodyLen), of.Token[:]...)
	fixed = append(append(fixed, by, byte(len(of.Signalled.Body()))), of.Signalled.Body()...)
	return p.subscribers.of(ofPresentation, fixed, of.Subscriber)
}

// keyring makes pseudonyms under one kind's keys.
type keyring struct {
	current, former hmacs
	rotates         bool
}

func (r *keyring) init(k PseudonymKeys) {
	r.current.init(k.Current)
	if r.rotates = k.Former != nil; r.rotates {
		r.former.init(*k.Former)
	}
}

func (r *keyring) of(kind byte, fixed []byte, text string) (a Alias) {
	a.Current = r.current.of(kind, fixed, text)
	if r.rotates {
		a.Former = r.former.of(kind, fixed, text)
	}
	return a
}

// hmacs are HMACs under one key.
type hmacs struct{ workers sync.Pool }

// worker is one HMAC with room for what goes in and comes out.
type worker struct {
	mac  hash.Hash
	text []byte
	sum  []byte
}

func (h *hmacs) init(key PseudonymKey) {
	h.workers.New = func() any { return &worker{mac: hmac.New(sha256.New, key[:])} }
}

func (h *hmacs) of(kind byte, fixed []byte, text string) (found Pseudonym) {
	w := h.workers.Get().(*worker)
	defer h.workers.Put(w)
	w.text = append(append(append(w.text[:0], kind), fixed...), text...)
	w.mac.Reset()
	w.mac.Write(w.text)
	w.sum = w.mac.Sum(w.sum[:0])
	copy(found[:], w.sum)
	return found
}
