package tpmvault_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/agent/tpmvault/tpmtest"
)

// refuse answers with a code, without asking the engine.
func refuse(code tpm2.TPMRC) spoiler {
	return func(_ []byte, _ func() []byte, conn net.Conn) bool {
		_, err := conn.Write(tpmtest.Response(code))
		return err == nil
	}
}

// respond lets the engine run the command and sends what f makes of its answer.
func respond(keep bool, f func([]byte) []byte) spoiler {
	return func(_ []byte, pass func() []byte, conn net.Conn) bool {
		_, err := conn.Write(f(pass()))
		return err == nil && keep
	}
}

func announce(size func(real uint32) uint32) func([]byte) []byte {
	return func(response []byte) []byte {
		binary.BigEndian.PutUint32(response[2:], size(binary.BigEndian.Uint32(response[2:])))
		return response
	}
}

// inPieces sends an answer byte by byte.
func inPieces(_ []byte, pass func() []byte, conn net.Conn) bool {
	response := pass()
	for i := range response {
		if _, err := conn.Write(response[i : i+1]); err != nil {
			return false
		}
	}
	return true
}

// lineFaults are what may befall one command.
var lineFaults = []struct {
	name  string
	times int
	spoil spoiler
	want  error // nil: the token is made all the same
}{
	{"it asks to retry 3 times", 3, refuse(tpm2.TPMRCRetry), nil},
	{"it yields 3 times", 3, refuse(tpm2.TPMRCYielded), nil},
	{"it tests itself twice", 2, refuse(tpm2.TPMRCTesting), nil},
	{"it asks to retry for ever", -1, refuse(tpm2.TPMRCRetry), tpmdev.ErrBusy},
	{"it is locked out", 1, refuse(tpm2.TPMRCLockout), tpmvault.ErrLockout},
	{"it is in failure mode", 1, refuse(tpm2.TPMRCFailure), tpm2.TPMRCFailure},
	{"the answer comes in pieces", 1, inPieces, nil},
	{"the answer ends in its header", 1, respond(false, func(r []byte) []byte { return r[:4] }), tpmdev.ErrBroken},
	{"the answer ends early", 1, respond(false, func(r []byte) []byte { return r[:len(r)-1] }), tpmdev.ErrBroken},
	{"the line ends before the answer", 1, respond(false, func([]byte) []byte { return nil }), tpmdev.ErrBroken},
	{"the line ends before the command", 1, func([]byte, func() []byte, net.Conn) bool { return false }, tpmdev.ErrBroken},
	{"the header announces too little", 1, respond(true, announce(func(uint32) uint32 { return 9 })), tpmdev.ErrBroken},
	{"the header announces 4 GiB", 1, respond(true, announce(func(uint32) uint32 { return 1<<32 - 1 })), tpmdev.ErrBroken},
	{"the header announces more than comes", 1, respond(true, announce(func(n uint32) uint32 { return n + 1 })), tpmdev.ErrTimeout},
	{"the tag is no response's", 1, respond(true, func(r []byte) []byte { r[0] = 0; return r }), tpmdev.ErrBroken},
	{"a byte of the answer is another", 1, respond(true, func(r []byte) []byte { r[len(r)-1] ^= 1; return r }), tpmvault.ErrTampered},
}

// Each fault befalls each kind of command of a token: it ends in a token, or in an error that says what it was, and the TPM's
// slots are free afterwards. Where the line broke, what stood in them is freed by the next program that opens the TPM.
func TestFaultsOfTheLine(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	l := newLine(u)
	for _, at := range []tpm2.TPMCC{
		tpm2.TPMCCNVIncrement, tpm2.TPMCCStartAuthSession, tpm2.TPMCCPolicyPCR, tpm2.TPMCCPolicyAuthorize, tpm2.TPMCCPolicyNV,
		tpm2.TPMCCNVCertify, tpm2.TPMCCHash, tpm2.TPMCCSign,
	} {
		for _, fault := range lineFaults {
			if fault.want == tpmvault.ErrTampered && at != tpm2.TPMCCNVCertify && at != tpm2.TPMCCSign {
				continue // the others' last byte is not covered by an HMAC; see TestTamperedAnswersGiveNoToken
			}
			t.Run(fmt.Sprint(fault.name, " at ", at), func(t *testing.T) {
				u.t = t
				conn := l.open()
				v := u.openOn(conn)
				u.mustToken(v, 0)
				ctx := t.Context()
				if fault.want == tpmdev.ErrTimeout || fault.want == tpmdev.ErrBusy {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 120*time.Millisecond)
					defer cancel()
				}
				l.set(once(at, fault.times, fault.spoil))
				proof, err := tokenWith(ctx, v)
				l.set(nil)
				// On a slow machine the time ends elsewhere than while the TPM is asked again.
				isLate := fault.want == tpmdev.ErrBusy && (errors.Is(err, tpmdev.ErrTimeout) || errors.Is(err, context.DeadlineExceeded))
				if !errors.Is(err, fault.want) && !isLate || fault.want == nil && proof == nil {
					t.Errorf("the token: proof %v, %v; want %v", proof, err, fault.want)
				}
				if errors.Is(err, tpmdev.ErrBroken) || errors.Is(err, tpmdev.ErrTimeout) {
					v = u.openOn(l.open())
				}
				u.wantClean()
				u.mustToken(v, 0)
				u.wantClean()
			})
		}
	}
}

// openOn opens the vault over another transport than the unit's own.
func (u *unit) openOn(conn *tpmdev.Conn) *tpmvault.Vault {
	u.t.Helper()
	v, err := tpmvault.Open(u.t.Context(), conn, tpmvault.Config{Approvals: u.approvals})
	u.must(err)
	u.t.Cleanup(func() { v.Close() })
	return v
}

// One byte of an answer is another: there is a token that verifies, where the byte does not matter, or an error.
func TestTamperedAnswersGiveNoToken(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	var code tpm2.TPMCC
	at := -1
	length := 0
	u.tpm = tpmtest.NewSpy(&faulty{TPM: u.conn, response: func(sent tpm2.TPMCC, response []byte) {
		if sent != code || at >= len(response) {
			return
		}
		if length = len(response); at >= 0 {
			response[at] ^= 0x40
			code = 0 // once
		}
	}})
	v := u.open()
	u.mustToken(v, 0)
	step := 1
	if testing.Short() {
		step = 7
	}
	failed := make(map[tpm2.TPMCC]int)
	for _, spoiled := range []tpm2.TPMCC{tpm2.TPMCCHash, tpm2.TPMCCSign, tpm2.TPMCCNVCertify, tpm2.TPMCCNVIncrement, tpm2.TPMCCPolicyNV, tpm2.TPMCCPolicyPCR} {
		code, at = spoiled, -1
		u.mustToken(v, 0)
		for at = range length {
			if at%step != 0 {
				continue
			}
			code = spoiled
			_, err := token(v)
			if errors.Is(err, errBadToken) {
				t.Errorf("%v, byte %d: %v", spoiled, at, err)
			}
			if err != nil {
				failed[spoiled]++
			}
			code = 0
			u.wantClean()
		}
		at = -1
		u.mustToken(v, 0)
		if failed[spoiled] == 0 {
			t.Errorf("%v: no spoiled byte was noticed; was any spoiled?", spoiled)
		}
	}
}
