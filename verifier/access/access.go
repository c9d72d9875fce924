// Package access decides who may ask the verifier's service, and how much. Start with [NewClients] and [NewGate]: a client is
// known by a name in its TLS certificate, everybody else by his address. Who asks for too much gets 429 or 503 with
// Retry-After, and costs nobody else his turn.
package access

import (
	"container/list"
	"crypto/tls"
	"math"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Client is a caller whose certificate was recognized, or one without a certificate.
type Client struct {
	Name  string // "" for who shows no certificate of a client
	Roles []string
	limit *rate.Limiter // nil if it is not limited
}

// Grant describes a client.
type Grant struct {
	Name         string
	Certificates []string // URIs, and DNS names after "dns:"
	Roles        []string
	Rate         float64 // requests a second; 0 is not limited
	Burst        int     // requests at once
}

// Unnamed describes all callers without a certificate.
type Unnamed struct {
	Roles     []string
	Rate      float64 // requests a second of each address; 0 is not limited
	Burst     int     // requests at once of each
	Addresses int     // how many are remembered; the one that was silent longest is forgotten first
}

// Clients tells callers apart. It is safe for use by many goroutines.
type Clients struct {
	certificates map[string]*Client
	unnamed      Client
	addresses    *addresses // nil if they are not limited
}

// NewClients returns the clients that are listed. No name of a certificate stands twice.
func NewClients(grants []Grant, unnamed Unnamed) *Clients {
	c := &Clients{certificates: make(map[string]*Client), unnamed: Client{Roles: unnamed.Roles}}
	for _, g := range grants {
		client := &Client{Name: g.Name, Roles: g.Roles}
		if g.Rate > 0 {
			client.limit = rate.NewLimiter(rate.Limit(g.Rate), g.Burst)
		}
		for _, name := range g.Certificates {
			c.certificates[name] = client
		}
	}
	if unnamed.Rate > 0 {
		c.addresses = &addresses{limit: rate.Limit(unnamed.Rate), burst: unnamed.Burst, most: unnamed.Addresses,
			entries: make(map[netip.Addr]*list.Element)}
	}
	return c
}

// Of returns the client of a request. A certificate counts if it was verified, and names one client: a URI or a DNS name of its
// subject alternative names (RFC 5280 section 4.2.1.6), as SPIFFE has it.
func (c *Clients) Of(r *http.Request) *Client {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(c.certificates) == 0 {
		return &c.unnamed
	}
	return c.named(r.TLS)
}

func (c *Clients) named(state *tls.ConnectionState) *Client {
	found := &c.unnamed
	take := func(name string) (ambiguous bool) {
		client, known := c.certificates[name]
		if !known {
			return false
		}
		ambiguous = found != &c.unnamed && found != client
		found = client
		return ambiguous
	}
	leaf := state.PeerCertificates[0]
	for _, uri := range leaf.URIs {
		if take(uri.String()) {
			return &c.unnamed
		}
	}
	for _, name := range leaf.DNSNames {
		if take("dns:" + name) {
			return &c.unnamed
		}
	}
	return found
}

// Wait takes a turn of who asks. If it is above zero there is none, and there may be one after that time.
func (c *Clients) Wait(r *http.Request, now time.Time) time.Duration {
	client := c.Of(r)
	switch {
	case client.limit != nil:
		return take(client.limit, now)
	case client.Name == "" && c.addresses != nil:
		return c.addresses.wait(prefix(r.RemoteAddr), now)
	}
	return 0
}

// take takes a token out of a bucket, or tells when there is one.
func take(limit *rate.Limiter, now time.Time) time.Duration {
	turn := limit.ReserveN(now, 1)
	if !turn.OK() {
		return math.MaxInt64
	}
	delay := turn.DelayFrom(now)
	if delay > 0 {
		turn.CancelAt(now)
	}
	return delay
}

// prefix is what one subscriber of an access network has: an address of IPv4, or 64 bits of IPv6 (RFC 6177).
func prefix(remote string) netip.Addr {
	const subscriberBits = 64
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	address := at.Addr().Unmap().WithZone("")
	if !address.Is6() {
		return address
	}
	p, _ := address.Prefix(subscriberBits)
	return p.Addr()
}

// addresses limits each address by itself, and remembers only so many.
type addresses struct {
	limit rate.Limit
	burst int
	most  int

	mu      sync.Mutex
	entries map[netip.Addr]*list.Element
	order   list.List // of *bucket, the one that asked last in front
}

type bucket struct {
	of    netip.Addr
	limit rate.Limiter
}

func (a *addresses) wait(of netip.Addr, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	element, known := a.entries[of]
	if !known {
		element = a.admit(of)
	}
	a.order.MoveToFront(element)
	return take(&element.Value.(*bucket).limit, now)
}

// admit remembers a new address, in the place of the one that was silent longest if there is no other.
func (a *addresses) admit(of netip.Addr) *list.Element {
	if len(a.entries) >= a.most {
		oldest := a.order.Back()
		delete(a.entries, oldest.Value.(*bucket).of)
		a.order.Remove(oldest)
	}
	element := a.order.PushFront(&bucket{of: of, limit: *rate.NewLimiter(a.limit, a.burst)})
	a.entries[of] = element
	return element
}
