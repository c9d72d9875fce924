package attest

import "strconv"

// Status is the status of an attestation result (EAR's ear_status, draft-ietf-rats-ear). The zero value is none:
// nothing is affirmed by forgetting to set it.
type Status uint8

// The four tiers of EAR.
const (
	StatusNone            Status = 0
	StatusAffirming       Status = 2
	StatusWarning         Status = 32
	StatusContraindicated Status = 96
)

// String is the tier's name in EAR.
func (s Status) String() string {
	switch s {
	case StatusNone:
		return "none"
	case StatusAffirming:
		return "affirming"
	case StatusWarning:
		return "warning"
	case StatusContraindicated:
		return "contraindicated"
	}
	return "status " + strconv.Itoa(int(s))
}

// ParseStatus reads what String writes; anything else is none.
func ParseStatus(name string) Status {
	for _, s := range []Status{StatusAffirming, StatusWarning, StatusContraindicated} {
		if s.String() == name {
			return s
		}
	}
	return StatusNone
}

// severity orders the tiers from good to bad: what is not affirmed is worse than what is, and a warning is more
// than silence.
func (s Status) severity() int {
	switch s {
	case StatusAffirming:
		return 0
	case StatusNone:
		return 1
	case StatusWarning:
		return 2
	}
	return 3
}

// Worse returns the worse of two tiers: affirming, none, warning, contraindicated.
func (s Status) Worse(other Status) Status {
	if other.severity() > s.severity() {
		return other
	}
	return s
}

// Tier grades the IMS client that registered, by what is known of its architecture. The zero value is none.
type Tier uint8

// T1 is a client that may be self-contained and downloaded, T2 one over the ME's own registration, T3 one embedded
// in the ME with its identity bound to the registration.
const (
	TierNone Tier = iota
	T1
	T2
	T3
)

// String is "T1" to "T3", or "none".
func (t Tier) String() string {
	if t == TierNone || t > T3 {
		return "none"
	}
	return "T" + strconv.Itoa(int(t))
}

// Claim is one entry of the trust vector: -128..127, graded as AR4SI says (draft-ietf-rats-ar4si section 2.3).
type Claim int8

// The values this project uses.
const (
	ClaimNone            Claim = 0 // no claim made
	ClaimUnexpected      Claim = 1 // evidence of another kind than expected
	ClaimAffirming       Claim = 2 // recognised, trustworthy
	ClaimApproved        Claim = 3 // recognised, approved for what was looked at
	ClaimWarning         Claim = 32
	ClaimContraindicated Claim = 96
	ClaimCryptoFailed    Claim = 99 // a signature that does not verify, and nothing else
)

// status is the tier of one entry's value (draft-ietf-rats-ar4si section 2.3.2).
func (c Claim) status() Status {
	switch {
	case c >= -1 && c <= 1:
		return StatusNone
	case c < 32 && c > -32:
		return StatusAffirming
	case c < 96 && c > -96:
		return StatusWarning
	}
	return StatusContraindicated
}

// Entry names one claim of the trust vector.
type Entry uint8

// The entries of the trust vector, in AR4SI's order.
const (
	InstanceIdentity Entry = iota
	Configuration
	Executables
	FileSystem
	Hardware
	RuntimeOpaque
	StorageOpaque
	SourcedData
	entryCount
)

// String is the entry's name in EAR.
func (e Entry) String() string {
	return [...]string{"instance-identity", "configuration", "executables", "file-system", "hardware", "runtime-opaque",
		"storage-opaque", "sourced-data"}[e]
}

// TrustVector is an AR4SI trustworthiness vector, indexed by Entry. Sourced-data stays 0: by the letter an
// unattested modem would be a warning for ever, so the comparison is expressed in instance-identity.
type TrustVector [entryCount]Claim
