package attest

import "time"

// RegistrationSubmod is the name of the part of a Result that judges the registration and not the device.
const RegistrationSubmod = "registration"

// Submod is the appraisal of one IMEI slot of the device, or of the registration: a spoofed registration does not
// stain the device.
type Submod struct {
	Name    string // "slot1".."slot4" or "registration"
	Vector  TrustVector
	Reasons []Reason
	// Status is the worst of the vector's entries and of the reasons' floors; affirming needs instance-identity 2.
	Status Status
	// Raised: the operator's policy takes one of the reasons for contraindicated.
	Raised bool
}

// Raise makes the submod contraindicated, as the operator's policy demands on one of its reasons.
func (s *Submod) Raise() {
	s.Raised = true
	s.Status = s.judge()
}

// Add records reasons and their effects. An entry that is set only gets worse, and with instance-identity set so does
// the status.
func (s *Submod) Add(reasons ...Reason) {
	if s.Reasons == nil && len(reasons) > 0 {
		const usual = 4 // of a device in order
		s.Reasons = make([]Reason, 0, usual)
	}
	for _, r := range reasons {
		if s.Has(r) {
			continue
		}
		info := r.Info()
		for _, effect := range info.Effects {
			if worse(effect.Value, s.Vector[effect.Entry]) {
				s.Vector[effect.Entry] = effect.Value
			}
		}
		s.Reasons = append(s.Reasons, r)
	}
	s.Status = s.judge()
}

// Has reports whether a reason was added.
func (s *Submod) Has(r Reason) bool {
	for _, have := range s.Reasons {
		if have == r {
			return true
		}
	}
	return false
}

// worse compares two values of one entry; 0 is no claim and gives way to any.
func worse(a, b Claim) bool {
	if b == ClaimNone {
		return true
	}
	if d := a.status().severity() - b.status().severity(); d != 0 {
		return d > 0
	}
	return a > b
}

func (s *Submod) judge() Status {
	status := StatusNone
	affirmed := s.Vector[InstanceIdentity] == ClaimAffirming
	if affirmed {
		status = StatusAffirming
	}
	for _, value := range s.Vector {
		if value != ClaimNone {
			status = status.Worse(value.status())
		}
	}
	for _, r := range s.Reasons {
		status = status.Worse(r.Info().Floor)
	}
	if s.Raised {
		return StatusContraindicated
	}
	if status == StatusAffirming && !affirmed {
		return StatusNone
	}
	return status
}

// SlotName is the name of a slot's submod: "slot1" for 1.
func SlotName(number int) string { return slotName(number) }

// Result is what a Verifier says of Evidence and of the registration it was presented for. The zero value affirms nothing.
type Result struct {
	IssuedAt   time.Time // UTC
	ValidUntil time.Time // UTC; at most 5 minutes after IssuedAt on online fronts
	Nonce      Nonce     // of the evidence judged, nil when there was none
	Submods    []Submod  // slots in order, then the registration
	Tier       Tier      // of the IMS client that registers
	Freshness  Freshness // of what ties the evidence to the registration
}

// Freshness says what a judgement of a registration rests on. The zero value is nothing.
type Freshness uint8

// The levels of freshness, the weakest first.
const (
	FreshnessNone Freshness = iota
	Prior                   // an earlier result of the same subscriber
	Fresh                   // evidence that answers a new challenge
	Bound                   // evidence that answers this registration's own authentication challenge
)

// String is the level's name in answers.
func (f Freshness) String() string {
	return [...]string{"none", "prior", "fresh", "bound"}[f]
}

// Status is the worst status of the submods, none without any.
func (r *Result) Status() Status {
	if len(r.Submods) == 0 {
		return StatusNone
	}
	status := StatusAffirming
	for i := range r.Submods {
		status = status.Worse(r.Submods[i].Status)
	}
	return status
}

// Reasons lists every submod's reasons once, in order.
func (r *Result) Reasons() []Reason {
	var all []Reason
	seen := make(map[Reason]bool)
	for i := range r.Submods {
		for _, reason := range r.Submods[i].Reasons {
			if !seen[reason] {
				seen[reason] = true
				all = append(all, reason)
			}
		}
	}
	return all
}
