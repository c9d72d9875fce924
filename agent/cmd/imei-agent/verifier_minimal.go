//go:build minimal

package main

import "errors"

// newVerifierClient: the minimal build links no HTTP client.
func newVerifierClient(string, string, bool) (challenger, error) {
	return nil, fail(exitUsage, errors.New("this is the minimal build, without an HTTP client: use --nonce HEX or --challenge-401 TEXT and bring the token to the verifier yourself, or build without -tags minimal"))
}
