package registrar

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxDiameterBytes is far above what an S-CSCF asks.
const maxDiameterBytes = 64 << 10

// diameterMessage is as much of RFC 6733 section 3 as the Cx stub needs.
type diameterMessage struct {
	request            bool
	command            uint32
	application        uint32
	hopByHop, endToEnd uint32
	avps               []avp
}

// avp is an attribute-value pair (RFC 6733 section 4.1); those of a vendor are 3GPP's.
type avp struct {
	code   uint32
	vendor bool
	data   []byte
}

const (
	diameterHeader = 20
	flagRequest    = 0x80 // of a message
	flagProxiable  = 0x40
	flagVendor     = 0x80 // of an AVP
	flagMandatory  = 0x40
	vendor3GPP     = 10415
)

func readDiameter(r *bufio.Reader) (*diameterMessage, error) {
	var head [diameterHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := int(uint24(head[1:]))
	if head[0] != 1 || length < diameterHeader || length > maxDiameterBytes {
		return nil, fmt.Errorf("a Diameter message of version %d and %d bytes", head[0], length)
	}
	body := make([]byte, length-diameterHeader)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	avps, err := parseAVPs(body)
	return &diameterMessage{
		request: head[4]&flagRequest != 0, command: uint24(head[5:]), application: binary.BigEndian.Uint32(head[8:]),
		hopByHop: binary.BigEndian.Uint32(head[12:]), endToEnd: binary.BigEndian.Uint32(head[16:]), avps: avps,
	}, err
}

// parseAVPs reads the content of a message or of a grouped AVP.
func parseAVPs(raw []byte) (list []avp, err error) {
	for len(raw) > 0 {
		if len(raw) < 8 {
			return nil, errors.New("an AVP is cut off")
		}
		a, head, length := avp{code: binary.BigEndian.Uint32(raw)}, 8, int(uint24(raw[5:]))
		if raw[4]&flagVendor != 0 {
			a.vendor, head = true, 12
		}
		if length < head || length > len(raw) {
			return nil, fmt.Errorf("AVP %d has a length of %d, and %d bytes are left", a.code, length, len(raw))
		}
		a.data = raw[head:length]
		list = append(list, a)
		raw = raw[min(padded(length), len(raw)):]
	}
	return list, nil
}

// answerTo has what an answer copies of its request (RFC 6733 section 6.2).
func answerTo(m *diameterMessage, avps ...avp) []byte {
	body := encodeAVPs(avps)
	raw := make([]byte, diameterHeader, diameterHeader+len(body))
	binary.BigEndian.PutUint32(raw, 1<<24|uint32(diameterHeader+len(body)))
	binary.BigEndian.PutUint32(raw[4:], m.command)
	if m.application != 0 {
		raw[4] = flagProxiable
	}
	binary.BigEndian.PutUint32(raw[8:], m.application)
	binary.BigEndian.PutUint32(raw[12:], m.hopByHop)
	binary.BigEndian.PutUint32(raw[16:], m.endToEnd)
	return append(raw, body...)
}

func encodeAVPs(list []avp) (raw []byte) {
	for _, a := range list {
		head, flags := 8, uint32(flagMandatory)
		if a.vendor {
			head, flags = 12, flagMandatory|flagVendor
		}
		length := head + len(a.data)
		raw = binary.BigEndian.AppendUint32(raw, a.code)
		raw = binary.BigEndian.AppendUint32(raw, flags<<24|uint32(length))
		if a.vendor {
			raw = binary.BigEndian.AppendUint32(raw, vendor3GPP)
		}
		raw = append(append(raw, a.data...), make([]byte, padded(length)-length)...)
	}
	return raw
}

// find returns the data of the first AVP with the code, nil if there is none.
func find(list []avp, code uint32) []byte {
	for _, a := range list {
		if a.code == code {
			return a.data
		}
	}
	return nil
}

func number(code, n uint32) avp          { return octets(code, binary.BigEndian.AppendUint32(nil, n)) }
func text(code uint32, s string) avp     { return octets(code, []byte(s)) }
func octets(code uint32, b []byte) avp   { return avp{code: code, data: b} }
func cx(code uint32, b []byte) avp       { return avp{code: code, vendor: true, data: b} }
func group(code uint32, list ...avp) avp { return octets(code, encodeAVPs(list)) }

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
func padded(n int) int       { return (n + 3) &^ 3 }
