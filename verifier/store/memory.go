// Package store holds the engines behind verifier.Store. Start with [NewMemory].
package store

import (
	"bytes"
	"container/list"
	"context"
	"sync"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// Memory keeps everything in memory: for tests, laboratories and offline appraisal. What it knows ends with the process.
type Memory struct {
	mu          sync.RWMutex
	credentials map[attest.KeyID][]byte
	attested    map[imei.IMEI]struct{}
	priors      map[imei.IMEI]map[string]verifier.Prior // by subscriber
	nonces      map[string]*use
	// byExpiry holds the keys of nonces in the order of their expiry, but for clock steps and other lives: a nonce is
	// never forgotten early, at most late.
	byExpiry list.List
}

var _ verifier.Store = (*Memory)(nil)

type use struct {
	presentation verifier.Presentation
	expiry       time.Time
	answer       attest.Result
	closed       bool
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		credentials: make(map[attest.KeyID][]byte), attested: make(map[imei.IMEI]struct{}),
		priors: make(map[imei.IMEI]map[string]verifier.Prior), nonces: make(map[string]*use),
	}
}

// Credential implements verifier.Store.
func (m *Memory) Credential(_ context.Context, key attest.KeyID) ([]byte, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	raw, found := m.credentials[key]
	return raw, found, nil
}

// Attested implements verifier.Store.
func (m *Memory) Attested(_ context.Context, id imei.IMEI) (bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, found := m.attested[id]
	return found, nil
}

// Prior implements verifier.Store.
func (m *Memory) Prior(_ context.Context, id imei.IMEI, subscriber string) (verifier.Prior, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p, found := m.priors[id][subscriber]
	return p, found, nil
}

// Presented implements verifier.Store.
func (m *Memory) Presented(_ context.Context, n attest.Nonce) (attest.Result, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	u, found := m.nonces[string(n)]
	if !found {
		return attest.Result{}, false, nil
	}
	return u.answer, true, nil
}

// Commit implements verifier.Store.
func (m *Memory) Commit(_ context.Context, d verifier.Decision) (verifier.Commitment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(d.Now)
	if u, used := m.nonces[string(d.Presentation.Nonce)]; used {
		if same(u.presentation, d.Presentation) {
			return verifier.Commitment{Repeat: true, Answer: u.answer}, nil
		}
		return verifier.Commitment{Replay: !u.closed, Closed: u.closed}, nil
	}
	m.nonces[string(d.Presentation.Nonce)] = &use{d.Presentation, d.Expiry, d.Answer, d.Device == nil}
	m.byExpiry.PushBack(string(d.Presentation.Nonce))
	if d.Device != nil {
		m.credentials[d.Device.Key] = d.Device.Credential
		for _, id := range d.Device.Slots {
			m.attested[id] = struct{}{}
			if d.Damning {
				delete(m.priors, id)
			}
		}
		if d.Lasting {
			of := m.priors[d.Presentation.Signalled]
			if of == nil {
				of = make(map[string]verifier.Prior)
				m.priors[d.Presentation.Signalled] = of
			}
			of[d.Presentation.Subscriber] = verifier.Prior{At: d.Now, Generation: d.Device.Generation, Answer: d.Answer}
		}
	}
	return verifier.Commitment{}, nil
}

// Close implements verifier.Store.
func (m *Memory) Close() error { return nil }

// forget drops expired nonces from the front of the queue: their evidence is refused as expired before it gets here.
func (m *Memory) forget(now time.Time) {
	for e := m.byExpiry.Front(); e != nil; e = m.byExpiry.Front() {
		key := e.Value.(string)
		if u := m.nonces[key]; now.Before(u.expiry) {
			return
		}
		delete(m.nonces, key)
		m.byExpiry.Remove(e)
	}
}

func same(a, b verifier.Presentation) bool {
	return bytes.Equal(a.Nonce, b.Nonce) && a.Token == b.Token && a.Subscriber == b.Subscriber &&
		a.Signalled == b.Signalled && a.Front == b.Front
}
