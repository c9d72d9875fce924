package tpmvault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent"
	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/tpmprofile"
)

func TestVaultSignsTokens(t *testing.T) {
	u := newUnit(t)
	result := u.provision(imei1, imei2)
	v := u.open()
	credential, err := v.Credential(t.Context())
	u.must(err)
	if !bytes.Equal(credential, result.Credential.Raw) {
		t.Error("the vault gives another credential than was provisioned")
	}
	claims := attesttest.Claims()
	token, err := attest.SignEvidence(nil, claims, v.Signer(t.Context()), attest.KeyIDOf(v.Describe().Key), attest.Enclosure{Credential: credential})
	u.must(err)
	evidence, err := attest.DecodeEvidence(token)
	u.must(err)
	if err := evidence.Verify(result.Credential.Key); err != nil {
		t.Errorf("the token does not verify under the credential's key: %v", err)
	}
	u.wantClean()
}

func TestDescribe(t *testing.T) {
	u := newUnit(t)
	result := u.provision(imei1)
	got := u.open().Describe()
	want := agent.Description{
		Kind: attest.StorageTPMEmulated, Manufacturer: "IBM", Firmware: got.Firmware,
		BootBound: true, StorageBound: true, Key: result.Credential.Key,
	}
	if !got.Key.Equal(want.Key) {
		t.Error("Describe gives another key than the credential")
	}
	if want.Key = got.Key; got != want || strings.Count(got.Firmware, ".") != 3 {
		t.Errorf("Describe = %+v, want %+v", got, want)
	}
}

// The agent compares this key with the Credential's, so it must not be the Credential's own.
func TestDescribeGivesTheKeyThatSigns(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	shown, err := tpm2.ReadPublic{ObjectHandle: tpmprofile.KeyHandle}.Execute(u.conn)
	u.must(err)
	public, err := shown.OutPublic.Contents()
	u.must(err)
	want, err := tpmprofile.PublicKeyOf(public)
	u.must(err)
	wantDescribed := func(where string) {
		v := u.open()
		v.BelieveCredentialFor(&attesttest.Key("stranger").PublicKey)
		if !v.Describe().Key.Equal(want) {
			t.Errorf("%s: Describe gives another key than the TPM", where)
		}
	}
	wantDescribed("persistent")
	_, err = tpm2.EvictControl{
		Auth: tpm2.TPMRHOwner, ObjectHandle: tpm2.NamedHandle{Handle: tpmprofile.KeyHandle, Name: shown.Name}, PersistentHandle: tpmprofile.KeyHandle,
	}.Execute(u.conn)
	u.must(err)
	wantDescribed("derived again")
}

// Content that an accident changes on its way to the TPM is not what is signed, whether the key is proven or not.
func TestContentChangedOnTheWayIsNotSigned(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	const hashTail = 2 + 4 // of TPM2_Hash, behind the data: algorithm, hierarchy
	wrong := false
	u.tpm = tpmtest.NewSpy(&faulty{TPM: u.conn, command: func(code tpm2.TPMCC, command []byte) {
		switch {
		case wrong && code == tpm2.TPMCCHash:
			command[len(command)-hashTail-1] ^= 1
		case wrong && code == tpm2.TPMCCSequenceUpdate:
			command[len(command)-1] ^= 1
		}
	}})
	for _, n := range []int{7, 3000} {
		v, content := u.open(), bytes.Repeat([]byte{0x84}, n)
		for _, when := range []string{"the first signature", "a later one"} {
			wrong = true
			if _, err := v.Signer(t.Context()).Sign(nil, content); !errors.Is(err, tpmvault.ErrTampered) {
				t.Errorf("%d bytes, %s: %v; want %v", n, when, err, tpmvault.ErrTampered)
			}
			wrong = false
			u.must(sign(v, content))
		}
	}
	u.wantClean()
}

// The vault verifies the first signature of the key it located, and the first after whatever it had to repair.
func TestTheKeyIsProvenOnce(t *testing.T) {
	moveRegister := func(u *unit) {
		moved := false
		u.tpm.Fault(func(sent tpm2.TPMCC) ([]byte, error) {
			if moved || sent != tpm2.TPMCCSign && sent != tpm2.TPMCCNVCertify {
				return nil, nil
			}
			moved = true
			return nil, tpmtest.PCRExtend(u.conn, 10, [32]byte{1})
		})
	}
	for _, c := range []struct {
		name   string
		first  func(*tpmvault.Vault) error
		before func(*unit)
		want   error
	}{
		{"the first signature", func(*tpmvault.Vault) error { return nil }, func(*unit) {}, agent.ErrKeyMismatch},
		{"after a token", func(v *tpmvault.Vault) error { _, err := token(v); return err }, func(*unit) {}, nil},
		{"after a signature", func(v *tpmvault.Vault) error { return sign(v, nil) }, func(*unit) {}, nil},
		{"after TPM2_Clear", func(v *tpmvault.Vault) error { return sign(v, nil) }, func(u *unit) { u.must(tpmtest.Clear(u.conn)) }, agent.ErrKeyMismatch},
		{"after a repetition", func(v *tpmvault.Vault) error { return sign(v, nil) }, moveRegister, agent.ErrKeyMismatch},
	} {
		for what, use := range map[string]func(*tpmvault.Vault) error{
			"Sign":     func(v *tpmvault.Vault) error { _, err := v.Signer(t.Context()).Sign(nil, nil); return err },
			"Evidence": func(v *tpmvault.Vault) error { _, err := v.Evidence(t.Context(), [32]byte{}); return err },
		} {
			t.Run(c.name+", "+what, func(t *testing.T) {
				u := newUnit(t)
				u.provision(imei1)
				v := u.open()
				u.must(c.first(v))
				v.BelieveCredentialFor(&attesttest.Key("stranger").PublicKey)
				c.before(u)
				for range 2 { // what was refused is refused again
					if err := use(v); !errors.Is(err, c.want) {
						t.Errorf("%v; want %v", err, c.want)
					}
				}
				u.must(v.Close())
				u.wantClean()
			})
		}
	}
}

// The budget of a token is 9 TPM commands after the first. Content above 1024 bytes takes two more, 10 with an epoch: no token of an
// Agent has it, see TestTheLongestTokenFitsOneHash of agent.
func TestCommandsPerSignature(t *testing.T) {
	for _, c := range []struct {
		name, pcrs string
		epoch      uint64
		content    int
		want       int
	}{
		{"measured boot", "sha256:0,2,4,7", 0, 300, 7},
		{"measured boot with an epoch", "sha256:0,2,4,7", 1, 300, 8},
		{"measured boot, content above 1024 bytes", "sha256:0,2,4,7", 0, 2000, 9},
		{"measured boot with an epoch, content above 1024 bytes", "sha256:0,2,4,7", 1, 2000, 10},
		{"unmeasured boot", "", 0, 300, 6},
		{"unmeasured boot with an epoch", "", 1, 300, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnit(t)
			v := u.openWith(c.pcrs, c.epoch)
			u.must(sign(v, make([]byte, c.content)))
			for range 3 {
				u.tpm.Commands()
				u.must(sign(v, bytes.Repeat([]byte{0x84}, c.content)))
				if sent := u.tpm.Commands(); len(sent) != c.want {
					t.Errorf("a signature took %d TPM commands %v, want %d", len(sent), sent, c.want)
				}
			}
			u.wantClean()
		})
	}
}

func TestSignsContentOfEveryLength(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	for _, n := range []int{0, 1, 1023, 1024, 1025, 2048, 2049, 5000} {
		if err := sign(v, bytes.Repeat([]byte{0x84}, n)); err != nil {
			t.Errorf("content of %d bytes: %v", n, err)
		}
	}
	u.wantClean()
}

// A restricted key signs nothing that looks like a structure of the TPM's own.
func TestRefusesContentThatLooksLikeAnAttestation(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	for _, n := range []int{100, 3000} {
		content := append([]byte{0xFF, 'T', 'C', 'G'}, make([]byte, n)...)
		if err := sign(v, content); !errors.Is(err, tpm2.TPMRCTicket) {
			t.Errorf("content of %d bytes that begins with TPM_GENERATED_VALUE: %v; want %v", len(content), err, tpm2.TPMRCTicket)
		}
	}
	u.must(sign(v, []byte("honest")))
	u.wantClean()
}

func TestManyGoroutinesSign(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 4 {
				if err := sign(v, fmt.Appendf(nil, "content %d %d", i, j)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	u.wantClean()
}

func TestEmptyTPMIsNotProvisioned(t *testing.T) {
	if _, err := newUnit(t).tryOpen(); !errors.Is(err, agent.ErrNotProvisioned) {
		t.Errorf("Open: %v; want %v", err, agent.ErrNotProvisioned)
	}
}

func TestSurvivesPowerFailure(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	u.cutPower()
	u.powerOn()
	u.must(sign(u.open(), []byte("after the power came back")))
}

// go-tpm leaves a session behind when its policy fails; three of them shut everybody out.
func TestFailingPoliciesLeaveNoSession(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	u.must(sign(v, []byte("before")))
	broken := errors.New("the cable was pulled")
	for name, fault := range map[string]func(tpm2.TPMCC) ([]byte, error){
		"the policy is refused": tpmtest.Refuse(tpm2.TPMCCPolicyNV, tpm2.TPMRCPolicy),
		"the key refuses":       tpmtest.Refuse(tpm2.TPMCCSign, tpm2.TPMRCPolicyFail),
		"it certifies nothing":  tpmtest.Refuse(tpm2.TPMCCNVCertify, tpm2.TPMRCPolicyFail),
		"the transport fails in the policy": func(sent tpm2.TPMCC) ([]byte, error) {
			if sent == tpm2.TPMCCPolicyOR {
				return nil, broken
			}
			return nil, nil
		},
		"the transport fails at the signature": func(sent tpm2.TPMCC) ([]byte, error) {
			if sent == tpm2.TPMCCSign {
				return nil, broken
			}
			return nil, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			u.tpm.Fault(fault)
			for range 50 {
				if _, err := token(v); err == nil {
					t.Fatal("there is a token in spite of the fault")
				}
			}
			u.tpm.Fault(nil)
			u.wantClean()
			if proof, err := token(v); proof == nil || err != nil {
				t.Errorf("the token after 50 failures: proof %v, %v", proof, err)
			}
		})
	}
}

func TestCancelledSigningLeavesNoSession(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	for _, last := range []tpm2.TPMCC{tpm2.TPMCCStartAuthSession, tpm2.TPMCCPolicyPCR, tpm2.TPMCCPolicyNV} {
		ctx, cancel := context.WithCancel(t.Context())
		u.tpm.Fault(func(sent tpm2.TPMCC) ([]byte, error) {
			if sent == last {
				cancel()
			}
			return nil, nil
		})
		if _, err := v.Signer(ctx).Sign(nil, []byte("content")); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at %v: %v; want %v", last, err, context.Canceled)
		}
		cancel()
		u.tpm.Fault(nil)
		u.wantClean()
	}
	u.must(sign(v, []byte("content")))
}

func TestOpenFreesWhatACrashedProgramLeft(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	for range 3 {
		_, _, err := tpm2.PolicySession(u.conn, tpm2.TPMAlgSHA256, 16)
		u.must(err)
		_, err = tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(u.conn)
		u.must(err)
	}
	u.must(sign(u.open(), []byte("content")))
	u.wantClean()
}

func TestRefusalsOfTheTPMAreExplained(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	u.must(sign(v, []byte("before")))
	for _, c := range []struct {
		code tpm2.TPMRC
		want error
		says string
	}{
		{tpm2.TPMRCLockout, tpmvault.ErrLockout, "tpm2_dictionarylockout"},
		{tpm2.TPMRCPolicyFail, tpmvault.ErrRecordChanged, "provision"},
		{tpm2.TPMRCFailure, tpm2.TPMRCFailure, "power the device off"},
		{tpm2.TPMRCObjectMemory, tpm2.TPMRCObjectMemory, "/dev/tpmrm0"},
		{tpm2.TPMRCPCRChanged, tpm2.TPMRCPCRChanged, "tried"},
	} {
		u.tpm.Fault(tpmtest.Refuse(tpm2.TPMCCSign, c.code))
		if err := sign(v, []byte("content")); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("the TPM says %v: %v; want %v with %q", c.code, err, c.want, c.says)
		}
	}
	u.tpm.Fault(nil)
	u.must(sign(v, []byte("after")))
}

// A register that no approval is about may be extended at any time, also between policy and signature.
func TestSignsWhileOtherRegistersMove(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	v := u.open()
	u.must(sign(v, []byte("before")))
	extended := false
	u.tpm.Fault(func(sent tpm2.TPMCC) ([]byte, error) {
		if sent == tpm2.TPMCCSign && !extended {
			extended = true
			return nil, tpmtest.PCRExtend(u.conn, 10, [32]byte{1})
		}
		return nil, nil
	})
	if err := sign(v, []byte("content")); err != nil || !extended {
		t.Errorf("signing while PCR 10 moves: %v", err)
	}
	u.wantClean()
}

func TestClosedOwnerKeepsTheKeyInASlot(t *testing.T) {
	u := newUnit(t)
	u.must(tpmtest.CloseOwner(u.conn))
	if result := u.provision(imei1); result.Persistent {
		t.Error("the key was made persistent without the owner's authorisation")
	}
	v := u.open()
	u.must(sign(v, []byte("content")))
	u.must(v.Close())
	u.wantClean()
}

func TestForeignKeyAtThePersistentHandle(t *testing.T) {
	u := newUnit(t)
	other, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(u.conn)
	u.must(err)
	_, err = tpm2.EvictControl{
		Auth: tpm2.TPMRHOwner, ObjectHandle: tpm2.NamedHandle{Handle: other.ObjectHandle, Name: other.Name}, PersistentHandle: tpmprofile.KeyHandle,
	}.Execute(u.conn)
	u.must(err)
	if result := u.provision(imei1); result.Persistent {
		t.Error("somebody else's key was replaced")
	}
	u.must(sign(u.open(), []byte("content")))
}

// Chips differ in how much of an index one command may read.
func TestReadsTheRecordPieceByPiece(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	asked := 0
	u.tpm.Fault(func(sent tpm2.TPMCC) ([]byte, error) {
		const nvBufferMax = 4 // the fourth question of Open, after sessions, objects and maker
		if sent == tpm2.TPMCCGetCapability {
			asked++
		}
		if sent != tpm2.TPMCCGetCapability || asked != nvBufferMax {
			return nil, nil
		}
		return []byte{
			0x80, 0x01, 0, 0, 0, 27, 0, 0, 0, 0, // header
			0, 0, 0, 0, 6, 0, 0, 0, 1, // no more data, TPM_CAP_TPM_PROPERTIES, one property
			0, 0, 0x01, 0x2C, 0, 0, 1, 0, // TPM_PT_NV_BUFFER_MAX = 256
		}, nil
	})
	u.tpm.Commands()
	v := u.open()
	reads := 0
	for _, sent := range u.tpm.Commands() {
		if sent == tpm2.TPMCCNVRead {
			reads++
		}
	}
	if reads != tpmprofile.RecordSize/256 {
		t.Errorf("the record was read in %d pieces, want %d", reads, tpmprofile.RecordSize/256)
	}
	u.must(sign(v, []byte("content")))
}
