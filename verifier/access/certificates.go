package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Certificates are the server's certificate and the CA of its clients. They can be exchanged: connections that are open stay so.
type Certificates struct {
	// Protocols are offered by ALPN (RFC 7301). Nil is HTTP/1.1 alone: one request at a time on a connection, so that a bound on
	// connections is one on requests.
	Protocols []string
	// Demand refuses who shows no certificate, where there is a CA of clients.
	Demand  bool
	current atomic.Pointer[tls.Config]
}

// PEM is what a server shows and believes.
type PEM struct {
	Certificate, Key []byte // the server's chain, its own certificate first, and the private key
	ClientCA         []byte // who signs the certificates of clients; empty if they need none
}

// Use puts certificates into force, or says why not; those of before stay then. It returns when the server's own one ends. An error
// begins with the settings that it is about, without their group.
func (c *Certificates) Use(p PEM, now func() time.Time) (ends time.Time, err error) {
	pair, err := tls.X509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return ends, fmt.Errorf("certificate and key: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, Time: now, NextProtos: c.Protocols}
	if c.Protocols == nil {
		config.NextProtos = []string{"http/1.1"}
	}
	if len(p.ClientCA) > 0 {
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(p.ClientCA) {
			return ends, errors.New("client_ca: no certificate is in the file: want PEM blocks CERTIFICATE")
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven // devices have none
		if c.Demand {
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	leaf := pair.Leaf
	if t := now(); t.Before(leaf.NotBefore) || t.After(leaf.NotAfter) {
		return ends, fmt.Errorf("certificate: it holds from %s to %s, and now is %s: renew it, or set the clock",
			leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339), t.UTC().Format(time.RFC3339))
	}
	c.current.Store(config)
	return leaf.NotAfter, nil
}

// Current is the certificate in force, for a connection that begins here.
func (c *Certificates) Current() *tls.Certificate { return &c.current.Load().Certificates[0] }

// Config is for a listener. Each connection gets the certificates in force when it begins.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil }}
}
