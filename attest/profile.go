package attest

// Every number and name of the wire formats stands in this file; profile.cddl says the same in CDDL.

// EvidenceProfile is the eat_profile claim of Evidence (RFC 9711 section 4.3.2).
const EvidenceProfile = "tag:imei-attest.example,2026:evidence/1"

// EvidenceMediaType is the media type of Evidence (RFC 9782).
const EvidenceMediaType = `application/eat+cwt; eat_profile="` + EvidenceProfile + `"`

// CoAP content format of application/eat+cwt (RFC 9782), the `typ` header parameter of Evidence (RFC 9596).
const contentFormatEAT = 263

// Sizes in bytes.
const (
	// MaxTokenBytes is the longest Evidence or Credential that is looked at.
	MaxTokenBytes = 8 << 10
	// MaxCredentialBytes keeps a Credential inside the record of the secure storage: 768 less its header of 42,
	// and a reserve.
	MaxCredentialBytes = 720
	minNonceBytes      = 8  // RFC 9711 section 4.1
	maxNonceBytes      = 64 // RFC 9711 section 4.1
	maxObservedText    = 32
	maxModemText       = 32
	maxIssuerBytes     = 64
	maxHWModelBytes    = 32
	subscriberBytes    = 32 // SHA-256
	signatureHalves    = 2
)

// MaxSlots is how many IMEIs one device may have.
const MaxSlots = 4

// Limits of the CBOR decoder.
const (
	maxNesting  = 8
	maxMapPairs = 64
	maxElements = 64
)

// cborTagSign1 marks a COSE_Sign1 message (RFC 9052 section 2).
const cborTagSign1 = 18

// COSE header parameters (RFC 9052 section 3.1, RFC 9528, RFC 9596).
const (
	headerAlg      = 1
	headerCrit     = 2
	headerKeyID    = 4
	headerKCWT     = 13 // a CWT whose cnf is the key (RFC 9528)
	headerType     = 16 // RFC 9596
	headerTPMProof = -70004
)

// COSE_Key parameters and values (RFC 9053 section 7.1).
const (
	keyTypeEC2 = 2
	curveP256  = 1
	curveP384  = 2
)

// Names of the parts of measres (RFC 9711 section 4.2.16) and of submods for further slots.
const (
	measuredModem = "modem"
	slotPrefix    = "slot"
)

// intended uses (RFC 9711 section 4.3.3).
const (
	useGeneric      = 1
	useRegistration = 2
)
