package verifier

import (
	"strings"

	"imei-attest/attest"
)

// judgeTier is step 11, for IMS registrations only: what is known of the client that registers. Its own word counts for
// nothing: only the ME's own registration sees the challenge of the USIM's authentication, so evidence that does not answer that
// challenge may come from a device beside a client that somebody downloaded.
func (a *appraisal) judgeTier() {
	s, e := a.facts.Shown, a.facts.Evidence
	if !s.byNetwork() || !s.IMS {
		return
	}
	const selfContained, embedded = 1, 3 // classes 2.1 and 2.3
	switch {
	case !e.Challenged || !s.isOfTheUSIM() || e.ClientClass == selfContained:
		a.tier = attest.T1
	case e.ClientClass == embedded:
		a.tier = attest.T3
	default:
		a.tier = attest.T2
	}
	a.capTier()
}

// takeTier: of an earlier result is left what this request shows by itself. Only the client that answered the challenge then goes on
// with its binding: another one of the same phone, or of a clone, begins its own. A result of another kind of front had no tier.
func (a *appraisal) takeTier(earlier attest.Tier) {
	a.tier = attest.T1
	if a.goesOn() && a.facts.Shown.isOfTheUSIM() {
		a.tier = max(a.tier, earlier)
	}
	a.capTier()
}

// capTier is the operator's ceiling for clients that nothing ties to the device.
func (a *appraisal) capTier() {
	if a.tier == attest.T1 && a.rules.CeilingT1 != attest.StatusAffirming {
		a.reg.Add(attest.ReasonClientUnverified)
	}
}

// isOfTheUSIM: the request is of the client that the USIM authenticated.
func (s *Shown) isOfTheUSIM() bool { return s.AKA && s.isProtected() }

// isProtected: the request came over the security association of that authentication (TS 24.229 clause 5.2.2).
func (s *Shown) isProtected() bool {
	return s.Protected == "yes" || s.Protected == "tls-connected" && strings.HasPrefix(strings.ToUpper(s.Auth), "AKAV2")
}
