package diameterfront

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Peer is who may ask: an MME, an SGSN or an agent, known by its Origin-Host and by where it comes from.
type Peer struct {
	Host string // Origin-Host (RFC 6733 section 6.3), compared as DNS does
	// Addresses are those that it connects from; nil is any, for a peer that shows a certificate.
	Addresses []netip.Prefix
	// Certificate is a name in the certificate that it shows over TLS: a URI, or a DNS name after "dns:". "" wants none.
	Certificate string
}

// peers are who may ask, by Origin-Host in small letters.
type peers map[string]Peer

func newPeers(list []Peer) peers {
	p := make(peers, len(list))
	for _, peer := range list {
		p[strings.ToLower(peer.Host)] = peer
	}
	return p
}

// mayComeFrom reports whether any peer connects from an address: who cannot is not listened to.
func (p peers) mayComeFrom(from netip.Addr) bool {
	for _, peer := range p {
		if peer.comesFrom(from) {
			return true
		}
	}
	return false
}

func (p Peer) comesFrom(from netip.Addr) bool {
	contains := func(prefix netip.Prefix) bool { return prefix.Contains(from) }
	return p.Addresses == nil && p.Certificate != "" || slices.ContainsFunc(p.Addresses, contains)
}

// admits reports whether who calls himself host on a connection is that peer.
func (p peers) admits(host string, conn net.Conn) bool {
	peer, listed := p[strings.ToLower(host)]
	return listed && peer.comesFrom(address(conn.RemoteAddr())) && (peer.Certificate == "" || shows(conn, peer.Certificate))
}

// shows reports a certificate that was verified and has the name among its subject alternative names (RFC 5280 section 4.2.1.6).
func shows(conn net.Conn, name string) bool {
	secured, isTLS := conn.(interface{ ConnectionState() tls.ConnectionState })
	if !isTLS {
		return false
	}
	state := secured.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return false
	}
	leaf := state.PeerCertificates[0]
	if host, isDNS := strings.CutPrefix(name, "dns:"); isDNS {
		return slices.ContainsFunc(leaf.DNSNames, func(shown string) bool { return strings.EqualFold(shown, host) })
	}
	for _, uri := range leaf.URIs {
		if uri.String() == name {
			return true
		}
	}
	return false
}
