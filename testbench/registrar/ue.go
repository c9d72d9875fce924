package registrar

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"

	"imei-attest/attest/imei"
)

// Password is that of every subscriber where a network asks for one.
const Password = "made-up"

// askedExpires is what a UE asks for, in seconds (TS 24.229 clause 5.1.1.2.1).
const askedExpires = 600000

// Subscriber is a made-up subscriber of the home network, with a USIM.
type Subscriber struct {
	IMPI, IMPU string // private and public user identity, as derived from the IMSI (TS 23.003 clauses 13.3 and 13.4B)
	// ByPassword: the HSS lets this subscriber authenticate by [Password] (SIP Digest, TS 33.203 annex N), for clients that reach no USIM.
	ByPassword bool

	keys keys
}

// NewSubscriber makes up a subscriber with an IMSI.
func NewSubscriber(imsi string) Subscriber {
	secret := sha256.Sum256([]byte("made up for " + imsi))
	s := Subscriber{IMPI: imsi + "@" + Realm, IMPU: "sip:" + imsi + "@" + Realm}
	copy(s.keys.k[:], secret[:])
	copy(s.keys.opc[:], secret[16:])
	return s
}

// probe is the subscriber by whom it is tried whether an S-CSCF is ready.
var probe = NewSubscriber("001010000000000")

// InstanceID is what a UE with an IMEI puts into +sip.instance (TS 24.229 clause 5.1.1.2.1).
func InstanceID(id imei.IMEI) string { return "<" + id.URN() + ">" }

// Body is what a REGISTER carries; the zero value is nothing.
type Body struct {
	Type    string // Content-Type
	Content []byte
}

// UE is the registering side: the IMS stack of a phone with its USIM, and of its P-CSCF what that adds to a request on the way. It is for
// one goroutine.
type UE struct {
	Subscriber
	InstanceID string // as it stands in +sip.instance, in angle brackets; empty, and there is none
	// Claims is what the UE says of the algorithm it was challenged by, whatever it was; empty, and it tells the truth.
	Claims string
	// Next is the name of the P-CSCF's next hop, for who watches: S-CSCF, until it is set.
	Next string

	line    *line
	callID  string
	tag     string
	cseq    uint32
	observe Observer
}

// NewUE connects a UE to a proxy at host:port over "udp" or "tcp". observe may be nil.
func NewUE(ctx context.Context, network, proxy string, s Subscriber, instanceID string, observe Observer) (*UE, error) {
	l, err := dial(ctx, network, proxy)
	if err != nil {
		return nil, fmt.Errorf("the UE finds no proxy: %w", err)
	}
	return &UE{Subscriber: s, InstanceID: instanceID, line: l, callID: rand.Text(), tag: rand.Text(), Next: "S-CSCF", observe: observe}, nil
}

// Close ends the connection. A registration stays until it expires.
func (u *UE) Close() error { return u.line.Close() }

// Start sends the first REGISTER, which is not protected (TS 24.229 clause 5.1.1.2.1), and takes the challenge in.
func (u *UE) Start(ctx context.Context) (*Challenge, error) {
	response, err := u.register(ctx, "the first, not protected", nil, askedExpires, Body{})
	if err != nil {
		return nil, err
	}
	if response.Code != http.StatusUnauthorized {
		return nil, fmt.Errorf("the first REGISTER was answered %s, want a 401", response.Status())
	}
	return u.TakeIn(ctx, response)
}

// Register answers the challenge: after AKA, over the security association. A second time it prolongs the registration.
func (u *UE) Register(ctx context.Context, c *Challenge, with Body) (*Response, error) {
	what := "answers the challenge"
	if c.used > 0 {
		what = "prolongs the registration"
	}
	return u.register(ctx, what, c, askedExpires, with)
}

// Persist registers as Register does, and answers challenges that come anew, as they may at any time (TS 24.229 clause 5.1.1.5.1). What the
// REGISTER carries may depend on the challenge; the last one is returned.
func (u *UE) Persist(ctx context.Context, c *Challenge, with func(*Challenge) Body) (*Challenge, *Response, error) {
	return u.persist(ctx, c, func(c *Challenge) (*Response, error) { return u.Register(ctx, c, with(c)) })
}

// Deregister ends the registration, and answers challenges as Persist does.
func (u *UE) Deregister(ctx context.Context, c *Challenge) (*Response, error) {
	_, r, err := u.persist(ctx, c, func(c *Challenge) (*Response, error) {
		return u.register(ctx, "ends the registration", c, 0, Body{})
	})
	return r, err
}

func (u *UE) persist(ctx context.Context, c *Challenge, send func(*Challenge) (*Response, error)) (*Challenge, *Response, error) {
	const tries = 4
	for try := 1; ; try++ {
		r, err := send(c)
		if err != nil || r.Code != http.StatusUnauthorized || try == tries {
			return c, r, err
		}
		if c, err = u.TakeIn(ctx, r); err != nil {
			return nil, r, err
		}
	}
}

func (u *UE) register(ctx context.Context, what string, c *Challenge, expires int, with Body) (*Response, error) {
	u.cseq++
	u.observe.See("UE", "P-CSCF", "REGISTER, "+what, u.details(c, expires, with)...)
	u.observe.See("P-CSCF", u.Next, "the same, with Path and integrity-protected="+c.protected())
	response, err := u.line.exchange(ctx, u.Message(c, expires, with))
	if err == nil {
		u.observe.See("P-CSCF", "UE", response.Status(), response.details()...)
	}
	return response, err
}

// Message is the REGISTER with the CSeq of the last one, as the P-CSCF hands it on: Path, the P-headers and integrity-protected are its own.
func (u *UE) Message(c *Challenge, expires int, with Body) []byte {
	instance := ""
	if u.InstanceID != "" {
		instance = fmt.Sprintf(`;+sip.instance="%s"`, u.InstanceID)
	}
	user, _, _ := strings.Cut(u.IMPI, "@")
	header := []string{
		fmt.Sprintf("REGISTER sip:%s SIP/2.0", Realm),
		fmt.Sprintf("Via: SIP/2.0/%s %s;branch=z9hG4bK%s;rport", strings.ToUpper(u.line.network), u.line.local, rand.Text()),
		"Max-Forwards: 70",
		fmt.Sprintf("From: <%s>;tag=%s", u.IMPU, u.tag),
		fmt.Sprintf("To: <%s>", u.IMPU),
		"Call-ID: " + u.callID,
		fmt.Sprintf("CSeq: %d REGISTER", u.cseq),
		fmt.Sprintf("Contact: <sip:%s@%s;transport=%s>;expires=%d%s", user, u.line.local, u.line.network, expires, instance),
		"Authorization: " + u.authorization(c),
		fmt.Sprintf("Path: <sip:term@%s;transport=%s;lr>", u.line.local, u.line.network),
		"Require: path",
		"Supported: path, outbound, gruu",
		"P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=001010001000019B",
		fmt.Sprintf(`P-Visited-Network-ID: "%s"`, Realm),
		"P-Charging-Vector: icid-value=" + u.callID,
	}
	if with.Type != "" {
		header = append(header, "Content-Type: "+with.Type, "Content-Disposition: attestation;handling=optional") // or a registrar answers 415
	}
	header = append(header, fmt.Sprintf("Content-Length: %d\r\n\r\n", len(with.Content)))
	return append([]byte(strings.Join(header, "\r\n")), with.Content...)
}

// details are the parts that matter here, without identities in full.
func (u *UE) details(c *Challenge, expires int, with Body) (list []string) {
	instance := u.InstanceID
	if instance == "" {
		instance = "none"
	}
	list = append(list, "+sip.instance "+instance)
	if expires == 0 {
		list = append(list, "expires 0")
	}
	if c != nil {
		list = append(list, fmt.Sprintf("Authorization: %s, nonce of the 401, response", u.algorithm(c)))
	}
	if with.Type != "" {
		kind, _, _ := strings.Cut(with.Type, ";")
		list = append(list, fmt.Sprintf("body: %s, %d bytes", kind, len(with.Content)))
	}
	return list
}
