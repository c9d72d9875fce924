package attesttest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/big"
	"os"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"

	"github.com/fxamacker/cbor/v2"
)

var update = flag.Bool("update", false, "write the vector files again")

// The generator builds messages from maps and bytes with the CBOR library alone, so that the vectors are a second
// opinion on the package's own encoder.

type claims = map[any]any

var enc = func() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

func encode(v any) []byte {
	if raw, ok := v.([]byte); ok {
		return raw // already encoded
	}
	b, err := enc.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// bstr marks bytes that are a CBOR byte string, not encoded CBOR.
type bstr = cbor.ByteString

func kid(key *ecdsa.PrivateKey) bstr { k := attest.KeyIDOf(&key.PublicKey); return bstr(k[:]) }

// frame is a COSE_Sign1 before and after its parts are spoiled.
type frame struct {
	protected   any // map or encoded bytes
	unprotected any
	payload     any
	key         *ecdsa.PrivateKey
	signature   func([]byte) []byte
	wrap        func(protected, unprotected, payload, signature []byte) []byte
}

func (f frame) bytes() []byte {
	protected, payload := encode(f.protected), encode(f.payload)
	structure := encode([]any{"Signature1", bstr(protected), bstr(""), bstr(payload)})
	sig := sign(f.key, structure)
	if f.signature != nil {
		sig = f.signature(sig)
	}
	wrap := f.wrap
	if wrap == nil {
		wrap = tagged
	}
	return wrap(protected, encode(f.unprotected), payload, sig)
}

func sign(key *ecdsa.PrivateKey, structure []byte) []byte {
	size := (key.Params().BitSize + 7) / 8
	sum := sha256.Sum256(structure)
	digest := sum[:]
	if size > 32 {
		sum := sha512.Sum384(structure)
		digest = sum[:]
	}
	der, err := key.Sign(nil, digest, hashOf(size))
	if err != nil {
		panic(err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		panic(err)
	}
	return append(rs.R.FillBytes(make([]byte, size)), rs.S.FillBytes(make([]byte, size))...)
}

func tagged(p, u, pl, s []byte) []byte { return append([]byte{0xd2}, array(p, u, pl, s)...) }

// array is the frame without its tag: bstr, map, bstr, bstr.
func array(p, u, pl, s []byte) []byte {
	return bytes.Join([][]byte{{0x84}, encode(bstr(p)), u, encode(bstr(pl)), encode(bstr(s))}, nil)
}

func evidence() frame {
	return frame{protected: claims{1: -7, 4: kid(attesttest.DeviceKey), 16: 263}, unprotected: claims{}, payload: body(), key: attesttest.DeviceKey}
}

func ueid(digits string) bstr { return bstr(attesttest.MustIMEI(digits).UEID()) }

func observed(m any, errorWord any) []any { return []any{1, m, 0, nil, 9, nil, errorWord} }

// m1 is slot 1's IMEI as the modem's 14 digits.
var m1 = bstr(attesttest.IMEI1[:14])

func body() claims {
	return claims{
		6: attesttest.Now.Unix(), 10: bstr(attesttest.Nonce()), 256: ueid(attesttest.IMEI1), 265: attest.EvidenceProfile,
		274: measres(1), 275: 2, -70001: []any{observed(m1, nil)}, -70005: 12,
	}
}

func measres(results ...int) []any {
	slots := make([]any, len(results))
	for i, r := range results {
		slots[i] = []any{fmt.Sprintf("slot%d", i+1), r}
	}
	return []any{[]any{"modem", slots}}
}

func with(base claims, changes claims) claims {
	c := maps.Clone(base)
	maps.Copy(c, changes)
	return c
}

func without(base claims, label any) claims {
	c := maps.Clone(base)
	delete(c, label)
	return c
}

func ev(change func(*frame)) []byte {
	f := evidence()
	change(&f)
	return f.bytes()
}

func evClaims(changes claims) []byte {
	return ev(func(f *frame) { f.payload = with(body(), changes) })
}

func evWithout(label any) []byte { return ev(func(f *frame) { f.payload = without(body(), label) }) }

func evHeader(changes claims) []byte {
	return ev(func(f *frame) { f.protected = with(f.protected.(claims), changes) })
}

func evObserved(entry ...any) []byte { return evClaims(claims{-70001: []any{entry}}) }

func TestVectorFilesAreWhatTheGeneratorWrites(t *testing.T) {
	for _, f := range []struct {
		name string
		file attesttest.VectorFile
	}{
		{"vectors/evidence.json", attesttest.VectorFile{
			Description: "COSE_Sign1 Evidence of the profile " + attest.EvidenceProfile + "; signatures are deterministic (RFC 6979)",
			Keys:        map[string]string{"evidence": point(attesttest.DeviceKey)}, Vectors: evidenceVectors()}},
		{"vectors/credential.json", attesttest.VectorFile{
			Description: "COSE_Sign1 Credentials, the manufacturer-signed IMEI value; signatures are deterministic (RFC 6979)",
			Keys:        map[string]string{"credential": point(attesttest.OEMKey), "credential-es384": point(oem384)}, Vectors: credentialVectors()}},
		{"vectors/counterproof.json", attesttest.VectorFile{
			Description: "Evidence of profile B: COSE_Sign1 with a proof by TPM2_NV_Certify and the Credential beside it; each of the three signatures is deterministic (RFC 6979)",
			Keys:        map[string]string{"profile-b": point(attesttest.DeviceKey), "credential": point(attesttest.OEMKey)}, Vectors: counterProofVectors()}},
	} {
		want, err := json.MarshalIndent(f.file, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, '\n')
		if *update {
			if err := os.WriteFile(f.name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(f.name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes (error %v): run go test ./attest/attesttest -update and read the difference", f.name, err)
		}
	}
}

func point(key *ecdsa.PrivateKey) string {
	b, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return hex.EncodeToString(b)
}
