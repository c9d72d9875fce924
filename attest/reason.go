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
	ReasonClientUnverified    Reason = "client-unverified"
	ReasonSenderMSC           Reason = "sender-msc"
	ReasonEmergency           Reason = "emergency"
	ReasonUnbound             Reason = "unbound"
	ReasonURNMalformed        Reason = "urn-malformed"
	ReasonURNNonconformant    Reason = "urn-nonconformant"
	ReasonListBlack           Reason = "list-black"
	ReasonListGrey            Reason = "list-grey"
	ReasonListWhite           Reason = "list-white"

	ReasonBootApproved   Reason = "boot-approved"
	ReasonBootUnmeasured Reason = "boot-unmeasured"
	ReasonEmulatedVault  Reason = "emulated-vault"
	ReasonSoftwareVault  Reason = "software-vault"
	ReasonHardwareVault  Reason = "hardware-vault"

	ReasonFirmwareApproved  Reason = "firmware-approved"
	ReasonFirmwareUnlisted  Reason = "firmware-unlisted"
	ReasonFirmwareRevoked   Reason = "firmware-revoked"
	ReasonFirmwareUnknown   Reason = "firmware-unknown"
	ReasonTPMFirmwareDenied Reason = "tpm-firmware-denied"

	ReasonWeaknessOpen       Reason = "weakness-open"
	ReasonWeaknessUnremedied Reason = "weakness-unremedied"
	ReasonWeaknessRemedied   Reason = "weakness-remedied"

	ReasonNotJudged Reason = "not-judged"
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
	Step     int    // of the appraisal that finds it: verifier/README.md
	Sentence string // for people, without personal data
	Clause   string // what the check rests on
	Effects  []Effect
	Floor    Status // no better status than this
	Limit    Limit
}

// Limit is the most that an operator's policy may make of a reason.
type Limit uint8

// The limits. A fault of reading is not a lie, so nobody is refused for one; emergencies are never refused.
const (
	mayObserve   Limit = iota
	mayWarn            // a remark, or what speaks for the device
	mayChallenge       // a fault of reading or of timing: ask again
	mayDeny
)

// String is the strictest action that a policy may take, by its name in a policy file.
func (l Limit) String() string {
	return [...]string{"observe", "warn", "challenge", "deny"}[l]
}

// FrontAnswer is what the fronts answer to a Result.
type FrontAnswer struct {
	SIP int    // RFC 3261 section 21
	EIR string // TS 29.511 clause 6.1.6; EIRUnknown is a 404 with that cause
	S13 uint32 // Equipment-Status, TS 29.272 clause 7.3.51; S13Unknown is an Experimental-Result
}

// What an EIR answers of equipment it does not know.
const (
	EIRUnknown = "ERROR_EQUIPMENT_UNKNOWN" // TS 29.511 clause 6.1.7
	S13Unknown = 5422                      // TS 29.272 clause 7.4.3
)

// The answers of the fronts.
var (
	AnswerPermit   = FrontAnswer{200, "WHITELISTED", 0}
	AnswerTrack    = FrontAnswer{200, "GREYLISTED", 2}
	AnswerProhibit = FrontAnswer{403, "BLACKLISTED", 1}
	AnswerUnknown  = FrontAnswer{200, EIRUnknown, S13Unknown}
)

// Front is what the fronts answer where a policy enforces the reason and nothing worse was found.
func (r Reason) Front() FrontAnswer {
	switch {
	case r == ReasonNotEndorsed:
		return AnswerUnknown
	case r.Info().Floor == StatusContraindicated:
		return AnswerProhibit
	case r.Info().Floor == noFloor:
		return AnswerPermit
	}
	return AnswerTrack
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
	ReasonIMEIConsistent:    {4, "The provisioned IMEI and the one the modem reports are the same, and so is the signalled one if there is one.", "TS 22.016 clause 2; TS 23.003 clause 6.2", identity(ClaimAffirming), noFloor, mayWarn},
	ReasonIMEIReprogrammed:  {4, "The modem reports another IMEI than the manufacturer provisioned, and the network is shown that other one.", "TS 22.016 clause 2", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonIMEITampered:      {4, "The modem reports another IMEI than the manufacturer provisioned.", "TS 22.016 clause 2", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonIMEIBlank:         {4, "The modem holds no IMEI.", "TS 22.016 clause 2", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonIMEIZero:          {4, "The modem reports an IMEI of zeros.", "TS 22.016 clause 2", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonIMEIRepeated:      {4, "The modem reports one digit repeated, a placeholder.", "TS 22.016 clause 2", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonIMEITestRange:     {4, "The modem reports an IMEI of the test range that is not the provisioned one.", "GSMA TS.06 (reporting body 00)", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonIMEIUnreadable:    {4, "What the modem answers is no IMEI: the device or its modem profile needs attention.", "TS 27.007 clause 5.4", nil, StatusWarning, mayChallenge},
	ReasonIMEINotRead:       {4, "The modem's IMEI could not be read this time; ask again.", "TS 27.007 clause 5.4", nil, StatusNone, mayChallenge},
	ReasonIMEIAmbiguous:     {4, "The modem tells different IMEIs by different commands: one of its answers is not its own, or it has several IMEIs and no profile says which is which.", "TS 27.007 clause 5.4", nil, StatusWarning, mayChallenge},
	ReasonIMEISpareDigit:    {4, "The modem sends the spare digit 0 in place of the check digit; the 14 digits count.", "TS 23.003 clause 6.2.1", nil, noFloor, mayWarn},
	ReasonIMEICheckDigit:    {4, "The modem sends a wrong check digit; the 14 digits count.", "TS 23.003 Annex B", nil, noFloor, mayWarn},
	ReasonSlotsSwapped:      {4, "The modem reports the provisioned IMEIs in another order of slots.", "TS 22.016 clause 2", nil, noFloor, mayWarn},
	ReasonMeasresContradict: {4, "The agent's claims contradict each other or the manufacturer's statement: a faulty agent.", "RFC 9711 section 4.2.16", nil, StatusWarning, mayChallenge},

	ReasonNotEndorsed:       {2, "No manufacturer has endorsed this IMEI to this verifier.", "RFC 9334 section 4.1", nil, StatusNone, mayDeny},
	ReasonKeyUnknown:        {2, "The key that signed is not known here, or its manufacturer is not trusted here.", "RFC 9334 section 4.1", nil, StatusWarning, mayDeny},
	ReasonCredentialRevoked: {2, "The manufacturer's statement for this device is revoked.", "RFC 8747 section 5", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonKeyRevoked:        {2, "The device key is revoked.", "RFC 8747 section 5", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonCredentialInvalid: {2, "The manufacturer's statement is malformed, does not verify, or says more than its key may.", "RFC 8392 section 7.2", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonKeyNameMismatch:   {2, "The device key is not the TPM key with the policy that the manufacturer's anchor demands.", "TPM 2.0 Part 1 section 16", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonSignatureInvalid:  {2, "The token's signature does not verify under the key endorsed for the device.", "RFC 9052 section 4.4", cryptoFailed, StatusContraindicated, mayDeny},
	ReasonDuplicateKey:      {8, "Another device key holds this IMEI, and this one does not supersede it.", "RFC 8747 section 3", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonSuperseded:        {8, "This device took the IMEI over from an earlier one, by a newer statement of the manufacturer or because that one's no longer counts.", "RFC 8392 section 3", nil, noFloor, mayWarn},

	ReasonNonceReused:        {3, "The token was presented before, elsewhere or for something else.", "RFC 9711 section 4.1", nil, StatusContraindicated, mayDeny},
	ReasonNonceExpired:       {3, "The challenge is expired or not ours; ask for a new one.", "RFC 9711 section 4.1", nil, StatusNone, mayChallenge},
	ReasonUnexpectedEvidence: {2, "What was presented is not evidence of this profile.", "RFC 9711 section 4.3.2", identity(ClaimUnexpected), StatusNone, mayChallenge},
	ReasonEvidenceMissing:    {2, "A device that can attest did not.", "RFC 9334 section 7", nil, StatusWarning, mayDeny},
	ReasonStale:              {6, "The evidence is older than the policy allows.", "RFC 9334 section 10", nil, StatusWarning, mayDeny},
	ReasonStateRegressed:     {7, "The device's secure storage went back to an earlier state, or there are two copies of it.", "TPM 2.0 Part 1 section 36", identity(ClaimContraindicated), StatusContraindicated, mayDeny},
	ReasonRollbackUnknown:    {7, "Nothing shows that the device's secure storage was not set back.", "TPM 2.0 Part 1 section 36", nil, StatusWarning, mayDeny},
	ReasonTPMCleared:         {7, "The TPM was cleared since it was last seen.", "TPM 2.0 Part 3 section 24.6", nil, noFloor, mayWarn},

	ReasonRegistrationSpoofed: {4, "The registration shows an IMEI that is not this device's.", "RFC 7255 section 8; TS 24.229 clause 5.1.1.2.1", nil, StatusContraindicated, mayDeny},
	ReasonNASIMSMismatch:      {1, "The IMEI of the IMS registration is not the one of the access network.", "TS 24.229 clause 5.1.1.2.1", nil, StatusWarning, mayDeny},
	ReasonSubscriberBound:     {5, "The evidence answers this subscriber's own authentication challenge.", "TS 33.203 clause 6.1", nil, noFloor, mayWarn},
	ReasonSubscriberClaimed:   {5, "The device names the subscriber that registers.", "TS 23.003 clause 13.3", nil, noFloor, mayWarn},
	ReasonSubscriberUnbound:   {5, "Nothing ties the evidence to the subscriber that registers.", "TS 33.203 clause 6.1", nil, StatusWarning, mayDeny},
	ReasonSubscriberDiffers:   {5, "The device names another subscriber than the one that registers.", "TS 23.003 clause 13.3", nil, StatusWarning, mayDeny},
	ReasonDuplicateSubscriber: {8, "Two subscribers use this IMEI in turns.", "RFC 5626 section 6", nil, StatusWarning, mayDeny},
	ReasonClientUnverified:    {11, "The client that registers did not show that it is the device's own (tier T1), and the policy affirms no such client.", "TS 33.203 clause 6.1", nil, StatusWarning, mayDeny},
	ReasonSenderMSC:           {1, "An MSC server registers on the subscriber's behalf: no evidence can come with that.", "TS 23.292 clause 7.2; RFC 7255 section 3", nil, noFloor, mayWarn},
	ReasonEmergency:           {0, "An emergency registration is never refused and not judged.", "TS 23.167 clause 4.1; RFC 7255 section 4", nil, StatusNone, mayObserve},
	ReasonUnbound:             {1, "The registration shows no IMEI.", "TS 23.003 clause 13.8", nil, StatusNone, mayDeny},
	ReasonURNMalformed:        {1, "The registration's IMEI URN is malformed.", "RFC 7254 section 4.2", nil, StatusNone, mayDeny},
	ReasonURNNonconformant:    {1, "The registration's IMEI URN carries a check digit, svn or vers that do not belong there.", "TS 23.003 clause 13.8; RFC 7255 section 5", nil, noFloor, mayWarn},
	ReasonListBlack:           {1, "The operator's list has the IMEI as black: it is barred in this network.", "TS 29.272 clause 7.3.51", nil, StatusContraindicated, mayDeny},
	ReasonListGrey:            {1, "The operator's list has the IMEI as grey: it is tracked in this network.", "TS 29.272 clause 7.3.51", nil, StatusWarning, mayDeny},
	ReasonListWhite:           {1, "The operator's list has the IMEI as white: it need not be endorsed to be let in, and that shows nothing of the device.", "TS 29.272 clause 7.3.51", nil, noFloor, mayWarn},

	ReasonBootApproved:   {9, "The device key signs only in a boot state that the manufacturer approved.", "TPM 2.0 Part 3 section 23.16", []Effect{{Executables, ClaimApproved}}, noFloor, mayWarn},
	ReasonBootUnmeasured: {9, "The device key is not bound to a measured boot.", "TPM 2.0 Part 1 section 17", []Effect{{Executables, ClaimWarning}}, StatusWarning, mayDeny},
	ReasonEmulatedVault:  {9, "The TPM is an emulation, as laboratories use it.", "draft-ietf-rats-ar4si section 2.3.4", []Effect{{Hardware, ClaimWarning}}, StatusWarning, mayDeny},
	ReasonSoftwareVault:  {9, "The device key and the IMEI are not in a TPM, so the verifier cannot check what protects them.", "draft-ietf-rats-ar4si section 2.3.4", []Effect{{StorageOpaque, ClaimWarning}, {Hardware, ClaimWarning}}, StatusWarning, mayDeny},
	ReasonHardwareVault:  {9, "The device key and the IMEI are kept in a TPM.", "TPM 2.0 Part 1 section 37", []Effect{{StorageOpaque, ClaimAffirming}, {Hardware, ClaimAffirming}}, noFloor, mayWarn},

	ReasonFirmwareApproved:  {9, "The modem's firmware is one that the manufacturer lists for the model.", "RFC 9334 section 8.3", []Effect{{Configuration, ClaimAffirming}}, noFloor, mayWarn},
	ReasonFirmwareUnlisted:  {9, "The modem's firmware is not one that the manufacturer lists for the model.", "RFC 9334 section 8.3", []Effect{{Configuration, ClaimWarning}}, StatusWarning, mayDeny},
	ReasonFirmwareRevoked:   {9, "The manufacturer vouches no longer for the modem's firmware on this model.", "RFC 9334 section 8.3", []Effect{{Configuration, ClaimContraindicated}}, StatusContraindicated, mayDeny},
	ReasonFirmwareUnknown:   {9, "The manufacturer vouches no longer for some firmware of this model, and the device never told which it runs.", "RFC 9334 section 8.3", []Effect{{Configuration, ClaimWarning}}, StatusWarning, mayDeny},
	ReasonTPMFirmwareDenied: {9, "The TPM's own firmware has a known fault.", "TPM 2.0 Part 2 section 10.12.12", []Effect{{Hardware, ClaimWarning}}, StatusWarning, mayDeny},

	ReasonWeaknessOpen:       {10, "A weakness of this model and firmware is being dealt with.", "GSMA IMEI weakness process clause 2", []Effect{{Configuration, ClaimWarning}}, StatusWarning, mayDeny},
	ReasonWeaknessUnremedied: {10, "A weakness of this model and firmware was not remedied in time.", "GSMA IMEI weakness process clause 8", []Effect{{Configuration, ClaimWarning}}, StatusWarning, mayDeny},
	ReasonWeaknessRemedied:   {10, "A weakness of this model was remedied and evaluated again.", "GSMA IMEI weakness process clause 9", []Effect{{Configuration, ClaimApproved}}, noFloor, mayWarn},

	ReasonNotJudged: {12, "The verifier could not judge, by a failure of its own: nothing is known of this registration.", "RFC 9334 section 4.1", nil, StatusNone, mayDeny},
}
