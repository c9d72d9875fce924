//go:build !pkcs11

package main

import (
	"crypto"
	"errors"
)

// openToken says that this build has no PKCS #11: it would need cgo, and a program that is not static.
func openToken(string, func() ([]byte, error)) (crypto.Signer, error) {
	return nil, errors.New("this imei-provision was built without PKCS #11; build it with CGO_ENABLED=1 go build -tags pkcs11 ./agent/cmd/imei-provision")
}
