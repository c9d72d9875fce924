package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/config"
	"imei-attest/verifier/lists"
	"imei-attest/verifier/policy"
	"imei-attest/verifier/reload"
	"imei-attest/verifier/store/sqlite"
	"imei-attest/verifier/trust"
)

// watch keeps in force what the files say, until ctx is done. On a hangup everything is read again, and told of, changed or not.
func (s *service) watch(ctx context.Context, hangup <-chan os.Signal) {
	trusted, rules, listed := s.trust, s.policy, s.list
	for first := true; ; first = false {
		round, end := context.WithCancel(ctx)
		var watching sync.WaitGroup
		watching.Go(func() { trust.Watch(round, s.config.Trust, trusted, s.exchangeTrust) })
		if s.config.Policy != "" {
			watching.Go(func() { policy.Watch(round, s.config.Policy, rules, wallClock, s.exchangePolicy) })
		}
		if s.config.List != "" {
			watching.Go(func() { lists.Watch(round, s.config.List, listed, s.exchangeList, s.refuseList) })
		}
		for _, source := range s.sources() {
			watching.Go(func() { source.Watch(round, source.now(first)) })
		}
		select {
		case <-hangup:
			s.log.Info("SIGHUP: all files are read again")
		case <-ctx.Done():
		}
		end()
		watching.Wait()
		if ctx.Err() != nil {
			return
		}
		trusted, rules, listed = new(verifier.Trust), new(verifier.Policy), new(lists.List) // which differ from all that is read
	}
}

// source is a configured file, or several that belong together.
type source struct {
	reload.Source[[]byte]
	inForce uint64
}

func (s source) now(first bool) uint64 {
	if first {
		return s.inForce
	}
	return 0
}

// sources are the files beside the trust folder and the policy.
func (s *service) sources() []source {
	nonces := filepath.Join(s.state.dir, nonceKeyFile)
	key := s.source("the key of nonces", "nonces", nonces, func() ([]byte, error) { return readSecret(nonces) }, s.exchangeNonces)
	key.Folder = "" // the store is there too, and each of its writes would be an event
	all := []source{key}
	if s.from.path != "" {
		all = append(all, s.source("the configuration", "config", s.from.path, func() ([]byte, error) { return os.ReadFile(s.from.path) }, s.exchangeConfig))
	}
	if s.config.TLS.Certificate != "" {
		all = append(all, s.source("the certificate", "tls", s.config.TLS.Certificate, func() ([]byte, error) { return tlsBytes("tls", s.config.TLS) },
			func([]byte) error { return s.useCertificates() }))
	}
	return append(all, s.eirSources()...)
}

// source tells of what becomes of a file. What names it in the log, part in metrics.
func (s *service) source(what, part, path string, read func() ([]byte, error), use func([]byte) error) source {
	in, err := read()
	if err != nil {
		in = nil // it changed since the start: the watch will tell
	}
	return source{reload.Source[[]byte]{
		Folder: filepath.Dir(path),
		Read:   read,
		Digest: digestOf,
		Use: func(text []byte) error {
			err := use(text)
			if err == nil {
				s.log.Info(what + " was read again")
				s.metrics.Reloaded(part, nil)
			}
			return err
		},
		Refused: func(err error) {
			s.log.Error(what+" was refused: what was in force before still is", "error", err)
			s.metrics.Reloaded(part, err)
		},
	}, digestOf(in)}
}

func digestOf(text []byte) uint64 {
	sum := sha256.Sum256(text)
	return max(1, binary.BigEndian.Uint64(sum[:]))
}

// tlsBytes are all of the TLS files of a group, to notice a change.
func tlsBytes(group string, files config.TLS) ([]byte, error) {
	p, err := readTLS(group, files)
	return slices.Concat(p.Certificate, p.Key, p.ClientCA), err
}

func (s *service) exchangeNonces(text []byte) error {
	r, err := parseNonceRing(text)
	if err != nil {
		return err
	}
	keys, err := r.keys()
	if err == nil {
		s.verifier.SetNonces(keys)
	}
	return err
}

// exchangeConfig takes of a changed configuration what can be changed, and says what cannot.
func (s *service) exchangeConfig([]byte) error {
	now, err := s.from.read()
	if err != nil {
		return err
	}
	if fixed := config.Fixed(s.config, now); len(fixed) > 0 {
		s.log.Warn("the configuration changes what only a restart can change: the service goes on with what was", "settings", fixed)
	}
	s.level.Set(now.Log)
	s.gate.SetClients(clients(now))
	if s.eir != nil {
		s.eir.setClients(now)
	}
	if s.s13 != nil {
		s.s13.SetPeers(s13Peers(now))
	}
	return nil
}

// exchangeTrust puts a changed trust folder into force, or says that it does not.
func (s *service) exchangeTrust(t *verifier.Trust, anchors []*verifier.Anchor, err error) {
	s.metrics.Reloaded("trust", err)
	if err != nil {
		s.log.Error("the trust folder was refused: what was trusted before still holds", "error", err)
		return
	}
	s.verifier.SetTrust(t)
	s.metrics.Trust(t.Generation, wallClock())
	var issuers []string
	for _, a := range anchors {
		issuers = append(issuers, a.Issuer)
	}
	generation := fmt.Sprintf("%016x", t.Generation)
	s.log.Info("the trust folder was read again", "issuers", issuers, "generation", generation)
	warn(s.log, anchors)
	s.audit(sqlite.TrustChanged, "generation "+generation)
}

// exchangePolicy puts a changed policy into force, or says that it does not.
func (s *service) exchangePolicy(p *verifier.Policy, warnings []string, err error) {
	s.metrics.Reloaded("policy", err)
	if err != nil {
		s.log.Error("the policy was refused: the one of before still holds", "error", err)
		return
	}
	s.verifier.SetPolicy(p)
	s.metrics.Policy(p.Name)
	logPolicy(s.log, "the policy was read again", p, warnings)
	s.audit(sqlite.PolicyChanged, fmt.Sprintf("%s, sha256 %x", p.Name, p.Digest))
}

// exchangeList puts a changed list of equipment into force, or says why it does not.
func (s *service) exchangeList(l *lists.List) error {
	if err := lists.Guard(s.list, l); err != nil {
		return err
	}
	s.list = l
	s.verifier.SetList(l)
	s.metrics.Reloaded("list", nil)
	logList(s.log, "the list of equipment was read again", l)
	s.audit(sqlite.ListChanged, fmt.Sprintf("%d entries, sha256 %x", l.Counts().Total(), l.Digest))
	return nil
}

func (s *service) refuseList(err error) {
	s.metrics.Reloaded("list", err)
	s.log.Error("the list of equipment was refused: the one of before still holds", "error", err)
}

func logList(log *slog.Logger, message string, l *lists.List) {
	counts := l.Counts()
	log.Info(message, "black", counts[verifier.ColourBlack], "grey", counts[verifier.ColourGrey], "white", counts[verifier.ColourWhite],
		"sha256", fmt.Sprintf("%x", l.Digest))
}

// audit enters an event in the audit chain, when the store has time.
func (s *service) audit(kind sqlite.Kind, text string) {
	if s.durable == nil {
		return
	}
	at := wallClock()
	s.auditing.Go(func() {
		if err := s.durable.Audit(context.Background(), sqlite.Event{At: at, Kind: kind, Text: text}); err != nil {
			s.log.Error("a change could not be entered in the audit chain", "kind", kind.String(), "error", err)
		}
	})
}

// care sweeps the store, and looks whether one that failed works again, until ctx is done.
func (s *service) care(ctx context.Context) {
	const look, sweep = time.Second, time.Hour
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for looks := 0; ; looks++ {
		if s.durable != nil && looks%int(sweep/look) == 0 {
			if _, err := s.durable.Sweep(ctx, wallClock()); err != nil && ctx.Err() == nil {
				s.log.Error("sweeping the store", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.store.probe(ctx, wallClock())
		}
	}
}

// clockWasSet is for a store that knows no more which nonces it forgot.
func (s *service) clockWasSet(by time.Duration) {
	if s.durable == nil && by < 0 {
		s.verifier.SetSince(wallClock().Truncate(time.Second).Add(time.Second))
	}
}

func logPolicy(log *slog.Logger, message string, p *verifier.Policy, warnings []string) {
	log.Info(message, "name", p.Name, "sha256", fmt.Sprintf("%x", p.Digest))
	for _, w := range warnings {
		log.Warn("the policy has something that no longer counts", "warning", w)
	}
}

// alarm is for the operator, whose policy, trust folder or network is in disorder.
func (s *service) alarm(open bool) {
	s.metrics.Breaker(open)
	if open {
		s.log.Error("the policy's breaker has opened, because too many registrations would be refused: nobody is refused any more")
		return
	}
	s.log.Info("the policy's breaker has closed: the policy refuses again")
}

// warn names the anchors that no operator should trust: through them an emulated TPM, or a file, passes.
func warn(log *slog.Logger, anchors []*verifier.Anchor) {
	for _, a := range anchors {
		if a.Development || slices.Contains(a.StorageKinds, attest.StorageTPMEmulated) {
			log.Warn("a development anchor is trusted: emulated TPMs and unfinished devices may be affirmed; remove it from the trust folder outside a laboratory",
				"issuer", a.Issuer)
		}
		if a.TACs == nil {
			log.Warn("an anchor may endorse IMEIs of every manufacturer: list its own TACs in the trust folder", "issuer", a.Issuer)
		}
	}
}
