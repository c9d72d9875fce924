package verifier

import (
	"log/slog"
	"time"

	"imei-attest/attest"
)

// Answer is what a front tells the network to do with a Result.
type Answer struct {
	Action    string `json:"action" cbor:"1,keyasint"`     // observe, accept, warn, challenge or deny
	SIPCode   int    `json:"sip_code" cbor:"2,keyasint"`   // RFC 3261 section 21
	EIRStatus string `json:"eir_status" cbor:"3,keyasint"` // TS 29.511 clause 6.1.6, or attest.EIRUnknown for its 404
	S13Status uint32 `json:"s13_status" cbor:"4,keyasint"` // TS 29.272 clause 7.3.51, or attest.S13Unknown
	Label     string `json:"label" cbor:"5,keyasint"`      // status, and the reason that decided it
	// Because is why the action is milder than the reasons ask for: an exception of the policy, or its breaker.
	Because string `json:"because,omitempty" cbor:"6,keyasint,omitempty"`
}

// LogLevel is that of the line which tells of a verdict to somebody who asked at a time. One that was made before was logged when it was
// made: it is told again at level debug.
func (v *Verdict) LogLevel(asked time.Time) slog.Level {
	if v.IssuedAt.Before(asked) {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// ActionOn is what the policy makes of a result: the strictest that one of its reasons gets. Remarks count only where
// the policy names them. Equipment that nobody endorsed gets no more than a warning for that where the operator's list has it as white.
func (p *Policy) ActionOn(r *attest.Result) Action {
	action := ActionObserve
	if r.Status() == attest.StatusAffirming {
		action = p.Affirming
	}
	for i := range r.Submods {
		for _, reason := range r.Submods[i].Reasons {
			does := p.ReasonAction(reason)
			if reason == attest.ReasonNotEndorsed && isLifted(r.Submods[i]) {
				does = min(does, ActionWarn)
			}
			action = max(action, does)
		}
	}
	return action
}

// Answer is what the fronts answer when the policy takes an action on a result.
func (a Action) Answer(r *attest.Result) Answer {
	front := attest.AnswerTrack
	switch a {
	case ActionAccept:
		front = attest.AnswerPermit
	case ActionDeny:
		front = attest.AnswerProhibit
	case ActionChallenge:
		const unauthorized = 401
		front.SIP = unauthorized
	}
	if a == ActionWarn && isPermittedUnknown(r) {
		front.EIR, front.S13 = attest.AnswerPermit.EIR, attest.AnswerPermit.S13
	} else if a > ActionAccept && isUnknownEquipment(r) {
		front.EIR, front.S13 = attest.AnswerUnknown.EIR, attest.AnswerUnknown.S13
	}
	return Answer{Action: a.String(), SIPCode: front.SIP, EIRStatus: front.EIR, S13Status: front.S13, Label: label(r)}
}

// isUnknownEquipment: nobody endorsed what registers, and nothing worse was found.
func isUnknownEquipment(r *attest.Result) bool {
	for i := range r.Submods {
		if s := &r.Submods[i]; s.Has(attest.ReasonNotEndorsed) {
			return r.Status() == attest.StatusNone
		}
	}
	return false
}

// excepts reports whether the policy lets a registration in whatever is found.
func (p *Policy) excepts(q *question) bool {
	r := q.in.Registration
	if len(p.Exceptions) == 0 || !r.isSeenByNetwork() {
		return false
	}
	for _, identity := range []string{r.Subscriber(), r.IMPI, r.SUPI} {
		if e, listed := p.Exceptions[Pairing{q.signalled, identity}]; listed && identity != "" && q.in.Now.Before(e.Until) {
			return true
		}
	}
	return false
}

// answer applies the policy.
func (v *Verifier) answer(q *question, p *Policy, r *attest.Result) Answer {
	action, because := p.ActionOn(r), ""
	if action > ActionWarn && p.excepts(q) {
		action, because = ActionWarn, "exception"
	}
	if action > ActionObserve && p.Counter != nil && q.in.Registration.isSeenByNetwork() && p.Counter.Tripped() {
		action, because = ActionObserve, "breaker"
	}
	answer := action.Answer(r)
	answer.Because = because
	if shown := q.in.Registration; shown != nil && shown.Front.isNAS() && shown.Subscriber() == "" {
		answer.permitNobody()
	}
	return answer
}

// permitNobody: 05 rule 3, never by the IMEI alone.
func (a *Answer) permitNobody() {
	if a.EIRStatus == attest.AnswerPermit.EIR {
		a.EIRStatus, a.S13Status = attest.AnswerTrack.EIR, attest.AnswerTrack.S13
	}
}

// denies is what the policy alone would do.
func (p *Policy) denies(r *Record) bool {
	return p.ActionOn(&r.Verdict.Result) == ActionDeny && !r.Excepted
}

// count shows the breaker a registration that was answered, once, and whether the policy alone would deny it.
func (v *Verifier) count(q *question, p *Policy, denied bool) {
	if p.Counter == nil || !q.in.Registration.isSeenByNetwork() {
		return
	}
	if tripped, changed := p.Counter.Count(q.in.Now, denied); changed && v.alarm != nil {
		v.alarm(tripped)
	}
}

// label names the status and the first reason that alone would have made it as bad.
func label(r *attest.Result) string {
	status := r.Status()
	for i := range r.Submods {
		for _, reason := range r.Submods[i].Reasons {
			if l := labels[reason]; l.best == status {
				return l.text
			}
		}
	}
	return status.String()
}

// labels are by reason the best that a device gets with it, which is that of one otherwise in order, and how both are named.
var labels = func() map[attest.Reason]bestLabel {
	all := make(map[attest.Reason]bestLabel)
	for _, r := range attest.Reasons() {
		var alone attest.Submod
		alone.Add(attest.ReasonIMEIConsistent, r)
		all[r] = bestLabel{alone.Status, alone.Status.String() + ":" + string(r)}
	}
	return all
}()

type bestLabel struct {
	best attest.Status
	text string
}
