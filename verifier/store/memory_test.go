package store_test

import (
	"testing"

	"imei-attest/verifier"
	"imei-attest/verifier/store"
	"imei-attest/verifier/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) verifier.Store { return store.NewMemory() })
}
