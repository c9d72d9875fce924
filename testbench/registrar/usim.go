package registrar

import (
	"crypto/aes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
)

// keys are what USIM and home network share (TS 35.206: MILENAGE).
type keys struct{ k, opc [16]byte }

// vector is an authentication vector of the home network (TS 33.102 clause 6.3.2).
type vector struct {
	rand, autn, ck, ik [16]byte
	res                [8]byte
}

// amf is the one of test set 1 (TS 35.207 clause 4.3): nobody here reads it.
var amf = [2]byte{0xb9, 0xb9}

// vector makes the vector for a challenge and a sequence number.
func (s keys) vector(challenge [16]byte, sqn uint64) (v vector) {
	out2, ak := s.f2f5(challenge)
	v.rand, v.res = challenge, out2
	v.ck, v.ik = s.out(challenge, 4, 2), s.out(challenge, 8, 4)
	seq := sqnBytes(sqn)
	mac := s.f1(challenge, seq, amf)
	subtle.XORBytes(v.autn[:6], seq[:], ak[:])
	copy(v.autn[6:], amf[:])
	copy(v.autn[8:], mac[:])
	return v
}

// newChallenge is a RAND.
func newChallenge() (challenge [16]byte) {
	rand.Read(challenge[:])
	return challenge
}

var errNotOurNetwork = errors.New("the USIM refuses the challenge: it is not of its home network (the MAC in AUTN is wrong)")

// respond is the USIM's part: it checks that the challenge is of its home network, and answers. Whether the sequence number is new it does
// not look at: nobody here replays a challenge.
func (s keys) respond(challenge, autn [16]byte) (res [8]byte, err error) {
	res, ak := s.f2f5(challenge)
	var seq [6]byte
	subtle.XORBytes(seq[:], autn[:6], ak[:])
	if mac := s.f1(challenge, seq, [2]byte(autn[6:])); subtle.ConstantTimeCompare(mac[:], autn[8:]) != 1 {
		return [8]byte{}, errNotOurNetwork
	}
	return res, nil
}

// f1 is the network's authentication code (TS 35.206 clause 4.1).
func (s keys) f1(challenge [16]byte, sqn [6]byte, amf [2]byte) (mac [8]byte) {
	var in [16]byte
	copy(in[:], sqn[:])
	copy(in[6:], amf[:])
	copy(in[8:], in[:8])
	subtle.XORBytes(in[:], in[:], s.opc[:])
	in = rotated(in, 8)
	temp := s.temp(challenge)
	subtle.XORBytes(in[:], in[:], temp[:])
	out := s.encrypt(in)
	subtle.XORBytes(out[:], out[:], s.opc[:])
	copy(mac[:], out[:])
	return mac
}

// f2f5 is the response, and the key that hides the sequence number.
func (s keys) f2f5(challenge [16]byte) (res [8]byte, ak [6]byte) {
	out := s.out(challenge, 0, 1)
	copy(res[:], out[8:])
	copy(ak[:], out[:])
	return res, ak
}

// out is OUT2 to OUT5: rotation in bytes, and the constant's last byte.
func (s keys) out(challenge [16]byte, rotate int, constant byte) [16]byte {
	in := s.temp(challenge)
	subtle.XORBytes(in[:], in[:], s.opc[:])
	in = rotated(in, rotate)
	in[15] ^= constant
	out := s.encrypt(in)
	subtle.XORBytes(out[:], out[:], s.opc[:])
	return out
}

func (s keys) temp(challenge [16]byte) [16]byte {
	subtle.XORBytes(challenge[:], challenge[:], s.opc[:])
	return s.encrypt(challenge)
}

func (s keys) encrypt(in [16]byte) (out [16]byte) {
	block, err := aes.NewCipher(s.k[:])
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	block.Encrypt(out[:], in[:])
	return out
}

func rotated(in [16]byte, n int) (out [16]byte) {
	for i := range in {
		out[i] = in[(i+n)%16]
	}
	return out
}

func sqnBytes(sqn uint64) (b [6]byte) {
	copy(b[:], binary.BigEndian.AppendUint64(nil, sqn)[2:])
	return b
}
