//go:build pkcs11

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/miekg/pkcs11"

	"imei-attest/agent/provision"
)

// "PKCS #11" is OASIS PKCS #11 Specification version 3.1. The token stays open until the program ends: it signs once or
// for a batch, one signature at a time.

// openToken logs in and finds the private key of a URI.
func openToken(text string, pin func() ([]byte, error)) (crypto.Signer, error) {
	uri, err := provision.ParseTokenURI(text)
	if err != nil {
		return nil, err
	}
	key, err := findTokenKey(uri, pin)
	if err != nil {
		return nil, fmt.Errorf("%w: token %s: %w", provision.ErrKeyLocked, uri, err)
	}
	return key, nil
}

func findTokenKey(uri provision.TokenURI, pin func() ([]byte, error)) (*tokenKey, error) {
	module := pkcs11.New(uri.Module)
	if module == nil {
		return nil, fmt.Errorf("%s is no PKCS #11 module", uri.Module)
	}
	if err := module.Initialize(); err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		return nil, err
	}
	slot, err := slotOf(module, uri)
	if err != nil {
		return nil, err
	}
	k := &tokenKey{module: module}
	if k.session, err = module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION); err != nil {
		return nil, err
	}
	if err := k.login(pin); err != nil {
		return nil, err
	}
	if k.private, err = k.find(uri, pkcs11.CKO_PRIVATE_KEY); err != nil {
		return nil, err
	}
	public, err := k.find(uri, pkcs11.CKO_PUBLIC_KEY)
	if err != nil {
		return nil, err
	}
	k.public, err = k.point(public)
	return k, err
}

// slotOf finds the token by label and serial number (PKCS #11 section 5.5).
func slotOf(module *pkcs11.Ctx, uri provision.TokenURI) (uint, error) {
	slots, err := module.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	for _, slot := range slots {
		info, err := module.GetTokenInfo(slot)
		if err != nil {
			continue // another token is out of order
		}
		if strings.TrimRight(info.Label, " \x00") == uri.Token && (uri.Serial == "" || strings.TrimRight(info.SerialNumber, " \x00") == uri.Serial) {
			return slot, nil
		}
	}
	return 0, errors.New("no such token is plugged in")
}

// tokenKey is a private key that stays in its token.
type tokenKey struct {
	module  *pkcs11.Ctx
	session pkcs11.SessionHandle
	private pkcs11.ObjectHandle
	public  *ecdsa.PublicKey
}

// login needs the PIN once for all keys of a token; a token locks after a few wrong ones, so nothing is tried twice.
func (k *tokenKey) login(pin func() ([]byte, error)) error {
	state, err := k.module.GetSessionInfo(k.session)
	if err != nil || state.State == pkcs11.CKS_RO_USER_FUNCTIONS {
		return err
	}
	secret, err := pin()
	if err != nil {
		return err
	}
	err = k.module.Login(k.session, pkcs11.CKU_USER, string(secret))
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_INCORRECT)) {
		return fmt.Errorf("the PIN is wrong; the token locks after a few attempts (%w)", err)
	}
	return err
}

// find returns the one object of a class that the URI names.
func (k *tokenKey) find(uri provision.TokenURI, class uint) (pkcs11.ObjectHandle, error) {
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC)}
	if uri.Object != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, uri.Object))
	}
	if len(uri.ID) > 0 {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, uri.ID))
	}
	if err := k.module.FindObjectsInit(k.session, template); err != nil {
		return 0, err
	}
	found, _, err := k.module.FindObjects(k.session, 2)
	if err := errors.Join(err, k.module.FindObjectsFinal(k.session)); err != nil {
		return 0, err
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%d elliptic-curve keys of this name (private and public half must both be there, each once)", len(found))
	}
	return found[0], nil
}

// point reads the public half (PKCS #11 section 6.3.3: CKA_EC_PARAMS is the curve's OID, CKA_EC_POINT an OCTET STRING).
func (k *tokenKey) point(public pkcs11.ObjectHandle) (*ecdsa.PublicKey, error) {
	values, err := k.module.GetAttributeValue(k.session, public, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, nil), pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil),
	})
	if err != nil {
		return nil, err
	}
	var oid asn1.ObjectIdentifier
	var raw []byte
	_, err1 := asn1.Unmarshal(values[0].Value, &oid)
	_, err2 := asn1.Unmarshal(values[1].Value, &raw)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	curves := map[string]elliptic.Curve{"1.2.840.10045.3.1.7": elliptic.P256(), "1.3.132.0.34": elliptic.P384()} // RFC 5480 section 2.1.1.1
	curve, known := curves[oid.String()]
	if !known {
		return nil, fmt.Errorf("the key is on curve %s; P-256 is wanted", oid)
	}
	return ecdsa.ParseUncompressedPublicKey(curve, raw)
}

// Public implements [crypto.Signer].
func (k *tokenKey) Public() crypto.PublicKey { return k.public }

// Sign implements [crypto.Signer]: the token gives R||S (PKCS #11 section 6.3.1), Go wants an ECDSA-Sig-Value.
func (k *tokenKey) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	if err := k.module.SignInit(k.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, k.private); err != nil {
		return nil, fmt.Errorf("signing in the token: %w", err)
	}
	raw, err := k.module.Sign(k.session, digest)
	if err != nil {
		return nil, fmt.Errorf("signing in the token: %w", err)
	}
	half := len(raw) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
}
