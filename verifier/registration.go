package verifier

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// Front is the kind of door a question came through.
type Front string

// The fronts. FrontDevice is the device's own statement of what it signals: it can only make a result worse.
const (
	FrontHTTP   Front = "http"
	FrontSIP    Front = "sip"
	Front5GEIR  Front = "5g-eir"
	FrontS13    Front = "s13"
	FrontDevice Front = "device"
)

// isNAS: the front asks about an access to the core network.
func (f Front) isNAS() bool { return f == Front5GEIR || f == FrontS13 }

// Registration is what the network saw. The JSON form is the one of the HTTP interface.
type Registration struct {
	InstanceID string `json:"instance_id,omitempty"` // +sip.instance, a URN (RFC 5626)
	PEI        string `json:"pei,omitempty"`         // imei-... or imeisv-... (TS 29.571)
	IMEI       string `json:"imei,omitempty"`        // 14 to 16 digits (TS 29.272)

	IMPI string `json:"impi,omitempty"` // private user identity (TS 23.003 clause 13.3)
	SUPI string `json:"supi,omitempty"` // imsi-... (TS 23.003 clause 2.2A)
	IMPU string `json:"impu,omitempty"` // public user identity

	Auth                 string `json:"auth,omitempty"`                // Digest algorithm of the registration: AKAv1-MD5, ...
	IntegrityProtected   string `json:"integrity_protected,omitempty"` // as the P-CSCF says (TS 24.229 clause 5.2.2)
	Challenge401         string `json:"challenge_401,omitempty"`       // the nonce text of the 401 that this request answers
	ChallengeOutstanding bool   `json:"challenge_outstanding,omitempty"`
	Initial              *bool  `json:"initial,omitempty"` // false is a re-registration; not said counts as initial
	Expires              *int   `json:"expires,omitempty"` // seconds; 0 is a deregistration
	CallID               string `json:"call_id,omitempty"`
	CSeq                 uint32 `json:"cseq,omitempty"`
	Emergency            bool   `json:"emergency,omitempty"` // as the network side decided it
	Sender               string `json:"sender,omitempty"`
	Front                Front  `json:"front,omitempty"`
}

// LongestText is the length in bytes of the longest text in it.
func (r *Registration) LongestText() int {
	longest := len(r.Challenge401)
	for _, text := range r.texts() {
		longest = max(longest, len(text))
	}
	return longest
}

// texts are those in it that a question without evidence depends on: all but the challenge.
func (r *Registration) texts() [11]string {
	return [...]string{r.InstanceID, r.PEI, r.IMEI, r.IMPI, r.SUPI, r.IMPU, r.Auth, r.IntegrityProtected, r.CallID, r.Sender, string(r.Front)}
}

// Subscriber is whom results are kept by, empty when the network named nobody: the IMSI where IMPI or SUPI holds it, because an EIR
// names by the SUPI whom IMS names by the IMPI; else the IMPI, or the SUPI, as it is.
func (r *Registration) Subscriber() string {
	if r == nil {
		return ""
	}
	return cmp.Or(imsiOf(r.IMPI), imsiOf(r.SUPI), r.IMPI, r.SUPI)
}

// NormalSubscriber is the name by which [Registration.Subscriber] has an IMPI or a SUPI that is given alone.
func NormalSubscriber(identity string) string { return cmp.Or(imsiOf(identity), identity) }

// normalPublic is a public identity without what does not tell it from others: parameters, header fields, the case of scheme and host, and the
// visual separators of a telephone number (TS 23.003 clause 13.4, RFC 3261 section 19.1.4, RFC 3966 section 4).
func normalPublic(impu string) string {
	uri, _, _ := strings.Cut(impu, "?")
	scheme, rest, _ := strings.Cut(uri, ":")
	user, host, hasHost := strings.Cut(rest, "@")
	if !hasHost {
		user, _, _ = strings.Cut(user, ";")
		if scheme = strings.ToLower(scheme); scheme == "tel" {
			user = strings.NewReplacer("-", "", ".", "", "(", "", ")", "").Replace(user)
		}
		return scheme + ":" + user
	}
	host, _, _ = strings.Cut(host, ";")
	return strings.ToLower(scheme) + ":" + user + "@" + strings.ToLower(host)
}

// isInitial: a registration is one unless the network says otherwise, because a re-registration may rest on less.
func (r *Registration) isInitial() bool { return r.Initial == nil || *r.Initial }

// isSeenByNetwork tells what the network saw from a device's statement about itself, which can only worsen a result: it
// opens no challenge, claims no exemption and rests on no earlier result.
func (r *Registration) isSeenByNetwork() bool { return r != nil && r.Front != FrontDevice }

// signalled returns the IMEI the registration shows, if it shows one, and what is remarkable about how. The first of
// instance-id, PEI and IMEI that holds one counts; the others are what the access network saw, and must agree.
func (r *Registration) signalled() (shown imei.IMEI, remarks []attest.Reason) {
	given := false
	for _, form := range []struct {
		text string
		read func(string) (imei.IMEI, []attest.Reason)
	}{{r.InstanceID, signalledURN}, {r.PEI, signalledPEI}, {r.IMEI, signalledDigits}} {
		if form.text == "" {
			continue
		}
		id, found := form.read(form.text)
		switch {
		case !given:
			given, shown, remarks = true, id, found
		case shown.IsZero() && !id.IsZero():
			shown = id // the client chose an instance-id without an IMEI, but not what the access network saw
			remarks = slices.DeleteFunc(remarks, func(r attest.Reason) bool { return r == attest.ReasonUnbound })
		case !id.IsZero() && id != shown:
			remarks = append(remarks, attest.ReasonNASIMSMismatch)
		}
	}
	if !given {
		return imei.IMEI{}, []attest.Reason{attest.ReasonUnbound}
	}
	return shown, remarks
}

// others are the IMEIs that PEI and IMEI show beside the one that counts.
func (r *Registration) others(signalled imei.IMEI) (all []imei.IMEI) {
	pei, _ := signalledPEI(r.PEI)
	digits, _ := signalledDigits(r.IMEI)
	for _, id := range [...]imei.IMEI{pei, digits} {
		if !id.IsZero() && id != signalled {
			all = append(all, id)
		}
	}
	return all
}

func signalledURN(instanceID string) (imei.IMEI, []attest.Reason) {
	urn, err := imei.ParseURN(instanceID)
	switch {
	case errors.Is(err, imei.ErrNotIMEIURN):
		return imei.IMEI{}, []attest.Reason{attest.ReasonUnbound}
	case err != nil:
		return imei.IMEI{}, []attest.Reason{attest.ReasonURNMalformed}
	case urn.CheckDigitForm, urn.OtherDigit, urn.SVN != "", urn.Version != "":
		return urn.IMEI, []attest.Reason{attest.ReasonURNNonconformant}
	}
	return urn.IMEI, nil
}

// signalledPEI reads the forms imei-15 and imeisv-16 (TS 29.571 clause 5.3.2); others, of wireline access, hold no IMEI.
func signalledPEI(pei string) (imei.IMEI, []attest.Reason) {
	for _, prefix := range []string{"imei-", "imeisv-"} {
		if digits, ok := strings.CutPrefix(pei, prefix); ok {
			return signalledDigits(digits)
		}
	}
	return imei.IMEI{}, []attest.Reason{attest.ReasonUnbound}
}

// signalledDigits takes 14 digits, 15 with check or spare digit, or the 16 of an IMEISV; 14 count
// (TS 22.016 clause 3). A wrong check digit is the sender's affair.
func signalledDigits(digits string) (imei.IMEI, []attest.Reason) {
	const body, longest = 14, 16
	if len(digits) < body || len(digits) > longest || strings.Trim(digits, "0123456789") != "" {
		return imei.IMEI{}, []attest.Reason{attest.ReasonURNMalformed}
	}
	id, err := imei.FromBody(digits[:body])
	if err != nil {
		return imei.IMEI{}, []attest.Reason{attest.ReasonURNMalformed}
	}
	return id, nil
}

// imsi returns the digits of the subscriber's IMSI when an identity holds it.
func (r *Registration) imsi() (string, bool) {
	digits := cmp.Or(imsiOf(r.SUPI), imsiOf(r.IMPI))
	return digits, digits != ""
}

// imsiOf returns the digits of the IMSI in a SUPI imsi-..., or in an IMPI derived from the IMSI (TS 23.003 clause 13.3),
// IMSI@ims.mncMNC.mccMCC.3gppnetwork.org; empty for another identity.
func imsiOf(identity string) string {
	digits, is := strings.CutPrefix(identity, "imsi-")
	if !is {
		var domain string
		digits, domain, _ = strings.Cut(identity, "@")
		domain = strings.ToLower(domain) // as DNS compares names
		const mccLen = 3
		is = isIMSI(digits) && strings.HasPrefix(domain, "ims.mnc") && strings.HasSuffix(domain, ".3gppnetwork.org") &&
			strings.Contains(domain, ".mcc"+digits[:mccLen]+".")
	}
	if !is || !isIMSI(digits) {
		return ""
	}
	return digits
}

// isIMSI: at most 15 digits, of which MCC and MNC take 5 or 6 (TS 23.003 clause 2.2).
func isIMSI(digits string) bool {
	return len(digits) >= 6 && len(digits) <= 15 && strings.Trim(digits, "0123456789") == ""
}

// isIMS reports that what the network named belongs to an IMS registration: a private or public identity, or how it
// authenticated. Only then is there a client to grade.
func (r *Registration) isIMS() bool {
	return (r.Front == FrontSIP || r.Front == FrontHTTP || r.Front == "") && (r.IMPI != "" || r.IMPU != "" || r.Auth != "")
}

// isAKA reports an authentication by the USIM (TS 33.203 clause 6.1), from whose challenge a nonce may be derived.
func (r *Registration) isAKA() bool { return strings.HasPrefix(strings.ToUpper(r.Auth), "AKA") }
