// Package bench is a crowd of devices that asks a verifier again and again, to measure how many it can answer. Start with [NewCrowd],
// let the verifier know the devices by [Crowd.Register], and then [Load.Prepare] and [Clients.Ask].
//
// The devices and their manufacturer follow from a secret that whoever measures draws anew: a verifier believes them only if his trust
// folder holds [Crowd.Anchor]. Nothing is kept of a device, so a crowd of millions needs no memory.
package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
)

// SecretBytes is the length of a crowd's secret.
const SecretBytes = 32

// MaxDevices is how many devices a crowd has at most.
const MaxDevices = 10_000_000

// What the devices have in common. The IMEIs count on from a made-up Type Allocation Code, and the IMSIs are of the test network
// (ITU-T E.212: 001 01).
const (
	issuer    = "tag:imei-attest.example,2026:bench"
	firstIMEI = 35693803_000000
	network   = "00101"
)

var oemid = attest.PENOEMID(32473) // for documentation (RFC 5612)

// Crowd is the devices of one manufacturer.
type Crowd struct {
	secret  []byte
	oem     *ecdsa.PrivateKey // signs the Credentials
	profile tpmprofile.Profile
}

// NewCrowd makes the crowd of a secret.
func NewCrowd(secret []byte) (*Crowd, error) {
	if len(secret) != SecretBytes {
		return nil, fmt.Errorf("the secret of a crowd has %d bytes, not %d", SecretBytes, len(secret))
	}
	c := &Crowd{secret: secret, profile: tpmprofile.Profile{Variant: attest.NVPlatform, Boot: attest.BootMeasured}}
	c.oem = c.key("credentials", 0)
	c.profile.NVKey, c.profile.BootPrimary, c.profile.BootStandby = &c.key("nv", 0).PublicKey, &c.key("boot", 0).PublicKey, &c.key("standby", 0).PublicKey
	return c, nil
}

// key follows from the secret, what the key is for, and a number.
func (c *Crowd) key(purpose string, number int) *ecdsa.PrivateKey {
	for try := uint64(0); ; try++ {
		text := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte(purpose+" "), uint64(number)), try)
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), c.derive(text))
		if err == nil { // all but one of some 2^32 numbers are below the curve's order
			return key
		}
	}
}

func (c *Crowd) derive(text []byte) []byte {
	mac := hmac.New(sha256.New, c.secret)
	mac.Write(text)
	return mac.Sum(nil)
}

// Anchor is the file of a trust folder by which a verifier trusts the manufacturer.
func (c *Crowd) Anchor() ([]byte, error) {
	text := fmt.Sprintf("issuer: %s\noemid: %s\ntacs: [\"*\"]\nstorage_kinds: [%s]\n", issuer, oemid, attest.StorageTPMDiscrete)
	for _, k := range []struct {
		field string
		key   *ecdsa.PublicKey
	}{{"credential_keys:\n  - ", &c.oem.PublicKey}, {"nv_key: ", c.profile.NVKey}, {"boot_key: ", c.profile.BootPrimary}, {"boot_key_standby: ", c.profile.BootStandby}} {
		der, err := x509.MarshalPKIXPublicKey(k.key)
		if err != nil {
			return nil, err
		}
		block := strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
		text += k.field + "|\n    " + strings.ReplaceAll(block, "\n", "\n    ") + "\n"
	}
	return []byte(text), nil
}

// device is one of the crowd.
type device struct {
	crowd   *Crowd
	number  int
	imei    imei.IMEI
	private *ecdsa.PrivateKey // nil until it is needed
	signer  attest.Signer     // likewise
	kid     attest.KeyID
}

// device makes the one of a number below [MaxDevices].
func (c *Crowd) device(number int) (*device, error) {
	if number < 0 || number >= MaxDevices {
		return nil, errors.New("the crowd is not so large")
	}
	id, err := imei.FromBody(fmt.Sprintf("%014d", firstIMEI+number))
	return &device{crowd: c, number: number, imei: id}, err
}

func (d *device) key() *ecdsa.PrivateKey {
	if d.private == nil {
		d.private = d.crowd.key("device", d.number)
	}
	return d.private
}

// impi is the private identity of the device's subscriber (TS 23.003 clause 13.3).
func (d *device) impi() string {
	return fmt.Sprintf("%s%010d@ims.mnc001.mcc001.3gppnetwork.org", network, d.number)
}

// urn is what the device shows to the network (RFC 7254).
func (d *device) urn() string {
	body := d.imei.Body()
	return fmt.Sprintf("urn:gsma:imei:%s-%s-0", body[:8], body[8:])
}

// credential is the manufacturer's statement on the device.
func (d *device) credential() ([]byte, error) {
	c := attest.Credential{Issuer: issuer, IssuedAt: time.Unix(1, 0), Key: &d.key().PublicKey, Slots: []imei.IMEI{d.imei}, OEMID: oemid,
		HWModel: []byte("bench"), Serial: 1, ClientClass: 3, Storage: attest.Storage{Kind: attest.StorageTPMDiscrete, Boot: d.crowd.profile.Boot,
			NV: d.crowd.profile.Variant, RollbackProtected: true}}
	copy(c.Storage.RecordID[:], d.crowd.derive(fmt.Appendf(nil, "record %d", d.number)))
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	if err != nil {
		return nil, err
	}
	if c.Storage.KeyName, err = d.crowd.profile.KeyName(c.Key, binding); err != nil {
		return nil, err
	}
	signer, err := attest.NewSigner(d.crowd.oem)
	if err != nil {
		return nil, err
	}
	return attest.SignCredential(nil, c, signer, attest.KeyIDOf(&d.crowd.oem.PublicKey))
}

// token is the device's evidence for a nonce (profile A), with the Credential beside it unless that is nil.
func (d *device) token(nonce attest.Nonce, credential []byte) ([]byte, error) {
	const asked = 1 | 8 // AT+CGSN=1 and AT+CGSN
	claims := attest.Claims{Nonce: nonce, Provisioned: []imei.IMEI{d.imei}, Measurements: []attest.Measurement{attest.MeasuredEqual},
		Registration: true, Observed: []attest.Observed{{Slot: 1, IMEI: d.imei, Methods: asked}}, ReadingAge: time.Millisecond}
	if err := d.prepare(); err != nil {
		return nil, err
	}
	return attest.SignEvidence(nil, claims, d.signer, d.kid, attest.Enclosure{Credential: credential})
}

// prepare makes what a device has of itself.
func (d *device) prepare() (err error) {
	if d.signer == nil {
		d.kid = attest.KeyIDOf(&d.key().PublicKey)
		d.signer, err = attest.NewSigner(d.key())
	}
	return err
}
