// Package corim exchanges what a manufacturer says in its file of the trust folder as a Concise Reference Integrity Manifest
// (draft-ietf-rats-corim-11). Start with [Import] and [Export].
//
// It knows a subset: one CoMID with triples 0, 3 and 10, of which the table in verifier/README.md says what they mean. Whatever is not
// of the subset refuses the whole document, and the error names the place. What [Decode] accepts, [Document.Encode] writes as the same
// bytes. A document is believed only when a credential key signed it that the folder holds for the same manufacturer; it adds
// to that manufacturer's file and never takes away, so that an old one cannot take back a revocation.
package corim

import (
	"time"

	"imei-attest/attest"
	"imei-attest/verifier/trust"
)

// Profile names this subset, as the corim-map's profile (section 4.1.4).
const Profile = "tag:imei-attest.example,2026:corim/1"

// Keys of the maps, and CBOR tags. The sections are those of draft-ietf-rats-corim-11.
const (
	tagCoRIM = 501 // section 4.1
	tagCoMID = 506 // section 5
	tagTime  = 1   // RFC 8949 section 3.4.2
	tagURI   = 32  // RFC 8949 section 3.4.5.3
	tagKey   = 554 // tagged-pkix-base64-key-type, section 5.1.4.6
	tagBytes = 560 // section 7.8

	corimID, corimTags, corimProfile, corimValidity = 0, 1, 3, 4 // corim-map, section 4.1
	notBefore, notAfter                             = 0, 1       // validity-map, section 7.3

	comidIdentity, comidTriples = 1, 4 // concise-mid-tag, section 5.1
	tagID                       = 0    // tag-identity-map, section 5.1.1

	tripleReference, tripleKey, tripleCondition = 0, 3, 10 // triples-map, section 5.1.4

	environmentClass, environmentGroup = 0, 2    // environment-map, sections 5.1.4.1 and 5.1.4.4
	classID, classVendor, classModel   = 0, 1, 2 // class-map, section 5.1.4.2

	measurementKey, measurementValue                = 0, 1        // measurement-map, section 5.1.4.5
	valueVersion, valueDigests, valueRaw, valueKeys = 0, 2, 4, 13 // measurement-values-map, section 5.1.4.5.2
	valueRevisions, valueVouched                    = -70031, -70032
	versionText                                     = 0 // version-map, section 5.1.4.5.3
	digestSHA256                                    = 1 // as the draft's own examples name it
)

// The measured elements (section 5.1.4.5.1). Each is a list of a manufacturer's file.
const (
	ElementFirmware      = "firmware"       // of the modem, as it tells its revision
	ElementCredential    = "credential"     // a Credential, by its SHA-256
	ElementDeviceKey     = "device-key"     // by its key id
	ElementCredentialKey = "credential-key" // by its key id
	ElementTPMFirmware   = "tpm-firmware"   // by its version, big-endian
)

// Document is the content of a CoRIM of the subset.
type Document struct {
	ID                  string    // 1..128 printable bytes; of the CoRIM and of the one CoMID in it
	NotBefore, NotAfter time.Time // UTC, whole seconds; both ends are valid
	Issuer              string    // the manufacturer's URI
	OEMID               attest.OEMID
	References          []Reference  // triples 0
	Keys                []string     // triples 3: PEM, as [trust.FormatKey] writes it
	Withdrawals         []Withdrawal // triples 10
}

// Reference is a revision of the firmware that the manufacturer approves for a model.
type Reference struct{ Model, Revision string }

func (r Reference) additions() *trust.Additions {
	return &trust.Additions{Models: []trust.Model{{HWModel: r.Model, Firmware: []string{r.Revision}}}}
}

// Withdrawal is something that the manufacturer vouches for no longer.
type Withdrawal struct {
	Element  string
	Value    []byte              // of all elements but ElementFirmware
	Firmware trust.FirmwareRange // of ElementFirmware
}
