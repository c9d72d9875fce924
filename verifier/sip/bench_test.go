package sip_test

import (
	"testing"

	"imei-attest/verifier/sip"
)

func BenchmarkParseRegister(b *testing.B) {
	message := []byte(mandatory + contact + digest + "Max-Forwards: 70\r\nSupported: path\r\nContent-Length: 14\r\n" + typed("application/eat+cwt", token))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sip.ParseRegister(message); err != nil {
			b.Fatal(err)
		}
	}
}
