package sqlite

import (
	"context"
	"time"

	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// Exported is a decision as it may leave the operator's house: of the device it has the TAC, and of the subscriber nothing.
type Exported struct {
	At      time.Time `json:"at"`            // to the hour
	TAC     imei.TAC  `json:"tac,omitempty"` // empty where no device was told
	Status  string    `json:"status"`
	Reasons []string  `json:"reasons"`
	Action  string    `json:"action"`
	Front   string    `json:"front,omitempty"`
}

// Export gives the decisions since a time, the oldest first, until yield returns false.
func (s *Store) Export(ctx context.Context, since time.Time, yield func(Exported) bool) error {
	return s.Records(ctx, since, func(r *verifier.Record) bool { return yield(exported(r)) })
}

func exported(r *verifier.Record) Exported {
	v := &r.Verdict
	e := Exported{At: r.Facts.Now.UTC().Truncate(time.Hour), Status: v.Status().String(), Action: v.Answer.Action, Reasons: []string{}}
	for _, reason := range v.Reasons() {
		e.Reasons = append(e.Reasons, string(reason))
	}
	if s := r.Facts.Shown; s != nil {
		e.Front, e.TAC = string(s.Front), s.IMEI.TAC
	}
	if d := r.Facts.Evidence; e.TAC == "" && d != nil && len(d.Slots) > 0 {
		e.TAC = d.Slots[0].Provisioned.TAC
	}
	return e
}
