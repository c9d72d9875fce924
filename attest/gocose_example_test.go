package attest_test

import (
	"fmt"
	"io"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"

	"github.com/veraison/go-cose"
)

// coseSigner is an attest.Signer as a cose.Signer. The other way round is alike. Ours are deterministic when they get no randomness.
type coseSigner struct{ attest.Signer }

func (s coseSigner) Algorithm() cose.Algorithm { return cose.Algorithm(s.Signer.Algorithm()) }

func (s coseSigner) Sign(_ io.Reader, content []byte) ([]byte, error) {
	return s.Signer.Sign(nil, content)
}

// A manufacturer whose keys are behind a cose.Signer signs Credentials with it.
type attestSigner struct{ cose.Signer }

func (s attestSigner) Algorithm() attest.Algorithm { return attest.Algorithm(s.Signer.Algorithm()) }

// The two kinds of signer differ in the type of the algorithm alone, so that keys kept for go-cose sign here, and ours there.
func ExampleSigner_goCOSE() {
	key := attesttest.OEMKey // stands for a key in an HSM
	theirs, err := cose.NewSigner(cose.AlgorithmES256, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	credential, err := attest.SignCredential(nil, attesttest.Credential(), attestSigner{theirs}, attest.KeyIDOf(&key.PublicKey))
	if err != nil {
		fmt.Println(err)
		return
	}
	signed, err := attest.DecodeCredential(credential)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(signed.Verify(&key.PublicKey))

	ours, err := attest.NewSigner(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	headers := cose.Headers{Protected: cose.ProtectedHeader{cose.HeaderLabelAlgorithm: cose.AlgorithmES256}}
	message, err := cose.Sign1(nil, coseSigner{ours}, headers, []byte("any payload"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(message), "bytes")
	// Output:
	// <nil>
	// 85 bytes
}
