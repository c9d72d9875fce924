package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync/atomic"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// guardedStore says once that the store fails, and once that it works again. While it fails nothing is decided: each question is
// answered with 503 and Retry-After.
type guardedStore struct {
	verifier.Store
	log     *slog.Logger
	failing atomic.Bool
}

func (g *guardedStore) saw(ctx context.Context, err error) {
	switch {
	case err == nil && g.failing.Load() && g.failing.Swap(false):
		g.log.Info("the store works again")
	case err != nil && ctx.Err() == nil && !g.failing.Swap(true): // a caller that went away is no fault of the store
		g.log.Error("the store fails: nothing is decided until it works again", "error", err)
	}
}

// Commit implements verifier.Store.
func (g *guardedStore) Commit(ctx context.Context, d verifier.Decision) (verifier.Commitment, error) {
	c, err := g.Store.Commit(ctx, d)
	g.saw(ctx, err)
	return c, err
}

// Credential implements verifier.Store. It is the first that a judgement reads, and tells only of failures: that reading works does not
// mean that writing does.
func (g *guardedStore) Credential(ctx context.Context, key attest.KeyID) (verifier.Endorsed, bool, error) {
	kept, found, err := g.Store.Credential(ctx, key)
	if err != nil {
		g.saw(ctx, err)
	}
	return kept, found, err
}

// probe gives a nonce up that nobody has, so that recovery is noticed without a caller.
func (g *guardedStore) probe(ctx context.Context, now time.Time) {
	if !g.failing.Load() {
		return
	}
	nonce := make(attest.Nonce, attest.DefaultNonceBytes)
	_, _ = rand.Read(nonce) // crypto/rand.Read never fails
	_, err := g.Store.Commit(ctx, verifier.Decision{Presentation: verifier.Presentation{Nonce: nonce}, Expiry: now.Add(attest.NonceLife), Now: now})
	g.saw(ctx, err)
}
