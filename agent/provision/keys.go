package provision

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/youmark/pkcs8"

	"imei-attest/agent/softvault/privatefile"
)

// Duty is what one of the manufacturer's four private keys is for.
type Duty uint8

// The duties, in the order the keys are made.
const (
	DutyCredential Duty = iota // signs Credentials; P-256 or P-384
	DutyNV                     // allows to write, lock and delete records; P-256
	DutyBoot                   // approves boot states; P-256
	DutyStandby                // approves them when the boot key is lost or compromised; P-256
)

var duties = [...]struct {
	name, file string
	key        func(*OEM) *crypto.Signer
}{
	DutyCredential: {"credential", "credential.key", func(o *OEM) *crypto.Signer { return &o.Credential }},
	DutyNV:         {"NV", "nv.key", func(o *OEM) *crypto.Signer { return &o.NV }},
	DutyBoot:       {"boot", "boot.key", func(o *OEM) *crypto.Signer { return &o.Boot }},
	DutyStandby:    {"standby boot", "boot-standby.key", func(o *OEM) *crypto.Signer { return &o.Standby }},
}

// Duties are all four.
func Duties() []Duty { return []Duty{DutyCredential, DutyNV, DutyBoot, DutyStandby} }

// String is the name of the key.
func (d Duty) String() string { return duties[d].name }

// File is the name of the key's file in the manufacturer's folder. It holds PEM, or one line with the pkcs11: URI
// (RFC 7512) of a key in a token.
func (d Duty) File() string { return duties[d].file }

func (d Duty) of(o *OEM) *crypto.Signer { return duties[d].key(o) }

// The labels of PEM (RFC 7468 sections 10, 11 and 13).
const pemPrivate, pemEncrypted, pemPublic = "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY"

// TokenScheme begins the name of a key in a PKCS #11 token (RFC 7512 section 2.3).
const TokenScheme = "pkcs11:"

// ErrKeyLocked means that a private key could not be opened: no passphrase or a wrong one, no token, no PIN.
var ErrKeyLocked = errors.New("the private key stays locked")

// KeyOpener opens private keys. The zero value opens those that lie unencrypted in a file and no others.
type KeyOpener struct {
	Passphrase func(path string) ([]byte, error)       // of an encrypted file
	Token      func(uri string) (crypto.Signer, error) // a key in a PKCS #11 token
	Plain      func(path string)                       // is told of each file that is not encrypted
}

// open reads the key of a file: PEM, encrypted or not, or the URI of a key in a token.
func (k KeyOpener) open(path string) (crypto.Signer, error) {
	text, err := privatefile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("the manufacturer's keys: %w (made by imei-provision oem-key)", err)
	}
	if uri := strings.TrimSpace(string(text)); strings.HasPrefix(uri, TokenScheme) {
		if k.Token == nil {
			return nil, fmt.Errorf("%w: %s names a key in a PKCS #11 token, and none can be opened here", ErrKeyLocked, path)
		}
		return k.Token(uri)
	}
	der, err := k.decrypt(path, text)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s is not a PKCS #8 key", path)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an ECDSA key", path)
	}
	return key, nil
}

// decrypt gives the PKCS #8 key in one block of PEM, in the clear.
func (k KeyOpener) decrypt(path string, text []byte) ([]byte, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemPrivate && block.Type != pemEncrypted || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("%s is not one %q or %q in PEM", path, pemPrivate, pemEncrypted)
	}
	if block.Type == pemPrivate {
		if k.Plain != nil {
			k.Plain(path)
		}
		return block.Bytes, nil
	}
	if k.Passphrase == nil {
		return nil, fmt.Errorf("%w: %s is encrypted, and no passphrase was given", ErrKeyLocked, path)
	}
	passphrase, err := k.Passphrase(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyLocked, path, err)
	}
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w: %s: the passphrase is empty", ErrKeyLocked, path)
	}
	key, err := pkcs8.ParsePKCS8PrivateKeyECDSA(block.Bytes, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: wrong passphrase, or no ECDSA key in PBES2 (%w)", ErrKeyLocked, path, err)
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// encryption is PBES2 (RFC 8018 section 6.2) as `openssl pkcs8 -topk8 -v2 aes-256-cbc` reads and writes it. The
// number of iterations is OWASP's of 2023 for PBKDF2 with HMAC-SHA-256.
var encryption = &pkcs8.Opts{
	Cipher:  pkcs8.AES256CBC,
	KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: 600_000, HMACHash: crypto.SHA256},
}

// writeKey keeps a new key, encrypted unless the passphrase is empty.
func writeKey(path string, key *ecdsa.PrivateKey, passphrase []byte) error {
	label, write := pemPrivate, func() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(key) }
	if len(passphrase) > 0 {
		label, write = pemEncrypted, func() ([]byte, error) { return pkcs8.MarshalPrivateKey(key, passphrase, encryption) }
	}
	der, err := write()
	if err != nil {
		return err
	}
	return privatefile.Create(path, pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// absentKey is the public half of a key that is kept elsewhere: it computes Names and refuses to sign.
type absentKey struct {
	duty   Duty
	public *ecdsa.PublicKey
}

// Public implements [crypto.Signer].
func (k absentKey) Public() crypto.PublicKey { return k.public }

// Sign implements [crypto.Signer].
func (k absentKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, fmt.Errorf("%w: the %s key is not here: bring it from where it is kept", ErrKeyLocked, k.duty)
}
