package tpmvault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

var errCut = errors.New("the cable was pulled")

// cutAfter lets n commands pass and fails the rest; done reports whether one was failed.
func cutAfter(n int) (fault func(tpm2.TPMCC) ([]byte, error), cut *bool) {
	cut = new(bool)
	return func(tpm2.TPMCC) ([]byte, error) {
		if n--; n >= 0 {
			return nil, nil
		}
		*cut = true
		return nil, errCut
	}, cut
}

// Provisioning is interrupted after every single TPM command, and with it between any two steps; the second run
// completes it.
func TestInterruptedProvisioningCompletes(t *testing.T) {
	for n := 0; ; n++ {
		u := newUnit(t)
		fault, cut := cutAfter(n)
		u.tpm.Fault(fault)
		_, err := u.tryProvision(u.options(), imei1, imei2)
		if !*cut {
			if err != nil {
				t.Fatal(err)
			}
			if n < 20 {
				t.Errorf("provisioning took %d commands; was it interrupted at all?", n)
			}
			return
		}
		if err == nil {
			// What can fail without failing the unit is the persistent copy, and cleaning up at the very end.
			continue
		}
		u.tpm.Fault(nil)
		state, written, readErr := u.factory().ReadIndex(t.Context(), u.oem.Profile(attest.NVPlatform, 0))
		u.must(readErr)
		result, err := u.tryProvision(u.options(), imei1, imei2)
		if err != nil {
			t.Fatalf("second run after %d commands (index %s): %v", n, state, err)
		}
		if wasWritten := state >= tpmprofile.IndexWritten; result.Resumed != wasWritten {
			t.Errorf("after %d commands the index was %s; resumed = %v", n, state, result.Resumed)
		} else if wasWritten && string(written.Credential) != string(result.Credential.Raw) {
			t.Errorf("after %d commands: the second run replaced the credential", n)
		}
		u.must(sign(u.open(), []byte("content")))
		u.wantClean()
		u.conn.Close()
		u.must(u.engine.Stop())
	}
}

// The power fails between write and lock.
func TestPowerFailureBetweenWriteAndLock(t *testing.T) {
	u := newUnit(t)
	u.tpm.Fault(func(sent tpm2.TPMCC) ([]byte, error) {
		if sent == tpm2.TPMCCNVWriteLock {
			return nil, errCut
		}
		return nil, nil
	})
	if _, err := u.tryProvision(u.options(), imei1); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	u.cutPower()
	u.powerOn()
	if result := u.provision(imei1); !result.Resumed {
		t.Error("the record was written twice")
	}
	u.must(sign(u.open(), []byte("content")))
}

func TestProvisionedDeviceRefusesOtherIMEIs(t *testing.T) {
	u := newUnit(t)
	first := u.provision(imei1)
	for _, slots := range [][]imei.IMEI{{imei2}, {imei1, imei2}, {imei2, imei1}} {
		u.tpm.Commands()
		_, err := u.tryProvision(u.options(), slots...)
		if !errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), "take another unit") {
			t.Errorf("provisioning %v: %v; want %v and a remedy", slots, err, provision.ErrRefused)
		}
		if err != nil && (strings.Contains(err.Error(), imei1.Body()) || strings.Contains(err.Error(), imei2.Body())) {
			t.Errorf("the message shows a whole IMEI: %v", err)
		}
		for _, sent := range u.tpm.Commands() {
			switch sent {
			case tpm2.TPMCCNVWrite, tpm2.TPMCCNVWriteLock, tpm2.TPMCCNVDefineSpace, tpm2.TPMCCEvictControl:
				t.Errorf("the refused run sent %v", sent)
			}
		}
	}
	again := u.provision(imei1)
	if !again.Resumed || string(again.Credential.Raw) != string(first.Credential.Raw) {
		t.Error("provisioning the same IMEI again changed the credential")
	}
}

func TestAnotherManufacturersRecordIsLeftAlone(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	u.oem = manufacturer("other")
	if _, err := u.tryProvision(u.options(), imei1); !errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), "0x1400e10") {
		t.Errorf("provisioning with other keys: %v; want %v that names the index", err, provision.ErrRefused)
	}
}

func TestOtherCredentialKeyIsRefused(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	u.oem.Credential = manufacturer("other").Credential
	if _, err := u.tryProvision(u.options(), imei1); !errors.Is(err, provision.ErrRefused) || !errors.Is(err, attest.ErrSignature) {
		t.Errorf("provisioning with another credential key: %v; want %v", err, provision.ErrRefused)
	}
}

func TestOtherBootKindIsRefused(t *testing.T) {
	for _, c := range []struct{ first, second string }{
		{"sha256:0,2,4,7", ""},
		{"", "sha256:0,2,4,7"},
	} {
		u := newUnit(t)
		options := u.options()
		options.PCRs = pcrs(t, c.first)
		_, err := u.tryProvision(options, imei1)
		u.must(err)
		options.PCRs = pcrs(t, c.second)
		// The TPM derives another key then, and without the check of the kind it would look like another TPM's.
		_, err = u.tryProvision(options, imei1)
		if !errors.Is(err, provision.ErrRefused) || errors.Is(err, agent.ErrKeyMismatch) || !strings.Contains(err.Error(), "PCRs") {
			t.Errorf("provisioning with registers %q, then %q: %v; want %v that speaks of the PCRs", c.first, c.second, err, provision.ErrRefused)
		}
	}
}

// A TPM that says "done" and shows something else afterwards has no unit.
func TestARecordThatReadsBackOtherwiseIsRefused(t *testing.T) {
	const (
		inRecord   = 10 + 4 + 2 // a response's header, length of its parameters, length of the data
		binding    = inRecord + tpmprofile.BindingOffset
		credential = binding + 32 + 2 + 100 // its 101st byte
		attributes = 10 + 2 + 4 + 2         // header, length, handle, hash algorithm
		locked     = attributes + 3 - 11/8  // TPMA_NV_WRITELOCKED is bit 11
	)
	for _, c := range []struct {
		name    string
		command tpm2.TPMCC
		at      int
		bit     byte
	}{
		{"nothing", 0, 0, 0},
		{"the binding hash", tpm2.TPMCCNVRead, binding, 1},
		{"the credential", tpm2.TPMCCNVRead, credential, 1},
		{"the lock", tpm2.TPMCCNVReadPublic, locked, 1 << (11 % 8)},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnit(t)
			isLocked, isSpoiled := false, false
			u.tpm = tpmtest.NewSpy(&faulty{TPM: u.conn, response: func(code tpm2.TPMCC, response []byte) {
				isLocked = isLocked || code == tpm2.TPMCCNVWriteLock
				if isLocked && !isSpoiled && code == c.command {
					isSpoiled = true
					response[c.at] ^= c.bit
				}
			}})
			_, err := u.tryProvision(u.options(), imei1)
			switch {
			case c.command == 0:
				u.must(err)
			case !errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), "does not hold what was written"):
				t.Errorf("provisioning: %v; want %v", err, provision.ErrRefused)
			}
			if isSpoiled != (c.command != 0) {
				t.Errorf("an answer was spoiled: %v", isSpoiled)
			}
		})
	}
}

// No option makes an emulator anything else.
func TestEmulatorStaysOne(t *testing.T) {
	u := newUnit(t)
	options := u.options()
	options.Kind = attest.StorageTPMDiscrete
	result, err := u.tryProvision(options, imei1)
	u.must(err)
	if got := result.Credential.Storage.Kind; got != attest.StorageTPMEmulated {
		t.Errorf("the credential says %s", got)
	}
	if result.Credential.Storage.RollbackProtected {
		t.Error("the credential says that an emulator is protected against rollback")
	}
}

func TestApprovalsAreUsedAgain(t *testing.T) {
	first := newUnit(t)
	first.provision(imei1)
	second := newUnit(t)
	second.approvals = first.approvals
	second.provision(imei2)
	if len(second.approvals) != 1 {
		t.Errorf("%d approvals for two devices of one release", len(second.approvals))
	}
}

// What the TPM says of index and key is what was computed without it.
func TestLiveNames(t *testing.T) {
	for _, variant := range []attest.NVVariant{attest.NVPlatform, attest.NVOwner} {
		t.Run(fmt.Sprint("variant ", variant), func(t *testing.T) {
			u := newUnit(t)
			options := u.options()
			options.Variant = variant
			result, err := u.tryProvision(options, imei1)
			u.must(err)
			p := u.oem.Profile(variant, attest.BootMeasured)
			index, err := tpm2.NVReadPublic{NVIndex: p.Index()}.Execute(u.conn)
			u.must(err)
			want, err := p.NVName(tpmprofile.IndexLocked)
			u.must(err)
			if string(index.NVName.Buffer) != string(want) {
				t.Errorf("NV Name: the TPM says %x, computed %x", index.NVName.Buffer, want)
			}
			key, err := tpm2.ReadPublic{ObjectHandle: tpmprofile.KeyHandle}.Execute(u.conn)
			u.must(err)
			want, err = p.KeyName(result.Credential.Key, bindingOf(t, result))
			u.must(err)
			if string(key.Name.Buffer) != string(want) || string(want) != string(result.Credential.Storage.KeyName) {
				t.Errorf("key Name: the TPM says %x, computed %x, the credential has %x", key.Name.Buffer, want, result.Credential.Storage.KeyName)
			}
		})
	}
}
