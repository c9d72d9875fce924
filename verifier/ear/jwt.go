package ear

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"imei-attest/attest"
)

// JWT writes a result in a dialect and signs it.
func (s *Signer) JWT(r attest.Result, d Dialect) (string, error) {
	const usual = 1 << 10
	claims := s.appendClaims(make([]byte, 0, usual), &r, dialects[d])
	text := make([]byte, 0, len(s.header)+2+base64.RawURLEncoding.EncodedLen(len(claims)+signatureLen))
	text = append(append(text, s.header...), '.')
	text = base64.RawURLEncoding.AppendEncode(text, claims)
	signature, err := s.signer.Sign(nil, text) // R||S, as JWS wants it too (RFC 7518 section 3.4)
	return string(base64.RawURLEncoding.AppendEncode(append(text, '.'), signature)), err
}

// signatureLen is the length of an ES256 signature (RFC 7518 section 3.4).
const signatureLen = 64

// appendClaims writes the claims as JSON, with the names in the order of their letters. No text in it but the build has anything that
// JSON would escape: the others are of this program.
func (s *Signer) appendClaims(b []byte, r *attest.Result, n names) []byte {
	b = append(append(append(b, `{"`...), n.verifierID...), `":`...)
	b = append(append(b, s.verifier...), ',')
	if len(r.Nonce) > 0 {
		b = append(base64.RawURLEncoding.AppendEncode(append(b, `"eat_nonce":"`...), r.Nonce), `",`...)
	}
	b = append(append(append(b, `"eat_profile":"`...), n.profile...), `","exp":`...)
	b = append(strconv.AppendInt(b, r.ValidUntil.Unix(), 10), `,"iat":`...)
	b = append(strconv.AppendInt(b, r.IssuedAt.Unix(), 10), `,"submods":{`...)
	sorted := append(make([]attest.Submod, 0, attest.MaxSlots+1), r.Submods...)
	slices.SortFunc(sorted, func(a, b attest.Submod) int { return strings.Compare(a.Name, b.Name) })
	for i := range sorted {
		b = appendSubmod(b, &sorted[i], n)
		b = append(b, ',')
	}
	if len(sorted) > 0 {
		b = b[:len(b)-1]
	}
	return append(b, "}}"...)
}

// appendSubmod writes one part. An empty vector is left out (draft-ietf-rats-ear section 3), and so are the entries that claim nothing.
func appendSubmod(b []byte, sub *attest.Submod, n names) []byte {
	b = append(append(append(b, '"'), sub.Name...), `":{"`...)
	b = append(append(append(b, n.status...), `":"`...), sub.Status.String()...)
	b = append(b, '"')
	if sub.Vector != (attest.TrustVector{}) {
		b = append(append(append(b, `,"`...), n.vector...), `":{`...)
		for _, entry := range entries {
			if value := sub.Vector[entry]; value != attest.ClaimNone {
				b = append(append(append(b, '"'), entry.String()...), `":`...)
				b = append(strconv.AppendInt(b, int64(value), 10), ',')
			}
		}
		b[len(b)-1] = '}'
	}
	b = append(append(append(b, `,"`...), n.reasons...), `":[`...)
	for i, reason := range sub.Reasons {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), reason...), '"')
	}
	return append(b, "]}"...)
}

// entries are those of a vector, in the order of their names.
var entries = func() (all []attest.Entry) {
	for i := range len(attest.TrustVector{}) {
		all = append(all, attest.Entry(i))
	}
	slices.SortFunc(all, func(a, b attest.Entry) int { return strings.Compare(a.String(), b.String()) })
	return all
}()
