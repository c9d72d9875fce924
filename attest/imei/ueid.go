package imei

import "fmt"

// ueidTypeIMEI marks a UEID made of an IMEI (RFC 9711 clause 4.2.1.1, type 0x03).
const ueidTypeIMEI = 0x03

// UEIDLen is the length in bytes of a UEID made of an IMEI: the type and one byte per digit.
const UEIDLen = 1 + bodyLen

// UEID encodes the IMEI as RFC 9711 clause 4.2.1.1 says: type 0x03, then 14 bytes that each hold one digit as a
// number 0..9, without check digit and software version. A UEID is opaque to its consumer, so a verifier encodes
// what it expects and compares bytes; only the Attester, whose own UEID it is, reads one back with [FromUEID].
func (i IMEI) UEID() []byte {
	if i.IsZero() {
		return nil
	}
	u := make([]byte, UEIDLen)
	u[0] = ueidTypeIMEI
	for k, d := range i.body {
		u[1+k] = d - '0'
	}
	return u
}

// FromUEID reads back what [IMEI.UEID] wrote.
func FromUEID(u []byte) (IMEI, error) {
	if len(u) != UEIDLen || u[0] != ueidTypeIMEI {
		return IMEI{}, fmt.Errorf("UEID of %d bytes is not of the IMEI type (RFC 9711 clause 4.2.1.1: 0x03 and 14 digits)", len(u))
	}
	var digits [bodyLen]byte
	for k, d := range u[1:] {
		if d > 9 {
			return IMEI{}, fmt.Errorf("UEID byte %d is %#x, not a decimal digit (RFC 9711 clause 4.2.1.1)", 1+k, d)
		}
		digits[k] = '0' + d
	}
	return FromBody(string(digits[:]))
}
