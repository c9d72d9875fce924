package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"imei-attest/verifier/strictyaml"
)

// S13 is the front that answers as an EIR over Diameter (TS 29.272 clause 6).
type S13 struct {
	Listen    string // address without TLS; "" for none
	ListenTLS string // address with TLS from the first byte; "" for none
	Plain     bool   // what is asked without TLS may leave the machine
	Host      string // Origin-Host of this side
	Realm     string // its Origin-Realm
	InFlight  int    // questions of one connection that are judged at once
	Watchdog  time.Duration
	Upstream  S13Upstream
	Peers     []S13Peer // who may ask
}

// S13Upstream is the operator's own EIR, which is asked each question, too.
type S13Upstream struct {
	Address string // "" for none
	Host    string // the Origin-Host that it has
	Realm   string // of which it answers for
	CA      string // PEM file of who signs its certificate; "" for no TLS
	Plain   bool   // without TLS the question may leave the machine
	Timeout time.Duration
	Fail    Outage
}

// S13Peer is who may ask: an MME, an SGSN or an agent.
type S13Peer struct {
	Host        string         // its Origin-Host
	Addresses   []netip.Prefix // that it connects from; none is any, with a certificate
	Certificate string         // a URI, or a DNS name after "dns:", in the certificate that it shows; "" wants none
}

// Outage is what it means that the operator's own EIR does not answer.
type Outage string

// The meanings.
const (
	OutageIgnore Outage = "ignore" // the verifier's answer counts alone
	OutageTrack  Outage = "track"  // as if it had said GREYLISTED
	OutageDeny   Outage = "deny"   // as if it had said BLACKLISTED
)

func (o Outage) String() string { return string(o) }

// Listens reports that the front is wanted.
func (s *S13) Listens() bool { return s.Listen != "" || s.ListenTLS != "" }

// diameterName reads a DiameterIdentity (RFC 6733 section 4.3.1).
func diameterName(text string) (string, error) {
	const longest = 255 // of a name in DNS
	allowed := "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
	if len(text) > longest || strings.Trim(text, allowed) != "" {
		return "", fmt.Errorf("%q is no name of Diameter: want one as in DNS, such as eir.epc.mnc001.mcc001.3gppnetwork.org", text)
	}
	return text, nil
}

// watchdog is at least what RFC 3539 section 3.4.1 allows.
func watchdog(text string) (time.Duration, error) {
	const least, most = 6 * time.Second, time.Hour
	d, err := strictyaml.Duration(most)(text)
	if err == nil && d < least {
		return 0, fmt.Errorf("%s is less than 6s, the least (RFC 3539 section 3.4.1)", text)
	}
	return d, err
}

// prefix reads an address, or a range of them.
func prefix(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.Unmap().WithZone("")
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Masked() != p {
		return p, fmt.Errorf("%q is no address: want one such as 192.0.2.7, or a range such as 192.0.2.0/28", text)
	}
	return p, nil
}

// peer reads one entry of s13_peers.
func (r *reader) peer(value *yaml.Node, key string) {
	var p S13Peer
	before := len(r.Mistakes)
	r.Fields(value, key, map[string]strictyaml.Field{
		"host":        strictyaml.Into(&r.Reader, &p.Host, diameterName),
		"addresses":   r.List(func(value *yaml.Node, key string) { r.address(&p, value, key) }),
		"certificate": strictyaml.Into(&r.Reader, &p.Certificate, certificateName),
	}, "host")
	if len(r.Mistakes) > before {
		return
	}
	r.config.lines[key] = value.Line
	r.config.S13.Peers = append(r.config.S13.Peers, p)
}

func (r *reader) address(p *S13Peer, value *yaml.Node, key string) {
	var one netip.Prefix
	before := len(r.Mistakes)
	strictyaml.Into(&r.Reader, &one, prefix)(value, key)
	switch {
	case len(r.Mistakes) > before:
	case slices.Contains(p.Addresses, one):
		r.Wrong(value.Line, key, "%q stands twice: remove one", value.Value)
	default:
		p.Addresses = append(p.Addresses, one)
	}
}

// checkS13 looks at what the settings of S13 mean together.
func (r *reader) checkS13() {
	s := &r.config.S13
	if !s.Listens() {
		r.needs("s13.listen or s13.listen_tls", "s13.host", "s13.realm", "s13_upstream.address")
		if len(s.Peers) > 0 {
			r.Wrong(r.config.lines["s13_peers[1]"], "s13_peers", "are of no use without s13.listen or s13.listen_tls")
		}
		return
	}
	listens := "s13.listen"
	if s.Listen == "" {
		listens = "s13.listen_tls"
	}
	if s.Host == "" || s.Realm == "" {
		r.at(listens, "needs s13.host and s13.realm, by which peers know this side")
	}
	if len(s.Peers) == 0 {
		r.at(listens, "needs s13_peers: nobody may ask who is not listed")
	}
	if s.Listen != "" && !Loopback(s.Listen) && !s.Plain {
		r.at("s13.listen", "%s can be reached from other machines without TLS: give s13.listen_tls in its place, listen on 127.0.0.1, or say plain: true in s13 if something else protects the way", s.Listen)
	}
	if s.ListenTLS != "" && r.config.TLS.Certificate == "" {
		r.at("s13.listen_tls", "needs tls.certificate and tls.key")
	}
	taken := []string{r.config.Listen, r.config.Admin}
	for _, l := range []struct{ key, address string }{{"s13.listen", s.Listen}, {"s13.listen_tls", s.ListenTLS}} {
		if l.address != "" && slices.Contains(taken, l.address) && !portIsFree(l.address) {
			r.at(l.key, "is the address of listen, admin or s13.listen: it needs one of its own")
		}
		taken = append(taken, l.address)
	}
	r.checkPeers()
	r.checkUpstream()
}

// needs keeps a mistake for each setting that is not at its default, and is of no use without what.
func (r *reader) needs(what string, keys ...string) {
	for _, s := range settings {
		if slices.Contains(keys, s.key) && s.show(r.config) != s.initial {
			r.at(s.key, "is of no use without %s", what)
		}
	}
}

func (r *reader) checkPeers() {
	c := r.config
	hosts := make(map[string]int)
	for i, p := range c.S13.Peers {
		key := fmt.Sprintf("s13_peers[%d]", i+1)
		line := c.lines[key]
		if first, twice := hosts[strings.ToLower(p.Host)]; twice {
			r.Wrong(line, key+".host", "%q is that of the peer in line %d already", p.Host, first)
		}
		hosts[strings.ToLower(p.Host)] = line
		switch {
		case p.Certificate == "" && len(p.Addresses) == 0:
			r.Wrong(line, key, "has neither addresses nor a certificate: anybody could call himself so")
		case p.Certificate != "" && (c.S13.ListenTLS == "" || c.TLS.ClientCA == ""):
			r.Wrong(line, key+".certificate", "is shown over TLS alone: give s13.listen_tls and tls.client_ca")
		}
	}
}

func (r *reader) checkUpstream() {
	u := &r.config.S13.Upstream
	switch {
	case u.Address == "":
		r.needs("s13_upstream.address", "s13_upstream.host", "s13_upstream.realm", "s13_upstream.ca", "s13_upstream.fail")
	case u.Host == "" || u.Realm == "":
		r.at("s13_upstream.address", "needs s13_upstream.host and s13_upstream.realm, by which that EIR is known")
	case !Loopback(u.Address) && u.CA == "" && !u.Plain:
		r.at("s13_upstream.address", "%s is another machine, and there is no TLS: give s13_upstream.ca, or say plain: true in s13_upstream if something else protects the way", u.Address)
	}
}

func (c *Config) printPeers(b *strings.Builder, mask func(string) string) {
	if len(c.S13.Peers) > 0 {
		b.WriteString("s13_peers:\n")
	}
	for _, p := range c.S13.Peers {
		fmt.Fprintf(b, "  - host: %s\n", quote(mask(p.Host)))
		if len(p.Addresses) > 0 {
			var texts []string
			for _, a := range p.Addresses {
				texts = append(texts, quote(mask(a.String())))
			}
			fmt.Fprintf(b, "    addresses: [%s]\n", strings.Join(texts, ", "))
		}
		if p.Certificate != "" {
			fmt.Fprintf(b, "    certificate: %s\n", quote(mask(p.Certificate)))
		}
	}
}
