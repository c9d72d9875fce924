package tpmvault_test

import (
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

func bindingOf(t *testing.T, result *provision.Result) [32]byte {
	t.Helper()
	c := result.Credential
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	if err != nil {
		t.Fatal(err)
	}
	return binding
}

// foreignApproval is an approval of the state now, by keys that are not the device's.
func foreignApproval(u *unit, selection tpmprofile.PCRSelection) tpmprofile.BootApproval {
	u.t.Helper()
	factory, err := tpmvault.NewFactory(u.t.Context(), u.conn)
	u.must(err)
	digest, err := factory.ReadPCRs(u.t.Context(), selection)
	u.must(err)
	a, err := manufacturer("attacker").ApproveBoot(tpmprofile.RolePrimary, tpmprofile.BootState{PCRs: selection, Digest: digest})
	u.must(err)
	return a
}

func (u *unit) factory() *tpmvault.Factory {
	u.t.Helper()
	f, err := tpmvault.NewFactory(u.t.Context(), u.tpm)
	u.must(err)
	return f
}

// liveIndex is an index with the Name it has now.
func liveIndex(t transport.TPM, handle tpm2.TPMHandle) tpm2.NamedHandle {
	index := tpm2.NamedHandle{Handle: handle}
	if public, err := (tpm2.NVReadPublic{NVIndex: handle}).Execute(t); err == nil {
		index.Name = public.NVName
	}
	return index
}
