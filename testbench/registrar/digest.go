package registrar

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Challenge is what a 401 asked, and what answers it.
type Challenge struct {
	Nonce     string // the text: evidence may be bound to it
	Algorithm string // AKAv1-MD5, or MD5
	realm     string
	quality   bool   // qop=auth is offered
	password  []byte // RES of the USIM, or the subscriber's password
	used      uint32 // how often it was answered
}

// usimTime is about what a USIM takes for AUTHENTICATE. Kamailio 5.6.3 needs it: it sends the 401 first and then notes that it is outstanding,
// and takes no answer that comes between.
const usimTime = 50 * time.Millisecond

// TakeIn takes the challenge of a 401 in: the USIM answers it (RFC 3310 section 3), or who knows the password.
func (u *UE) TakeIn(ctx context.Context, r *Response) (*Challenge, error) {
	pause(ctx, usimTime)
	header := r.Header.Get("Www-Authenticate")
	c := &Challenge{Nonce: parameter(header, "nonce"), Algorithm: cmp.Or(parameter(header, "algorithm"), "MD5"), realm: parameter(header, "realm"),
		quality: strings.Contains(parameter(header, "qop"), "auth")}
	if !strings.HasPrefix(c.Algorithm, "AKA") {
		c.password = []byte(Password)
		return c, nil
	}
	raw, err := base64.StdEncoding.DecodeString(c.Nonce)
	if err != nil || len(raw) < 32 {
		return nil, fmt.Errorf("the nonce of the 401 is no RAND and AUTN in base64: it has %d characters", len(c.Nonce))
	}
	res, err := u.keys.respond([16]byte(raw[:16]), [16]byte(raw[16:32]))
	c.password = res[:]
	return c, err
}

// authorization is the header field without a challenge (TS 24.229 clause 5.1.1.2.2), or with the answer to one (RFC 2617 section 3.2.2).
// integrity-protected is the P-CSCF's word.
func (u *UE) authorization(c *Challenge) string {
	uri := "sip:" + Realm
	if c == nil {
		return fmt.Sprintf(`Digest username="%s",realm="%s",uri="%s",nonce="",response="",integrity-protected="%s"`, u.IMPI, Realm, uri, c.protected())
	}
	protected := c.protected() // before this answer counts
	c.used++
	quality, count, own := "", "", ""
	if c.quality {
		quality, count, own = "auth", fmt.Sprintf("%08x", c.used), rand.Text()
	}
	answer := digest(u.IMPI, c.realm, c.password, uri, c.Nonce, count, own, quality)
	if c.quality {
		quality = fmt.Sprintf(`,qop=auth,nc=%s,cnonce="%s"`, count, own)
	}
	return fmt.Sprintf(`Digest username="%s",realm="%s",uri="%s",nonce="%s",response="%s",algorithm=%s%s,integrity-protected="%s"`,
		u.IMPI, c.realm, uri, c.Nonce, answer, u.algorithm(c), quality, protected)
}

// protected is the P-CSCF's word about a request that answers the challenge, if there is one (TS 24.229 clauses 5.2.2.2 and 5.2.2.5): only AKA sets up a security
// association; for a password there is at most an IP address that was seen before.
func (c *Challenge) protected() string {
	switch {
	case c == nil:
		return "no"
	case strings.HasPrefix(c.Algorithm, "AKA"):
		return "yes"
	case c.used > 0:
		return "ip-assoc-yes"
	}
	return "ip-assoc-pending"
}

// digest is the response of RFC 2617 section 3.2.2.1; without qop there are neither count nor cnonce in it.
func digest(user, realm string, password []byte, uri, nonce, count, cnonce, qop string) string {
	ha1 := md5Hex([]byte(user+":"+realm+":"), password)
	ha2 := md5Hex([]byte("REGISTER:" + uri))
	if qop == "" {
		return md5Hex([]byte(ha1 + ":" + nonce + ":" + ha2))
	}
	return md5Hex([]byte(strings.Join([]string{ha1, nonce, count, cnonce, qop, ha2}, ":")))
}

// algorithm is what the UE says it is.
func (u *UE) algorithm(c *Challenge) string {
	if u.Claims != "" {
		return u.Claims
	}
	return c.Algorithm
}

func md5Hex(parts ...[]byte) string {
	h := md5.New()
	for _, p := range parts {
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// parameter returns a parameter of a challenge (RFC 2617 section 3.2.1), empty if it is not there.
func parameter(header, name string) string {
	m := regexp.MustCompile(`(?i)[ ,]` + name + `=("[^"]*"|[^", ]*)`).FindStringSubmatch(header)
	if m == nil {
		return ""
	}
	return strings.Trim(m[1], `"`)
}
