package tpmvault_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"imei-attest/agent/tpmvault"
	"imei-attest/attest/tpmprofile"
)

// reshaper is a transport before a TPM that makes responses to one command longer or shorter.
type reshaper struct {
	transport.TPM
	at    tpm2.TPMCC
	shape func(response []byte) []byte
}

// Send implements transport.TPM.
func (r *reshaper) Send(command []byte) ([]byte, error) {
	response, err := r.TPM.Send(command)
	if err == nil && r.shape != nil && tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])) == r.at {
		response = r.shape(response)
	}
	return response, err
}

// announced has the header announce the length that there is.
func announced(response []byte) []byte {
	if len(response) >= 6 {
		binary.BigEndian.PutUint32(response[2:], uint32(len(response)))
	}
	return response
}

// A response that ends early, or goes on, gives no token and leaves nothing in the TPM.
func TestResponsesOfAnotherLengthGiveNoToken(t *testing.T) {
	u := newUnit(t)
	u.provision(imei1)
	tpm := &reshaper{TPM: u.conn}
	v, err := tpmvault.Open(t.Context(), tpm, tpmvault.Config{Approvals: u.approvals})
	u.must(err)
	u.mustToken(v, 0)
	refused := func(what string, shape func([]byte) []byte) {
		t.Helper()
		tpm.shape = shape
		if _, err := token(v); !errors.Is(err, tpmvault.ErrTampered) {
			t.Errorf("%v, %s: %v; want %v", tpm.at, what, err, tpmvault.ErrTampered)
		}
		tpm.shape = nil
		u.wantClean()
	}
	for at, least := range map[tpm2.TPMCC]int{
		tpm2.TPMCCNVIncrement: 0, tpm2.TPMCCPolicyPCR: 0, tpm2.TPMCCPolicyAuthorize: 0, tpm2.TPMCCPolicyOR: 0,
		tpm2.TPMCCPolicyNV: 0, tpm2.TPMCCNVCertify: 0, tpm2.TPMCCHash: 0, tpm2.TPMCCSign: 0,
		tpm2.TPMCCStartAuthSession: 14, // with less, nobody knows which session to end
	} {
		tpm.at = at
		length := 0
		tpm.shape = func(r []byte) []byte { length = len(r); return r }
		u.mustToken(v, 0)
		for n := least; n < length; n++ {
			refused(fmt.Sprintf("%d of %d bytes", n, length), func(r []byte) []byte { return announced(r[:min(n, len(r))]) })
		}
		refused("a byte more", func(r []byte) []byte { return announced(append(r, 0)) })
		refused("a byte more, not announced", func(r []byte) []byte { return append(r, 0) })
		u.mustToken(v, 0)
	}
}

// FuzzSignature: the vault takes the signatures that go-tpm takes, and takes the same numbers out of them.
func FuzzSignature(f *testing.F) {
	for _, seed := range []string{
		"0018000b00020102000103", "0018000b00000000", "0018000b000200010001030000", "0018000c000101000101", "0014000b000101", "0010", "",
		"0018000bffff00", "0018000b0021" + "00" + hex.EncodeToString(bytes.Repeat([]byte{0xFF}, 32)) + "000101",
	} {
		raw, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := tpmvault.ReadSignature(raw)
		want, wantErr := signatureByGoTPM(raw)
		if (err == nil) != (wantErr == nil) || err == nil && got != want {
			t.Errorf("%x: %x, %v; go-tpm %x, %v", raw, got, err, want, wantErr)
		}
	})
}

// signatureByGoTPM pads each half, for a TPM may leave leading zeros out.
func signatureByGoTPM(raw []byte) (signature [tpmprofile.SignatureBytes]byte, err error) {
	decoded, err := tpmprofile.Unmarshal[tpm2.TPMTSignature](raw)
	if err != nil {
		return signature, err
	}
	ecc, err := decoded.Signature.ECDSA()
	if err != nil {
		return signature, err
	}
	const half = tpmprofile.SignatureBytes / 2
	r, s := new(big.Int).SetBytes(ecc.SignatureR.Buffer), new(big.Int).SetBytes(ecc.SignatureS.Buffer)
	if decoded.SigAlg != tpm2.TPMAlgECDSA || ecc.Hash != tpm2.TPMAlgSHA256 || r.BitLen() > 8*half || s.BitLen() > 8*half {
		return signature, errors.New("not a signature of P-256 with SHA-256")
	}
	r.FillBytes(signature[:half])
	s.FillBytes(signature[half:])
	return signature, nil
}
