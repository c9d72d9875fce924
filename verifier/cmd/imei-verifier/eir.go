package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier/access"
	"imei-attest/verifier/config"
	"imei-attest/verifier/eirfront"
)

// eir is the front that AMFs ask.
type eir struct {
	handler      http.Handler
	certificates *access.Certificates // nil without TLS
	clients      atomic.Pointer[access.Clients]
	tokens       *eirfront.Tokens    // nil if AMFs need none
	registrar    *eirfront.Registrar // nil if no NRF is told
}

// openEIR makes the front, if there is to be one. Nobody is asked or told anything yet.
func (s *service) openEIR() error {
	c := s.config.EIR5G
	if c.Listen == "" {
		return nil
	}
	s.eir = new(eir)
	s.eir.setClients(s.config)
	if c.TLS.Certificate != "" {
		s.eir.certificates = &access.Certificates{Protocols: []string{"h2", "http/1.1"}, Demand: true}
		if err := s.useEIRCertificates(); err != nil {
			return err
		}
	}
	if c.TokenKey != "" {
		key, err := readNRFKey(c)
		if err != nil {
			return err
		}
		s.eir.tokens = eirfront.NewTokens(key, c.TokenIssuer, c.Instance)
	}
	upstream, err := s.eirUpstream()
	if err != nil {
		return err
	}
	if err := s.newRegistrar(); err != nil {
		return err
	}
	s.eir.handler, err = eirfront.New(eirfront.Config{Verifier: s.verifier, Tokens: s.eir.tokens, Upstream: upstream, Wait: s.eir.wait,
		InFlight: s.config.Limits.InFlight, Now: wallClock, Log: s.log, Answered: s.metrics.EIRAnswered})
	return err
}

// setClients exchanges the limits of callers. A client that the configuration lists has its own; all others have that of the front.
func (e *eir) setClients(c *config.Config) {
	burst := max(1, int(2*c.EIR5G.Rate))
	e.clients.Store(access.NewClients(grants(c), access.Unnamed{Rate: c.EIR5G.Rate, Burst: burst, Addresses: c.Limits.Addresses}))
}

func (e *eir) wait(r *http.Request) time.Duration { return e.clients.Load().Wait(r, time.Now()) }

// eirDoor listens for AMFs: HTTP/2, and HTTP/1.1 for people who look.
func (s *service) eirDoor() (door, error) {
	l, connections, err := s.listen("eir_5g.listen", s.config.EIR5G.Listen, s.config.Limits.Connections, s.eir.certificates)
	if err != nil {
		return door{}, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(s.eir.certificates == nil)
	d := s.httpDoor(l, &http.Server{Handler: s.metrics.Measure(settled(s.eir.handler), time.Now), ConnContext: connections.Context, Protocols: protocols})
	if r := s.eir.registrar; r != nil {
		r.Profile.Address = cmp.Or(s.config.EIR5G.Advertise, d.address())
	}
	s.log.Info("listening for AMFs", "address", d.address())
	return d, nil
}

// settled keeps a connection with a request under way from being closed for another one.
func settled(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer access.Settle(r.Context())()
		next.ServeHTTP(w, r)
	})
}

// leasts are what the outage of the operator's EIR means.
var leasts = map[config.Outage]string{config.OutageIgnore: attest.AnswerPermit.EIR, config.OutageTrack: attest.AnswerTrack.EIR, config.OutageDeny: attest.AnswerProhibit.EIR}

func (s *service) eirUpstream() (*eirfront.Upstream, error) {
	c := s.config.EIR5G
	if c.Upstream == "" {
		return nil, nil
	}
	transport, err := s.eirTransport(c.Upstream)
	if err != nil {
		return nil, err
	}
	return eirfront.NewUpstream(eirfront.UpstreamConfig{Root: c.Upstream, Transport: transport, Least: leasts[c.Fail], Now: time.Now, Log: s.log,
		Asked: s.metrics.EIRUpstream}), nil
}

func (s *service) newRegistrar() error {
	c := s.config.EIR5G
	if c.NRF == "" {
		return nil
	}
	transport, err := s.eirTransport(c.NRF)
	s.eir.registrar = &eirfront.Registrar{Root: c.NRF, Transport: transport, Profile: eirfront.Profile{Instance: c.Instance, TLS: c.TLS.Certificate != ""},
		Log: s.log, Changed: s.metrics.EIRRegistered}
	return err
}

// register keeps the front known at the NRF until ctx is done.
func (e *eir) register(ctx context.Context) {
	if e.registrar == nil {
		return
	}
	if err := e.registrar.Run(ctx); err != nil {
		e.registrar.Log.Error("the NRF cannot be told of this network function", "error", err)
	}
}

// Bounds on connections to other network functions.
const (
	peerDialTime = time.Second
	peerIdleTime = 90 * time.Second
	peerPingEach = 5 * time.Second // on a silent connection: one that is dead is noticed before a registration waits for it
	peerPongTime = time.Second
)

// eirTransport is for asking another network function: HTTP/2 without TLS by prior knowledge (TS 29.500 clause 5.2.1), or with TLS and the
// front's own certificate.
func (s *service) eirTransport(root string) (*http.Transport, error) {
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: peerDialTime}).DialContext, TLSHandshakeTimeout: peerDialTime, IdleConnTimeout: peerIdleTime,
		MaxResponseHeaderBytes: maxHeaderBytes, Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{SendPingTimeout: peerPingEach, PingTimeout: peerPongTime}}
	if strings.HasPrefix(root, "http://") {
		t.Protocols.SetUnencryptedHTTP2(true)
		return t, nil
	}
	t.Protocols.SetHTTP2(true)
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, Time: wallClock}
	if s.eir.certificates != nil {
		t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.eir.certificates.Current(), nil }
	}
	var err error
	t.TLSClientConfig.RootCAs, err = readPeerCA(s.config.EIR5G)
	return t, err
}

// readPeerCA returns whom to trust, nil for whom the system does.
func readPeerCA(c config.EIR5G) (*x509.CertPool, error) {
	if c.PeerCA == "" {
		return nil, nil
	}
	text, err := readNamed("eir_5g.peer_ca", c.PeerCA, "the PEM file of who signs the certificates of the NRF and of the operator's EIR")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New("eir_5g.peer_ca: no certificate is in the file: want PEM blocks CERTIFICATE")
	}
	return roots, nil
}

func (s *service) useEIRCertificates() error {
	content, err := readTLS("eir_5g", s.config.EIR5G.TLS)
	if err != nil {
		return err
	}
	ends, err := s.eir.certificates.Use(content, wallClock)
	if err != nil {
		return fmt.Errorf("eir_5g.%w", err)
	}
	s.metrics.EIRCertificate(ends)
	return nil
}

func readNRFKey(c config.EIR5G) (eirfront.NRFKey, error) {
	text, err := readNamed("eir_5g.token_key", c.TokenKey, "the public key of the NRF, in PEM or as a JWK,")
	if err != nil {
		return eirfront.NRFKey{}, err
	}
	return parseNRFKey(text)
}

func parseNRFKey(text []byte) (eirfront.NRFKey, error) {
	key, err := eirfront.ParseNRFKey(text)
	if err != nil {
		return key, fmt.Errorf("eir_5g.token_key: %w", err)
	}
	return key, nil
}

// eirSources are the files of the front that may change under way.
func (s *service) eirSources() (all []source) {
	if s.eir == nil {
		return nil
	}
	c := s.config.EIR5G
	if s.eir.certificates != nil {
		all = append(all, s.source("the certificate of the 5G-EIR", "eir_tls", c.TLS.Certificate, func() ([]byte, error) { return tlsBytes("eir_5g", c.TLS) },
			func([]byte) error { return s.useEIRCertificates() }))
	}
	if s.eir.tokens != nil {
		all = append(all, s.source("the NRF's key", "eir_token_key", c.TokenKey, func() ([]byte, error) { return readNamed("eir_5g.token_key", c.TokenKey, "it") }, s.exchangeNRFKey))
	}
	return all
}

func (s *service) exchangeNRFKey(text []byte) error {
	key, err := parseNRFKey(text)
	if err == nil {
		s.eir.tokens.Use(key)
	}
	return err
}

// checkEIR reads what the settings of the front name, beside its certificates.
func checkEIR(c *config.Config) (err error) {
	if c.EIR5G.TokenKey != "" {
		_, err = readNRFKey(c.EIR5G)
	}
	_, broken := readPeerCA(c.EIR5G)
	return errors.Join(err, broken)
}
