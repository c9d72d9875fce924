package attesttest

import (
	"bytes"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// Made-up IMEIs: none belongs to a person. IMEI1 and IMEI2 are the slots of the sample device, OtherIMEI is a stranger's.
const (
	IMEI1     = "490154203237518"
	IMEI2     = "356938035643809"
	OtherIMEI = "868719076603444"
)

// MustIMEI parses a made-up IMEI.
func MustIMEI(digits string) imei.IMEI {
	id, err := imei.Parse(digits)
	if err != nil {
		panic(err)
	}
	return id
}

// Now is the fixed time of the samples.
var Now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// DeviceKey and OEMKey sign the samples.
var (
	DeviceKey = Key("device")
	OEMKey    = Key("oem credential")
)

// Nonce is the sample nonce of the default size.
func Nonce() attest.Nonce { return bytes.Repeat([]byte{0x5a}, attest.DefaultNonceBytes) }

// Claims are those of an honest device with one slot.
func Claims() attest.Claims {
	id := MustIMEI(IMEI1)
	return attest.Claims{
		IssuedAt: Now, Nonce: Nonce(), Provisioned: []imei.IMEI{id},
		Measurements: []attest.Measurement{attest.MeasuredEqual}, Registration: true,
		Observed:   []attest.Observed{{Slot: 1, IMEI: id, Methods: 1 | 8}},
		ReadingAge: 12 * time.Millisecond,
	}
}

// Credential is a manufacturer's statement on DeviceKey in software storage.
func Credential() attest.Credential {
	return attest.Credential{
		Issuer: "tag:example,2026:oem", IssuedAt: Now, Key: &DeviceKey.PublicKey, Slots: []imei.IMEI{MustIMEI(IMEI1)},
		OEMID: attest.PENOEMID(32473), HWModel: []byte("sample"), Serial: 1, ClientClass: 3,
		Storage: attest.Storage{Kind: attest.StorageSoftware, Boot: attest.BootUnmeasured,
			RecordID: [16]byte(bytes.Repeat([]byte{7}, 16))},
	}
}

// SignedCredential is c, signed by OEMKey.
func SignedCredential(c attest.Credential) []byte {
	raw, err := attest.SignCredential(nil, c, Signer(OEMKey), attest.KeyIDOf(&OEMKey.PublicKey))
	if err != nil {
		panic(err)
	}
	return raw
}

// Token is c, signed by DeviceKey, with a Credential beside it unless that is nil.
func Token(c attest.Claims, credential []byte) []byte {
	raw, err := attest.SignEvidence(nil, c, Signer(DeviceKey), attest.KeyIDOf(&DeviceKey.PublicKey), attest.Enclosure{Credential: credential})
	if err != nil {
		panic(err)
	}
	return raw
}
