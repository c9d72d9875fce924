package verifier_test

import (
	"crypto/ecdsa"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

var mallory = attesttest.Key("mallory")

// signed is evidence with any key under any key id.
func signed(n attest.Nonce, key *ecdsa.PrivateKey, kid attest.KeyID, carried []byte) []byte {
	c := attesttest.Claims()
	c.Nonce = n
	raw, err := attest.SignEvidence(nil, c, attesttest.Signer(key), kid, attest.Enclosure{Credential: carried})
	if err != nil {
		panic(err)
	}
	return raw
}

var deviceKID = attest.KeyIDOf(&attesttest.DeviceKey.PublicKey)

// forged names the device's key and is signed by another.
func forged(n attest.Nonce, carried []byte) []byte { return signed(n, mallory, deviceKID, carried) }

// issued is a Credential signed by any key under any key id.
func issued(c attest.Credential, key *ecdsa.PrivateKey, kid attest.KeyID) []byte {
	raw, err := attest.SignCredential(nil, c, attesttest.Signer(key), kid)
	if err != nil {
		panic(err)
	}
	return raw
}

const (
	keyUnknown        = "slot1 warning: key-unknown"
	credentialInvalid = "slot1 contraindicated: credential-invalid"
	keyNameMismatch   = "slot1 contraindicated: key-name-mismatch"
	signatureInvalid  = "slot1 contraindicated: signature-invalid"
	unexpected        = "slot1 none: unexpected-evidence"
	affirmed          = "slot1 affirming: imei-consistent" + good
)

// endorsements is step 2 at first contact: what a Credential and a key may be wrong in.
var endorsements = []struct {
	name  string
	token func(l *lab) []byte
	want  string
}{
	{"a right one is affirmed", func(l *lab) []byte { return l.token(credential()) }, affirmed},
	{"a manufacturer that is not trusted here is not known", func(l *lab) []byte {
		return l.token(issued(endorsed(), mallory, attest.KeyIDOf(&mallory.PublicKey)))
	}, keyUnknown},
	{"a Credential forged in a manufacturer's name is invalid", func(l *lab) []byte {
		return l.token(issued(endorsed(), mallory, attest.KeyIDOf(&attesttest.OEMKey.PublicKey)))
	}, credentialInvalid},
	{"another issuer than the key's is invalid", func(l *lab) []byte {
		return l.token(credential(func(c *attest.Credential) { c.Issuer = "tag:example,2026:other" }))
	}, credentialInvalid},
	{"another OEM id than the key's is invalid", func(l *lab) []byte {
		return l.token(credential(func(c *attest.Credential) { c.OEMID = attest.PENOEMID(1) }))
	}, credentialInvalid},
	{"a TAC that the key may not endorse is invalid", func(l *lab) []byte { return l.token(credential(slots(stranger)), provisioned(stranger)) },
		credentialInvalid},
	{"a TAC that the key may not endorse is invalid in a further slot", func(l *lab) []byte { return l.token(credential(slots(id1, stranger))) },
		credentialInvalid},
	{"a kcwt that is no Credential is invalid", func(l *lab) []byte { return l.token([]byte{0xd2, 1}) }, credentialInvalid},
	{"a key whose Name is not the policy's is a mismatch", func(l *lab) []byte {
		c := endorsed()
		c.Storage.KeyName[33] ^= 1
		return l.token(attesttest.SignedCredential(c))
	}, keyNameMismatch},
	{"a Name for an unmeasured boot is a mismatch where measured boot is claimed", func(l *lab) []byte {
		c := endorsed(unmeasured)
		c.Storage.Boot = attest.BootMeasured
		return l.token(attesttest.SignedCredential(c))
	}, keyNameMismatch},
	{"a Name for other IMEIs is a mismatch", func(l *lab) []byte {
		c := endorsed(slots(id2))
		c.Slots = []imei.IMEI{id1}
		return l.token(attesttest.SignedCredential(c))
	}, keyNameMismatch},
	{"a Name for another record is a mismatch", func(l *lab) []byte {
		c := endorsed()
		c.Storage.RecordID[0] ^= 1
		return l.token(attesttest.SignedCredential(c))
	}, keyNameMismatch},
	{"a signature by another key is invalid", func(l *lab) []byte { return forged(l.mint(), credential()) }, signatureInvalid},
	{"the key id of another key is invalid", func(l *lab) []byte {
		return signed(l.mint(), attesttest.DeviceKey, attest.KeyIDOf(&mallory.PublicKey), credential())
	}, signatureInvalid},
	{"a Credential for another key is invalid", func(l *lab) []byte {
		return l.token(credential(func(c *attest.Credential) { c.Key = &mallory.PublicKey }))
	}, signatureInvalid},
	{"an agent that claims another provisioned IMEI is judged by the Credential's", func(l *lab) []byte {
		return l.token(credential(), provisioned(id2), modem(says(id2)))
	}, "slot1 contraindicated: imei-tampered measres-contradiction" + good},
	{"an agent that claims a further provisioned IMEI contradicts the Credential", func(l *lab) []byte {
		return l.token(credential(), provisioned(id1, id2), modem(says(id1), says(id2)))
	}, "slot1 warning: imei-consistent measres-contradiction" + good},
	{"an agent that claims another order of slots contradicts the Credential", func(l *lab) []byte {
		return l.token(dual, provisioned(id2, id1), modem(says(id2), says(id1)))
	}, "slot1 warning: imei-consistent slots-swapped measres-contradiction" + good +
		" | slot2 warning: imei-consistent slots-swapped measres-contradiction" + good},
	{"a key that nobody showed a Credential for is not known", func(l *lab) []byte { return l.token(nil) }, keyUnknown},
	{"no bytes at all are unexpected", func(*lab) []byte { return []byte{} }, unexpected},
	{"a Credential in the place of evidence is unexpected", func(*lab) []byte { return credential() }, unexpected},
}

func TestEndorsement(t *testing.T) {
	for _, c := range endorsements {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			if got := l.judge(c.token(l), nil); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestANameIsOfOneKindOfDevice of a manufacturer, and of one manufacturer: what devices have in common is remembered, apart for each.
func TestANameIsOfOneKindOfDevice(t *testing.T) {
	l, nothing := newLab(t), func(*attest.Credential) {}
	kinds := [][2]func(*attest.Credential){{nothing, nothing}, {owners, nothing}, {nothing, unmeasured}, {owners, unmeasured}}
	for range 2 {
		for i, said := range kinds {
			for j, named := range kinds {
				c := endorsed(said[0], said[1])
				c.Storage.KeyName = endorsed(named[0], named[1]).Storage.KeyName
				got := l.judge(l.token(attesttest.SignedCredential(c)), nil)
				if (got == keyNameMismatch) != (i != j) {
					t.Errorf("kind %d with the Name of kind %d: got %s", i, j, got)
				}
			}
		}
	}
	other := anchor()
	other.BootKeyStandby = public("contractor")
	changed := trusting(other)
	changed.Generation = 2
	l.SetTrust(changed)
	if got := l.judge(l.token(credential()), nil); got != keyNameMismatch {
		t.Errorf("under other boot keys: got %s, want %s", got, keyNameMismatch)
	}
}

func TestAKindThatTheManufacturerMayNotVouchForIsInvalid(t *testing.T) {
	l, a := newLab(t), anchor()
	a.StorageKinds = []attest.StorageKind{attest.StorageTPMDiscrete}
	l.SetTrust(trusting(a))
	for _, k := range []attest.StorageKind{attest.StorageTPMFirmware, attest.StorageSoftware, attest.StorageOther} {
		if got := l.judge(l.token(credential(kind(k))), nil); got != credentialInvalid {
			t.Errorf("%s: got %s, want %s", k, got, credentialInvalid)
		}
	}
}

// TestEveryMalformedVectorIsUnexpected: what the shared vectors call malformed is nobody's forgery.
func TestEveryMalformedVectorIsUnexpected(t *testing.T) {
	vectors, _, err := attesttest.Load()
	if err != nil {
		t.Fatal(err)
	}
	l, tried := newLab(t), 0
	for _, v := range vectors {
		if v.Kind != "evidence" || v.Expected == "ok" || v.Expected == "signature" {
			continue
		}
		tried++
		if got := l.judge(v.Bytes(), nil); got != unexpected {
			t.Errorf("%s (%s): got %s, want %s", v.ID, v.Title, got, unexpected)
		}
	}
	if tried < 20 {
		t.Errorf("%d vectors tried, there must be at least 20", tried)
	}
}

func TestAKnownDeviceNeedNotShowItsCredentialAgain(t *testing.T) {
	l := newLab(t)
	if got := l.judge(l.token(credential()), nil); got != affirmed {
		t.Fatalf("first contact: %s", got)
	}
	if got := l.judge(l.token(nil), nil); got != affirmed {
		t.Errorf("after first contact: got %s, want %s", got, affirmed)
	}
	// Another verifier on the same store, as after a restart.
	var err error
	if l.Verifier, err = verifier.New(verifier.Config{Store: l.store, Nonces: l.nonces, Trust: trusting(anchor())}); err != nil {
		t.Fatal(err)
	}
	if got := l.judge(l.token(nil), nil); got != affirmed {
		t.Errorf("after a restart: got %s, want %s", got, affirmed)
	}
}

func TestANewGenerationOfTrustJudgesAnew(t *testing.T) {
	otherIssuer, none := anchor(), &verifier.Trust{Generation: 2}
	otherIssuer.Issuer = "tag:example,2026:other"
	narrower := trusting(otherIssuer)
	narrower.Generation = 2
	for _, c := range []struct {
		name  string
		trust *verifier.Trust
		want  string
	}{
		{"a manufacturer that was removed is not known", none, keyUnknown},
		{"a manufacturer that may say less is invalid", narrower, credentialInvalid},
	} {
		l := newLab(t)
		if got := l.judge(l.token(credential()), nil); got != affirmed {
			t.Fatalf("first contact: %s", got)
		}
		l.SetTrust(c.trust)
		for _, carried := range [][]byte{nil, credential()} {
			if got := l.judge(l.token(carried), nil); got != c.want {
				t.Errorf("%s: got %s, want %s", c.name, got, c.want)
			}
		}
	}
}

// TestACredentialIsVerifiedOnceForEachTrust: also when the verifier was started anew, and the device shows it again.
func TestACredentialIsVerifiedOnceForEachTrust(t *testing.T) {
	l := newLab(t)
	if got := l.judge(l.token(credential()), nil); got != affirmed {
		t.Fatalf("first contact: %s", got)
	}
	l.restart(&spoiling{Store: l.store, spoil: true})
	if got := l.judge(l.token(nil), nil); got != affirmed {
		t.Errorf("what the store kept was verified again: %s", got)
	}
	next := trusting(anchor())
	next.Generation = 2
	l.SetTrust(next)
	if got := l.judge(l.token(nil), nil); got != credentialInvalid {
		t.Errorf("under another trust: got %s, want %s", got, credentialInvalid)
	}
	if got := l.judge(l.token(credential()), nil); got != affirmed {
		t.Errorf("a good one, carried: got %s", got)
	}
}
