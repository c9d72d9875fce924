package ear_test

import (
	"testing"

	"imei-attest/verifier/ear"
)

func BenchmarkJWT(b *testing.B) {
	signer, err := ear.NewSigner(key, "v1")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signer.JWT(sample(), ear.IETF); err != nil {
			b.Fatal(err)
		}
	}
}
