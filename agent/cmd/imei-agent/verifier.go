//go:build !minimal

package main

import (
	"context"
	"errors"

	"imei-attest/agent/submit"
	"imei-attest/attest"
)

// verifierClient asks a verifier over HTTP.
type verifierClient struct {
	client    *submit.Client
	session   *submit.Session
	signalled string
}

func newVerifierClient(address, signalled string, subscriber bool) (challenger, error) {
	client, err := submit.New(address)
	if err == nil && subscriber && !client.IsConfidential() {
		err = errors.New("--subscriber: the verifier's address must begin with https://, as whoever reads the token on its way finds out the IMSI")
	}
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	return &verifierClient{client: client, signalled: signalled}, nil
}

func (c *verifierClient) challenge(ctx context.Context) (attest.Nonce, error) {
	var err error
	if c.session, err = c.client.NewSession(ctx); err != nil {
		return nil, err
	}
	return c.session.Nonce, nil
}

func (c *verifierClient) submit(ctx context.Context, token []byte) (*verdict, error) {
	v, err := c.client.Submit(ctx, c.session, token, c.signalled)
	if err != nil {
		return nil, err
	}
	return &verdict{v.Status, v.Reasons, v.Result}, nil
}
