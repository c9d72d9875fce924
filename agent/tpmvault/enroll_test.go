package tpmvault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// asked is a device's request to be enrolled.
func (u *unit) asked(kind tpmvault.EKKind) provision.Request {
	u.t.Helper()
	_, public, certificate, err := u.factory().EndorsementKey(u.t.Context(), kind)
	u.must(err)
	r, err := provision.BeginEnrolment(u.t.Context(), u.factory(), u.oem, provision.Unit{Slots: []imei.IMEI{imei1}, Model: "bench", Serial: 1, Class: 3},
		u.options(), public, certificate)
	u.must(err)
	return r
}

func (u *unit) register() *provision.Register {
	u.t.Helper()
	register, err := provision.OpenRegister(filepath.Join(u.folder, "register"))
	u.must(err)
	return register
}

// listed trusts the endorsement key of a request.
func listed(t *testing.T, r provision.Request) (trust provision.EKTrust) {
	t.Helper()
	name, _, err := tpmprofile.CheckEndorsementKey(r.Identity.EKPublic)
	if err != nil {
		t.Fatal(err)
	}
	if err := trust.AddNames([]byte("# ours\n" + hex.EncodeToString(name) + " # unit 1\n")); err != nil {
		t.Fatal(err)
	}
	return trust
}

// isForAnotherTPM wants words of it, and no code of the TPM.
func isForAnotherTPM(err error) bool {
	return errors.Is(err, provision.ErrRefused) && strings.Contains(err.Error(), "belong to another TPM") && !strings.Contains(err.Error(), "TPM_RC")
}

func TestEnrolment(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, kind := range map[string]tpmvault.EKKind{"RSA": tpmvault.EKRSA, "ECC": tpmvault.EKECC} {
		t.Run(name, func(t *testing.T) {
			u, other := newUnit(t), newUnit(t)
			r, others := u.asked(kind), other.asked(kind)
			c, pending, err := u.oem.Challenge(r, r.Unit, listed(t, r), u.register(), now)
			u.must(err)
			if _, err := provision.AnswerChallenge(t.Context(), other.factory(), u.oem, r, c); !isForAnotherTPM(err) {
				t.Errorf("another TPM's answer: %v", err)
			}
			foreign, _, err := other.oem.Challenge(others, others.Unit, listed(t, others), other.register(), now)
			u.must(err)
			for what, spoil := range map[string]func(*provision.Challenge){
				"was changed on the way": func(c *provision.Challenge) {
					c.IDObject = slices.Clone(c.IDObject)
					c.IDObject[len(c.IDObject)-1] ^= 1
				},
				"is another TPM's": func(c *provision.Challenge) {
					c.IDObject, c.EncryptedSecret = foreign.IDObject, foreign.EncryptedSecret
				},
				"has another's secret": func(c *provision.Challenge) { c.EncryptedSecret = foreign.EncryptedSecret },
				"has half a secret":    func(c *provision.Challenge) { c.EncryptedSecret = c.EncryptedSecret[:10] },
				"has no object":        func(c *provision.Challenge) { c.IDObject = nil },
			} {
				spoiled := c
				spoil(&spoiled)
				if _, err := provision.AnswerChallenge(t.Context(), u.factory(), u.oem, r, spoiled); !isForAnotherTPM(err) {
					t.Errorf("a challenge that %s: %v", what, err)
				}
			}
			u.wantClean()
			a, err := provision.AnswerChallenge(t.Context(), u.factory(), u.oem, r, c)
			u.must(err)
			wrong := a
			wrong.Secret = make([]byte, 32)
			if _, err := u.oem.Issue(r, pending, wrong, 0, u.register(), now); !errors.Is(err, provision.ErrRefused) {
				t.Errorf("a wrong secret: %v; want %v", err, provision.ErrRefused)
			}
			p, err := u.oem.Issue(r, pending, a, attest.StorageTPMDiscrete, u.register(), now)
			u.must(err)
			u.must(u.installAndLock(p))
			u.approve(tpmprofile.RolePrimary, "sha256:0,2,4,7")
			found, err := u.verify()
			u.must(err)
			if s := found.Credential.Storage; !found.OK() || s.NV != attest.NVOwner || s.Kind != attest.StorageTPMEmulated || hex.EncodeToString(s.EKNameHash) != hex.EncodeToString(r.Storage.EKNameHash) {
				t.Errorf("%+v with storage %+v", found.Checks, s)
			}
			u.wantClean()
		})
	}
}

// What a device may say and is not believed.
func TestEnrolmentRefuses(t *testing.T) {
	u := newUnit(t)
	good := u.asked(tpmvault.EKECC)
	change := func(raw []byte, change func(*tpm2.TPMTPublic)) []byte {
		public, err := tpmprofile.Unmarshal[tpm2.TPMTPublic](raw)
		u.must(err)
		change(public)
		return tpm2.Marshal(public)
	}
	for what, spoil := range map[string]func(*provision.Request){
		"no identity":                func(r *provision.Request) { r.Identity = nil },
		"the platform's index":       func(r *provision.Request) { r.Storage.NV = attest.NVPlatform },
		"another IMEI than recorded": func(r *provision.Request) { r.Unit.Slots = []imei.IMEI{imei2} },
		"another EK hash":            func(r *provision.Request) { r.Storage.EKNameHash = make([]byte, 32) },
		"a key with a password beside a policy": func(r *provision.Request) {
			r.Identity.KeyPublic = change(r.Identity.KeyPublic, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.UserWithAuth = true })
		},
		"a key that signs anything": func(r *provision.Request) {
			r.Identity.KeyPublic = change(r.Identity.KeyPublic, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Restricted = false })
		},
		"a key that can leave": func(r *provision.Request) {
			r.Identity.KeyPublic = change(r.Identity.KeyPublic, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false })
		},
		"a key with another policy": func(r *provision.Request) {
			r.Identity.KeyPublic = change(r.Identity.KeyPublic, func(p *tpm2.TPMTPublic) { p.AuthPolicy.Buffer[0] ^= 1 })
		},
		"an EK that signs": func(r *provision.Request) {
			r.Identity.EKPublic = change(r.Identity.EKPublic, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SignEncrypt = true })
		},
		"bytes behind the EK":      func(r *provision.Request) { r.Identity.EKPublic = append(append([]byte{}, r.Identity.EKPublic...), 0) },
		"an EK that is not listed": func(r *provision.Request) { r.Identity.EKPublic = newUnit(t).asked(tpmvault.EKECC).Identity.EKPublic },
	} {
		r, identity := good, *good.Identity
		r.Identity = &identity
		spoil(&r)
		if _, _, err := u.oem.Challenge(r, good.Unit, listed(t, good), u.register(), time.Now()); err == nil {
			t.Errorf("a request with %s was challenged", what)
		}
	}
	if _, _, err := u.oem.Challenge(good, good.Unit, listed(t, good), u.register(), time.Now()); err != nil {
		t.Errorf("the request that was not spoiled: %v", err)
	}
}

// maker is a TPM maker's root.
type maker struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         []byte
}

func newMaker(t *testing.T) maker {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "maker"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return maker{key, certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})}
}

// certify makes an EK certificate as makers do: with a critical name of the TPM's model.
func (m maker) certify(t *testing.T, ekPublic []byte, usage []asn1.ObjectIdentifier) []byte {
	t.Helper()
	_, key, err := tpmprofile.CheckEndorsementKey(ekPublic)
	if err != nil {
		t.Fatal(err)
	}
	// GeneralNames with one directoryName, empty (RFC 5280 section 4.2.1.6)
	model := []byte{0x30, 0x04, 0xa4, 0x02, 0x30, 0x00}
	raw, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), UnknownExtKeyUsage: usage,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: model}},
	}, m.certificate, key, m.key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// keepCertificate puts a certificate where makers do, with padding behind it as some do.
func (u *unit) keepCertificate(index tpm2.TPMHandle, certificate []byte) {
	u.t.Helper()
	certificate = append(append([]byte{}, certificate...), 0xff, 0xff)
	public := tpm2.TPMSNVPublic{
		NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(certificate)),
		Attributes: tpm2.TPMANV{NT: tpm2.TPMNTOrdinary, OwnerWrite: true, AuthRead: true, NoDA: true},
	}
	_, err := tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, PublicInfo: tpm2.New2B(public)}.Execute(u.conn)
	u.must(err)
	_, err = tpm2.NVWrite{AuthHandle: tpm2.TPMRHOwner, NVIndex: liveIndex(u.conn, index), Data: tpm2.TPM2BMaxNVBuffer{Buffer: certificate}}.Execute(u.conn)
	u.must(err)
}

func TestEndorsementKeyCertificates(t *testing.T) {
	u, ours, foreign := newUnit(t), newMaker(t), newMaker(t)
	ekUsage := []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}}
	bare := u.asked(tpmvault.EKRSA)
	u.keepCertificate(0x01C00002, ours.certify(t, bare.Identity.EKPublic, ekUsage))
	good := u.asked(0)
	if string(good.Identity.EKPublic) != string(bare.Identity.EKPublic) || len(good.Identity.EKCertificate) == 0 {
		t.Fatal("the key that has a certificate was not chosen")
	}
	otherKey := newUnit(t).asked(tpmvault.EKRSA).Identity.EKPublic
	for _, c := range []struct {
		name        string
		root        maker
		certificate []byte
		now         time.Time
		says        string
	}{
		{"good", ours, good.Identity.EKCertificate, time.Now(), ""},
		{"another root", foreign, good.Identity.EKCertificate, time.Now(), "certificate of endorsement key"},
		{"expired", ours, good.Identity.EKCertificate, time.Now().Add(2 * time.Hour), "expired"},
		{"for another key", ours, ours.certify(t, otherKey, ekUsage), time.Now(), "another key"},
		{"for another use", ours, ours.certify(t, good.Identity.EKPublic, nil), time.Now(), "2.23.133.8.1"},
		{"none", ours, nil, time.Now(), "not on the list"},
		{"nonsense", ours, []byte{0x30, 0}, time.Now(), "certificate of endorsement key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, identity := good, *good.Identity
			r.Identity, identity.EKCertificate = &identity, c.certificate
			var trust provision.EKTrust
			u.must(trust.AddCertificates(c.root.pem))
			_, _, err := u.oem.Challenge(r, r.Unit, trust, u.register(), c.now)
			if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v; want an error with %q", err, c.says)
			}
		})
	}
}
