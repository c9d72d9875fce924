package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"imei-attest/verifier/access"
	"imei-attest/verifier/config"
	"imei-attest/verifier/diameterfront"
)

// openS13 makes the front of S13, if one is configured.
func (s *service) openS13() (err error) {
	c := s.config.S13
	if !c.Listens() {
		return nil
	}
	front := diameterfront.Config{Judge: s.verifier, Node: diameterfront.Node{Host: c.Host, Realm: c.Realm, Product: "imei-verifier"}, Peers: s13Peers(s.config),
		InFlight: c.InFlight, Watchdog: c.Watchdog, Now: wallClock, Log: s.log,
		Observer: diameterfront.Observer{Answered: s.metrics.S13Answered, Refused: s.metrics.S13Refused, Upstream: s.metrics.S13Upstream}}
	if c.Upstream.Address != "" {
		if front.Upstream, err = s.s13Upstream(); err != nil {
			return err
		}
	}
	s.s13, err = diameterfront.New(front)
	return err
}

// s13Peers are those that a configuration lists.
func s13Peers(c *config.Config) (peers []diameterfront.Peer) {
	for _, p := range c.S13.Peers {
		peers = append(peers, diameterfront.Peer(p))
	}
	return peers
}

// outages are those of the configuration as the front knows them.
var outages = map[config.Outage]diameterfront.Outage{config.OutageIgnore: diameterfront.OutageIgnored, config.OutageTrack: diameterfront.OutageTracks,
	config.OutageDeny: diameterfront.OutageDenies}

// s13Upstream is the operator's own EIR.
func (s *service) s13Upstream() (*diameterfront.Upstream, error) {
	c := s.config.S13.Upstream
	secured, err := upstreamTLS(s.config, &s.certificates)
	if err != nil {
		return nil, err
	}
	dial := new(net.Dialer).DialContext
	if secured != nil {
		dial = (&tls.Dialer{Config: secured}).DialContext
	}
	return &diameterfront.Upstream{Host: c.Host, Realm: c.Realm, Timeout: c.Timeout, Outage: outages[c.Fail],
		Dial: func(ctx context.Context) (net.Conn, error) { return dial(ctx, "tcp", c.Address) }}, nil
}

// upstreamTLS is how the operator's own EIR is asked over TLS, nil where it is not. It is shown the certificate of this server, the one in
// force when the connection begins, and its own must name its Origin-Host.
func upstreamTLS(c *config.Config, own *access.Certificates) (*tls.Config, error) {
	u := c.S13.Upstream
	if u.CA == "" {
		return nil, nil
	}
	text, err := os.ReadFile(u.CA)
	if err != nil {
		return nil, fmt.Errorf("s13_upstream.ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("s13_upstream.ca: no certificate is in the file: want PEM blocks CERTIFICATE")
	}
	secured := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: u.Host, Time: wallClock}
	if c.TLS.Certificate != "" {
		secured.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.Current(), nil }
	}
	return secured, nil
}

// s13Door opens the addresses of S13: all of them, or none.
func (s *service) s13Door() (door, error) {
	var d door
	var listeners []net.Listener
	for _, at := range []struct {
		key, address string
		secured      bool
	}{{"s13.listen", s.config.S13.Listen, false}, {"s13.listen_tls", s.config.S13.ListenTLS, true}} {
		if at.address == "" {
			continue
		}
		l, err := s.bind(at.key, at.address)
		if err != nil {
			d.close()
			return door{}, err
		}
		s.log.Info("listening for S13", "address", l.Addr().String(), "tls", at.secured)
		if at.secured {
			l = tls.NewListener(l, s.certificates.Config())
		}
		d.at, d.sockets, listeners = l.Addr(), append(d.sockets, l), append(listeners, l)
	}
	d.serve = func(ctx context.Context) error { return s.s13.Serve(ctx, listeners...) }
	return d, nil
}
