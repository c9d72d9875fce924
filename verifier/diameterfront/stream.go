package diameterfront

import (
	"net"

	"imei-attest/verifier/diameterfront/diameter"
)

// stream cuts what comes on a connection into messages. A read that fails loses nothing of what came.
type stream struct {
	conn     net.Conn
	buffer   [2 * diameter.MaxBytes]byte
	from, to int // what of it is not taken yet
}

// next returns one whole message, whose bytes are good until the next call. The error is a [*diameter.Error] or the connection's.
func (s *stream) next() ([]byte, error) {
	for {
		length, err := diameter.Length(s.rest())
		if err != nil {
			return nil, err
		}
		if length > 0 && s.to-s.from >= length {
			s.from += length
			return s.buffer[s.from-length : s.from], nil
		}
		if s.from+diameter.MaxBytes > len(s.buffer) {
			s.to = copy(s.buffer[:], s.rest())
			s.from = 0
		}
		n, err := s.conn.Read(s.buffer[s.to:])
		s.to += n
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// rest is what came and is no whole message yet.
func (s *stream) rest() []byte { return s.buffer[s.from:s.to] }
