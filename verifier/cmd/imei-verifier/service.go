package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/access"
	"imei-attest/verifier/config"
	"imei-attest/verifier/diameterfront"
	"imei-attest/verifier/ear"
	"imei-attest/verifier/eirfront"
	"imei-attest/verifier/httpapi"
	"imei-attest/verifier/lists"
	"imei-attest/verifier/metrics"
	"imei-attest/verifier/policy"
	"imei-attest/verifier/store"
	"imei-attest/verifier/store/sqlite"
	"imei-attest/verifier/trust"
)

// service is a verifier under way, with all that an operator wants of it.
type service struct {
	from   configuration
	level  *slog.LevelVar
	log    *slog.Logger
	config *config.Config // in force; only watch exchanges it

	state        *state
	store        *guardedStore
	durable      *sqlite.Store // nil if the store is in memory
	verifier     *verifier.Verifier
	trust        *verifier.Trust  // as it was read at the start
	policy       *verifier.Policy // likewise
	list         *lists.List      // in force, nil without one; only watch exchanges it
	results      *ear.Signer
	metrics      *metrics.Metrics
	health       *health
	gate         *access.Gate
	connections  *access.Connections
	certificates access.Certificates
	eir          *eir                  // nil if AMFs are not answered
	s13          *diameterfront.Server // nil without S13
	since        time.Time             // of a store in memory

	auditing sync.WaitGroup
}

// open reads and opens everything but the addresses.
func (s *service) open(ctx context.Context) (err error) {
	anchors, list, err := trust.Load(s.config.Trust)
	if err != nil {
		return err
	}
	s.trust = anchors
	warn(s.log, list)
	if err := s.openPolicy(); err != nil {
		return err
	}
	if err := s.openList(); err != nil {
		return err
	}
	if s.config.TLS.Certificate != "" {
		if err := s.useCertificates(); err != nil {
			return err
		}
	}
	if s.state, err = openState(s.config.State); err != nil {
		return err
	}
	if s.results, err = ear.NewSigner(s.state.result, versionText()); err != nil {
		return err
	}
	if err := s.openStore(ctx); err != nil {
		return err
	}
	s.newMetrics()
	s.metrics.Trust(anchors.Generation, wallClock())
	s.metrics.Policy(s.policy.Name)
	s.gate = access.NewGate(clients(s.config), s.config.Limits.InFlight, time.Now, func(l access.Limit) { s.metrics.Limited(string(l)) })
	if err := s.newVerifier(); err != nil {
		return err
	}
	if err := s.openEIR(); err != nil {
		return err
	}
	return s.openS13()
}

func (s *service) openPolicy() error {
	s.policy = policy.Default()
	if s.config.Policy == "" {
		return nil
	}
	p, warnings, err := policy.Load(s.config.Policy, wallClock())
	if err != nil {
		return err
	}
	s.policy = p
	logPolicy(s.log, "the policy is in force", p, warnings)
	return nil
}

func (s *service) openList() (err error) {
	if s.config.List == "" {
		return nil
	}
	if s.list, err = lists.Load(s.config.List); err == nil {
		logList(s.log, "the list of equipment is in force", s.list)
	}
	return err
}

// openStore opens the store that is configured. One in memory forgets with the process: nonces of before are refused, and the second that
// two processes could both have minted in is waited out.
func (s *service) openStore(ctx context.Context) (err error) {
	if s.config.Store == config.Memory {
		s.since = wallClock().Truncate(time.Second).Add(time.Second)
		s.store = &guardedStore{Store: store.NewMemory(), log: s.log}
		s.log.Warn("the store is in memory: devices, results and used nonces are forgotten when the server stops")
		return nil
	}
	retention := sqlite.Retention{Records: s.config.Retention.Decisions, Subscribers: s.config.Retention.Subscribers}
	if s.durable, err = openStore(ctx, s.config.State, s.state.result, retention, s.began); err != nil {
		return err
	}
	s.store = &guardedStore{Store: s.durable, log: s.log}
	return nil
}

// began measures a transaction of the store.
func (s *service) began() (ended func(int)) {
	begun := time.Now()
	return func(jobs int) {
		if s.metrics != nil { // not yet while the store is opened
			s.metrics.Committed(jobs, time.Since(begun))
		}
	}
}

func (s *service) newVerifier() error {
	nonces, err := s.state.nonces.keys()
	if err != nil {
		return err
	}
	c := verifier.Config{Store: s.store, Nonces: nonces, Trust: s.trust, Policy: s.policy, Alarm: s.alarm, Decided: s.metrics.Verdict, Since: s.since}
	if s.durable != nil {
		c.Pseudonyms = s.durable.Pseudonyms()
	}
	if s.list != nil {
		c.List = s.list
	}
	s.verifier, err = verifier.New(c)
	return err
}

func (s *service) newMetrics() {
	s.health = &health{store: s.store}
	g := metrics.Gauges{
		InFlight:    func() int { return s.gate.InFlight() },
		Connections: func() int { return s.connections.Open() },
		Ready:       func() bool { return s.health.unready(context.Background()) == "" },
		Checkpoint:  func() time.Time { return time.Time{} },
		LostNotes:   func() int64 { return 0 },
		S13Peers:    func() int { return 0 },
	}
	if s.config.S13.Listens() {
		g.S13Peers = func() int { return s.s13.Connected() }
	}
	if s.durable != nil {
		g.Checkpoint, g.LostNotes = s.checkpoint, s.durable.LostNotes
	}
	s.metrics = metrics.New(versionText(), g)
	s.metrics.CountEIR(eirfront.Results(), eirfront.Outcomes())
	s.metrics.S13Prepare(diameterfront.Outcomes(), diameterfront.Refusals())
}

// checkpoint is when the audit chain was last signed.
func (s *service) checkpoint() time.Time {
	signed, err := s.durable.Checkpoint(context.Background())
	if err != nil || signed == nil {
		return time.Time{}
	}
	c, err := attest.DecodeCheckpoint(signed)
	if err != nil {
		return time.Time{}
	}
	return c.IssuedAt
}

// clients are those that a configuration lists.
func clients(c *config.Config) *access.Clients {
	return access.NewClients(grants(c), access.Unnamed{Roles: c.Unnamed, Rate: c.Limits.Rate, Burst: c.Limits.Burst, Addresses: c.Limits.Addresses})
}

// grants are the clients that are known by name.
func grants(c *config.Config) (all []access.Grant) {
	for _, client := range c.Clients {
		all = append(all, access.Grant(client))
	}
	return all
}

// roles are those of the configuration as the interface knows them.
var roles = map[string]httpapi.Role{config.RoleDevice: httpapi.RoleDevice, config.RoleNetwork: httpapi.RoleNetwork,
	config.RoleChooseNonce: httpapi.RoleChooseNonce, config.RoleEndorser: httpapi.RoleEndorser, config.RoleAdmin: httpapi.RoleAdmin}

// identify says who asks.
func (s *service) identify(r *http.Request) httpapi.Client {
	known := s.gate.Of(r)
	client := httpapi.Client{Name: known.Name}
	for _, name := range known.Roles {
		client.Roles |= roles[name]
	}
	return client
}

// handler is the interface for devices, network functions and manufacturers. It routes on the request itself, so that the route is known
// to whoever measures.
func (s *service) handler() (http.Handler, error) {
	judging, err := httpapi.New(httpapi.Config{Verifier: s.verifier, Results: s.results, Identify: s.identify, Rand: rand.Reader, Now: wallClock, Log: s.log,
		Version: versionText(), Batch: s.metrics.Batch})
	if err != nil {
		return nil, err
	}
	endorsing := httpapi.NewEndorsements(endorsements{s.config.Trust}, s.identify, s.log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/endorsement-provisioning/") {
			endorsing.ServeHTTP(w, r)
			return
		}
		judging.ServeHTTP(w, r)
	}), nil
}

// useCertificates reads the certificates and puts them into force.
func (s *service) useCertificates() error {
	content, err := readTLS("tls", s.config.TLS)
	if err != nil {
		return err
	}
	return s.exchangeCertificates(content)
}

func (s *service) exchangeCertificates(content access.PEM) error {
	ends, err := s.certificates.Use(content, wallClock)
	if err != nil {
		return fmt.Errorf("tls.%w", err)
	}
	if s.metrics != nil {
		s.metrics.Certificate(ends)
	}
	return nil
}

// readTLS reads the files of a group of settings, of which the key must be private.
func readTLS(group string, files config.TLS) (p access.PEM, err error) {
	for _, f := range []struct {
		setting, path, what string
		content             *[]byte
	}{
		{"key", files.Key, "the server's private key", &p.Key},
		{"certificate", files.Certificate, "the server's certificate and its chain", &p.Certificate},
		{"client_ca", files.ClientCA, "who signs the certificates of clients", &p.ClientCA},
	} {
		if f.path == "" {
			continue
		}
		if *f.content, err = readNamed(group+"."+f.setting, f.path, "the PEM file of "+f.what); err != nil {
			return access.PEM{}, err
		}
	}
	info, err := os.Stat(files.Key)
	if err == nil {
		err = private(files.Key, info)
	}
	if err != nil {
		return access.PEM{}, fmt.Errorf("%s.key: %w", group, err)
	}
	return p, nil
}

// readNamed reads a file that a setting names, and says what belongs there if it is missing.
func readNamed(setting, path, what string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: put %s there, or name another", err, what)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return text, nil
}

// checkFiles reads what a configuration names.
func checkFiles(c *config.Config) error {
	_, _, err := trust.Load(c.Trust)
	if c.Policy != "" {
		_, _, broken := policy.Load(c.Policy, wallClock())
		err = errors.Join(err, broken)
	}
	if c.List != "" {
		_, broken := lists.Load(c.List)
		err = errors.Join(err, broken)
	}
	for group, files := range map[string]config.TLS{"tls": c.TLS, "eir_5g": c.EIR5G.TLS} {
		if files.Certificate != "" {
			err = errors.Join(err, checkTLS(group, files))
		}
	}
	_, broken := upstreamTLS(c, new(access.Certificates))
	return errors.Join(err, checkEIR(c), broken)
}

func checkTLS(group string, files config.TLS) error {
	content, err := readTLS(group, files)
	if err != nil {
		return err
	}
	if _, err := new(access.Certificates).Use(content, wallClock); err != nil {
		return fmt.Errorf("%s.%w", group, err)
	}
	return nil
}

// close writes down what waits and lets go of the store.
func (s *service) close() error {
	s.auditing.Wait()
	if s.store == nil {
		return nil
	}
	return s.store.Close()
}
