package provision

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"imei-attest/attest/tpmprofile"
)

// EKTrust says which endorsement keys are of the manufacturer's devices: those on a list, or those whose
// certificate leads to a pinned root. Many firmware TPMs have no certificate, so the list comes first.
type EKTrust struct {
	Names map[string]bool // Names in hex, as tpm2_readpublic prints them
	Roots *x509.CertPool  // of TPM makers; nil accepts no certificate
	Inter *x509.CertPool  // their intermediate certificates
}

// AddNames reads a list: a Name in hex on each line; what follows a # is a remark.
func (t *EKTrust) AddNames(text []byte) error {
	if t.Names == nil {
		t.Names = make(map[string]bool)
	}
	for n, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.ToLower(strings.TrimSpace(line)); line == "" {
			continue
		}
		if raw, err := hex.DecodeString(line); err != nil || len(raw) != tpmprofile.NameBytes {
			return fmt.Errorf("line %d is no Name of an endorsement key: want %d bytes in hex", n+1, tpmprofile.NameBytes)
		}
		t.Names[line] = true
	}
	return nil
}

// AddCertificates reads PEM: those that signed themselves are roots, the others lead to them.
func (t *EKTrust) AddCertificates(text []byte) error {
	if t.Roots == nil {
		t.Roots, t.Inter = x509.NewCertPool(), x509.NewCertPool()
	}
	for n := 0; ; n++ {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			if n == 0 {
				return errors.New("no certificate in PEM")
			}
			return nil
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("certificate %d: %w", n+1, err)
		}
		pool := t.Inter
		if certificate.CheckSignatureFrom(certificate) == nil {
			pool = t.Roots
		}
		pool.AddCert(certificate)
	}
}

// ekUsage is tcg-kp-EKCertificate (EK Credential Profile section 3.2.16).
var ekUsage = asn1.ObjectIdentifier{2, 23, 133, 8, 1}

// subjectAltName is critical in most EK certificates and names the TPM's model, which crypto/x509 does not read (EK
// Credential Profile section 3.2.9).
var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// check refuses an endorsement key that is not trusted.
func (t EKTrust) check(id *TPMIdentity, now time.Time) error {
	name, key, err := tpmprofile.CheckEndorsementKey(id.EKPublic)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if t.Names[hex.EncodeToString(name)] {
		return nil
	}
	if len(id.EKCertificate) == 0 || t.Roots == nil {
		return fmt.Errorf("%w: endorsement key %x is not on the list, and no certificate leads to a pinned root", ErrRefused, name)
	}
	if err := t.checkCertificate(id.EKCertificate, key, now); err != nil {
		return fmt.Errorf("%w: certificate of endorsement key %x: %w", ErrRefused, name, err)
	}
	return nil
}

func (t EKTrust) checkCertificate(raw []byte, key crypto.PublicKey, now time.Time) error {
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return err
	}
	certified, ok := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !certified.Equal(key) {
		return errors.New("it is for another key")
	}
	if certificate.IsCA || !slices.ContainsFunc(certificate.UnknownExtKeyUsage, ekUsage.Equal) {
		return errors.New("it is no certificate of an endorsement key (extended key usage 2.23.133.8.1)")
	}
	certificate.UnhandledCriticalExtensions = slices.DeleteFunc(certificate.UnhandledCriticalExtensions, subjectAltName.Equal)
	_, err = certificate.Verify(x509.VerifyOptions{
		Roots: t.Roots, Intermediates: t.Inter, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}
