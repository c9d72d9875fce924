package attest

import "slices"

// Reason is the stable code of one finding of the appraisal.
type Reason string

// The reasons. What each says, rests on and does is in one table, [Reason.Info].
const (
	ReasonIMEIConsistent    Reason = "imei-consistent"
	ReasonIMEIReprogrammed  Reason = "imei-reprogrammed"
	ReasonIMEITampered      Reason = "imei-tampered"
	ReasonIMEIBlank         Reason = "imei-blank"
	ReasonIMEIZero          Reason = "imei-zero"
	ReasonIMEIRepeated      Reason = "imei-repeated"
	ReasonIMEITestRange     Reason = "imei-test-range"
	ReasonIMEIUnreadable    Reason = "imei-unreadable"
	ReasonIMEINotRead       Reason = "imei-not-read"
	ReasonIMEIAmbiguous     Reason = "imei-ambiguous"
	ReasonIMEISpareDigit    Reason = "imei-spare-digit"
	ReasonIMEICheckDigit    Reason = "imei-check-digit"
	ReasonSlotsSwapped      Reason = "slots-swapped"
	ReasonMeasresContradict Reason = "measres-contradiction"

	ReasonNotEndorsed       Reason = "not-endorsed"
	ReasonKeyUnknown        Reason = "key-unknown"
	ReasonCredentialRevoked Reason = "credential-revoked"
	ReasonKeyRevoked        Reason = "key-revoked"
	ReasonCredentialInvalid Reason = "credential-invalid"
	ReasonKeyNameMismatch   Reason = "key-name-mismatch"
	ReasonSignatureInvalid  Reason = "signature-invalid"
	ReasonDuplicateKey      Reason = "duplicate-key"
	ReasonSuperseded        Reason = "superseded"

	ReasonNonceReused        Reason = "nonce-reused"
	ReasonNonceExpired       Reason = "nonce-expired"
	ReasonUnexpectedEvidence Reason = "unexpected-evidence"
	ReasonEvidenceMissing    Reason = "evidence-missing"
	ReasonStale              Reason = "stale"
	ReasonStateRegressed     Reason = "state-regressed"
	ReasonRollbackUnknown    Reason = "rollback-unknown"
	ReasonTPMCleared         Reason = "tpm-cleared"

	ReasonRegistrationSpoofed Reason = "registration-spoofed"
	ReasonNASIMSMismatch      Reason = "nas-ims-mismatch"
	ReasonSubscriberBound     Reason = "subscriber-bound"
	ReasonSubscriberClaimed   Reason = "subscriber-claimed"
	ReasonSubscriberUnbound   Reason = "subscriber-unbound"
	ReasonSubscriberDiffers   Reason = "subscriber-differs"
	ReasonDuplicateSubscriber Reason = "duplicate-subscriber"
	ReasonEmergency           Reason = "emergency"
	ReasonUnbound             Reason = "unbound"
	ReasonURNMalformed        Reason = "urn-malformed"
	ReasonURNNonconformant    Reason = "urn-nonconformant"

	ReasonBootApproved   Reason = "boot-approved"
	ReasonBootUnmeasured Reason = "boot-unmeasured"
	ReasonEmulatedVault  Reason = "emulated-vault"
	ReasonSoftwareVault  Reason = "software-vault"
	ReasonHardwareVault  Reason = "hardware-vault"

	ReasonWeaknessOpen       Reason = "weakness-open"
	ReasonWeaknessUnremedied Reason = "weakness-unremedied"
	ReasonWeaknessRemedied   Reason = "weakness-remedied"
)

// Effect sets one entry of the trust vector, if that makes it worse.
type Effect struct {
	Entry Entry
	Value Claim
}

// noFloor is the floor of a reason that lowers nothing. It is not the zero value: a reason that the table forgot
// affirms nothing.
const noFloor = StatusAffirming

// ReasonInfo is what stands behind a reason's code.
type ReasonInfo struct {
	Sentence string // for people, without personal data
	Clause   string // what the check rests on
	Effects  []Effect
	Floor    Status // no better status than this
}

// Info returns the table's line; an unknown code affirms nothing.
func (r Reason) Info() ReasonInfo {
	if info, ok := reasons[r]; ok {
		return info
	}
	return ReasonInfo{Sentence: "a reason this version does not know"}
}

// Reasons lists all codes in alphabetical order.
func Reasons() []Reason {
	codes := make([]Reason, 0, len(reasons))
	for code := range reasons {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return codes
}

func identity(value Claim) []Effect { return []Effect{{InstanceIdentity, value}} }

// cryptoFailed is every entry at 99 (draft-ietf-rats-ar4si section 2.3.4: cryptographic validation failed).
var cryptoFailed = func() (all []Effect) {
	for e := range entryCount {
		all = append(all, Effect{e, ClaimCryptoFailed})
	}
	return all
}()

// reasons is the one table of the appraisal: documentation, fronts and tests are made from it.
var reasons = map[Reason]ReasonInfo{
	ReasonIMEIConsistent:    {"The provisioned IMEI and the one the modem reports are the same, and so is the signalled one if there is one.", "TS 22.016 clause 2; TS 23.003 clause 6.2", identity(ClaimAffirming), noFloor},
	ReasonIMEIReprogrammed:  {"The modem reports another IMEI than the manufacturer provisioned, and the network is shown that other one.", "TS 22.016 clause 2", identity(ClaimContraindicated), StatusContraindicated},
	ReasonIMEITampered:      {"The modem reports another IMEI than the manufacturer provisioned.", "TS 22.016 clause 2", identity(ClaimContraindicated), StatusContraindicated},
	ReasonIMEIBlank:         {"The modem holds no IMEI.", "TS 22.016 clause 2", identity(ClaimContraindicated), StatusContraindicated},
	ReasonIMEIZero:          {"The modem reports an IMEI of zeros.", "TS 22.016 clause 2", identity(ClaimContraindicated), StatusContraindicated},
	ReasonIMEIRepeated:      {"The modem reports one digit repeated, a placeholder.", "TS 22.016 clause 2", identity(ClaimContraindicated), StatusContraindicated},
	ReasonIMEITestRange:     {"The modem reports an IMEI of the test range that is not the provisioned one.", "GSMA TS.06 (reporting body 00)", identity(ClaimContraindicated), StatusContraindicated},
	ReasonIMEIUnreadable:    {"What the modem answers is no IMEI: the device or its modem profile needs attention.", "TS 27.007 clause 5.4", nil, StatusWarning},
	ReasonIMEINotRead:       {"The modem's IMEI could not be read this time; ask again.", "TS 27.007 clause 5.4", nil, StatusNone},
	ReasonIMEIAmbiguous:     {"The modem tells different IMEIs by different commands: one of its answers is not its own, or it has several IMEIs and no profile says which is which.", "TS 27.007 clause 5.4", nil, StatusWarning},
	ReasonIMEISpareDigit:    {"The modem sends the spare digit 0 in place of the check digit; the 14 digits count.", "TS 23.003 clause 6.2.1", nil, noFloor},
	ReasonIMEICheckDigit:    {"The modem sends a wrong check digit; the 14 digits count.", "TS 23.003 Annex B", nil, noFloor},
	ReasonSlotsSwapped:      {"The modem reports the provisioned IMEIs in another order of slots.", "TS 22.016 clause 2", nil, noFloor},
	ReasonMeasresContradict: {"The agent's claims contradict each other or the manufacturer's statement: a faulty agent.", "RFC 9711 section 4.2.16", nil, StatusWarning},

	ReasonNotEndorsed:       {"No manufacturer has endorsed this IMEI to this verifier.", "RFC 9334 section 4.1", nil, StatusNone},
	ReasonKeyUnknown:        {"The key that signed is not known here, or its manufacturer is not trusted here.", "RFC 9334 section 4.1", nil, StatusWarning},
	ReasonCredentialRevoked: {"The manufacturer's statement for this device is revoked.", "RFC 8747 section 5", identity(ClaimContraindicated), StatusContraindicated},
	ReasonKeyRevoked:        {"The device key is revoked.", "RFC 8747 section 5", identity(ClaimContraindicated), StatusContraindicated},
	ReasonCredentialInvalid: {"The manufacturer's statement is malformed, does not verify, or says more than its key may.", "RFC 8392 section 7.2", identity(ClaimContraindicated), StatusContraindicated},
	ReasonKeyNameMismatch:   {"The device key is not the TPM key with the policy that the manufacturer's anchor demands.", "TPM 2.0 Part 1 section 16", identity(ClaimContraindicated), StatusContraindicated},
	ReasonSignatureInvalid:  {"The token's signature does not verify under the key endorsed for the device.", "RFC 9052 section 4.4", cryptoFailed, StatusContraindicated},
	ReasonDuplicateKey:      {"Another device key holds this IMEI, and this one does not supersede it.", "RFC 8747 section 3", identity(ClaimContraindicated), StatusContraindicated},
	ReasonSuperseded:        {"This device took the IMEI over from an earlier one, by a newer statement of the manufacturer or because that one's no longer counts.", "RFC 8392 section 3", nil, noFloor},

	ReasonNonceReused:        {"The token was presented before, elsewhere or for something else.", "RFC 9711 section 4.1", nil, StatusContraindicated},
	ReasonNonceExpired:       {"The challenge is expired or not ours; ask for a new one.", "RFC 9711 section 4.1", nil, StatusNone},
	ReasonUnexpectedEvidence: {"What was presented is not evidence of this profile.", "RFC 9711 section 4.3.2", identity(ClaimUnexpected), StatusNone},
	ReasonEvidenceMissing:    {"A device that can attest did not.", "RFC 9334 section 7", nil, StatusWarning},
	ReasonStale:              {"The evidence is older than the policy allows.", "RFC 9334 section 10", nil, StatusWarning},
	ReasonStateRegressed:     {"The device's secure storage went back to an earlier state, or there are two copies of it.", "TPM 2.0 Part 1 section 36", identity(ClaimContraindicated), StatusContraindicated},
	ReasonRollbackUnknown:    {"Nothing shows that the device's secure storage was not set back.", "TPM 2.0 Part 1 section 36", nil, StatusWarning},
	ReasonTPMCleared:         {"The TPM was cleared since it was last seen.", "TPM 2.0 Part 3 section 24.6", nil, noFloor},

	ReasonRegistrationSpoofed: {"The registration shows an IMEI that is not this device's.", "RFC 7255 section 8; TS 24.229 clause 5.1.1.2.1", nil, StatusContraindicated},
	ReasonNASIMSMismatch:      {"The IMEI of the IMS registration is not the one of the access network.", "TS 24.229 clause 5.1.1.2.1", nil, StatusWarning},
	ReasonSubscriberBound:     {"The evidence answers this subscriber's own authentication challenge.", "TS 33.203 clause 6.1", nil, noFloor},
	ReasonSubscriberClaimed:   {"The device names the subscriber that registers.", "TS 23.003 clause 13.3", nil, noFloor},
	ReasonSubscriberUnbound:   {"Nothing ties the evidence to the subscriber that registers.", "TS 33.203 clause 6.1", nil, StatusWarning},
	ReasonSubscriberDiffers:   {"The device names another subscriber than the one that registers.", "TS 23.003 clause 13.3", nil, StatusWarning},
	ReasonDuplicateSubscriber: {"Two subscribers use this IMEI in turns.", "RFC 5626 section 6", nil, StatusWarning},
	ReasonEmergency:           {"An emergency registration is never refused and not judged.", "TS 23.167 clause 4.1; RFC 7255 section 4", nil, StatusNone},
	ReasonUnbound:             {"The registration shows no IMEI.", "TS 23.003 clause 13.8", nil, StatusNone},
	ReasonURNMalformed:        {"The registration's IMEI URN is malformed.", "RFC 7254 section 4.2", nil, StatusNone},
	ReasonURNNonconformant:    {"The registration's IMEI URN carries a check digit, svn or vers that do not belong there.", "TS 23.003 clause 13.8; RFC 7255 section 5", nil, noFloor},

	ReasonBootApproved:   {"The device key signs only in a boot state that the manufacturer approved.", "TPM 2.0 Part 3 section 23.16", []Effect{{Executables, ClaimApproved}}, noFloor},
	ReasonBootUnmeasured: {"The device key is not bound to a measured boot.", "TPM 2.0 Part 1 section 17", []Effect{{Executables, ClaimWarning}}, StatusWarning},
	ReasonEmulatedVault:  {"The TPM is an emulation, as laboratories use it.", "draft-ietf-rats-ar4si section 2.3.4", []Effect{{Hardware, ClaimWarning}}, StatusWarning},
	ReasonSoftwareVault:  {"The device key and the IMEI are kept in a file, not in secure storage.", "draft-ietf-rats-ar4si section 2.3.4", []Effect{{StorageOpaque, ClaimWarning}, {Hardware, ClaimWarning}}, StatusWarning},
	ReasonHardwareVault:  {"The device key and the IMEI are kept in a TPM.", "TPM 2.0 Part 1 section 37", []Effect{{StorageOpaque, ClaimAffirming}, {Hardware, ClaimAffirming}}, noFloor},

	ReasonWeaknessOpen:       {"A weakness of this model and firmware is being dealt with.", "GSMA IMEI weakness process clause 2", []Effect{{Configuration, ClaimWarning}}, StatusWarning},
	ReasonWeaknessUnremedied: {"A weakness of this model and firmware was not remedied in time.", "GSMA IMEI weakness process clause 8", []Effect{{Configuration, ClaimWarning}}, StatusWarning},
	ReasonWeaknessRemedied:   {"A weakness of this model was remedied and evaluated again.", "GSMA IMEI weakness process clause 9", []Effect{{Configuration, ClaimApproved}}, noFloor},
}
