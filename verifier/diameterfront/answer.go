package diameterfront

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/diameterfront/diameter"
)

// judge answers a question. It is under way no more when the peer can know that, and sends the next one.
func (v *visit) judge(q *question) {
	answer, outcome := v.answer(q)
	v.underway.Add(-1)
	_ = v.link.out.send(answer) // who is gone gets none
	v.server.config.Observer.Answered(outcome, time.Since(q.begun))
}

// answer appends the answer to a question. A fault of this program is one, too, and is told.
func (v *visit) answer(q *question) (answer func([]byte) []byte, outcome string) {
	refuse := func(bad *diameter.Error) func([]byte) []byte {
		return func(to []byte) []byte { return appendAnswer(to, &q.message, v.server.config.Node, bad.Code, bad, nil) }
	}
	defer func() {
		if fault := recover(); fault != nil {
			v.server.survive(fault)
			answer, outcome = refuse(&diameter.Error{Code: diameter.UnableToComply, Problem: "a fault of this program"}), outcomeFailed
		}
	}()
	var bad *diameter.Error
	if err := q.read(v.server.config.Node); errors.As(err, &bad) {
		return refuse(bad), outcomeOf(bad)
	}
	status, ok := v.server.decide(v.ctx, q)
	if !ok {
		return refuse(&diameter.Error{Code: diameter.UnableToComply, Problem: "the service is being stopped"}), outcomeFailed
	}
	return func(to []byte) []byte { return appendStatus(to, &q.message, v.server.config.Node, status) }, outcomes[status]
}

func outcomeOf(bad *diameter.Error) string {
	if bad.Code == diameter.UnableToDeliver || bad.Code == diameter.RealmNotServed {
		return outcomeUndeliverable
	}
	return outcomeMalformed
}

// survive tells of a fault, and nothing of what was worked on.
func (s *Server) survive(fault any) {
	problem := "a panic"
	if err, ok := fault.(runtime.Error); ok {
		problem = err.Error()
	}
	s.config.Log.Error("a fault of this program", "front", verifier.FrontS13, "problem", problem)
}

// decide is the verifier's status and that of the operator's own EIR, the worse of the two. It is false if the question was given up.
func (s *Server) decide(ctx context.Context, q *question) (status uint32, ok bool) {
	theirs := s.upstream.ask(q)
	in := q.input(&s.config)
	verdict, err := s.config.Judge.Appraise(ctx, in)
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, false
	case err != nil:
		verdict = s.config.Judge.Unjudged(in)
	}
	status = verdict.Answer.S13Status
	if s.upstream != nil {
		status = worst(status, s.upstream.wait(theirs))
	}
	if q.imsi == "" && status == attest.AnswerPermit.S13 { // the other EIR's: an IMEI alone is what anybody can show
		status = attest.AnswerTrack.S13
	}
	s.log(ctx, &verdict, in.Now, status, err)
	return status, true
}

// log writes one event for a decision, without identities.
func (s *Server) log(ctx context.Context, v *verifier.Verdict, asked time.Time, status uint32, failed error) {
	if failed != nil {
		s.config.Log.DebugContext(ctx, "not judged", "front", verifier.FrontS13, "answer", outcomes[status], "error", failed) // whoever runs the store says once that it fails
		return
	}
	if level := v.LogLevel(asked); s.config.Log.Enabled(ctx, level) {
		s.config.Log.LogAttrs(ctx, level, "judged", slog.String("front", string(verifier.FrontS13)), slog.Any("id", v.ID), slog.String("status", v.Status().String()),
			slog.Any("reasons", v.Reasons()), slog.String("answer", outcomes[status]))
	}
}

// outcomes are by Equipment-Status, or the Experimental-Result-Code of equipment that is not known.
var outcomes = map[uint32]string{attest.AnswerPermit.S13: outcomeWhite, attest.AnswerProhibit.S13: outcomeBlack, attest.AnswerTrack.S13: outcomeGrey,
	attest.S13Unknown: outcomeUnknown}

// worst combines what two EIRs say: prohibited is worse than tracked, that than permitted; unknown gives way to what the other one knows.
func worst(a, b uint32) uint32 {
	for _, status := range []uint32{attest.AnswerProhibit.S13, attest.AnswerTrack.S13, attest.AnswerPermit.S13} {
		if a == status || b == status {
			return status
		}
	}
	return attest.S13Unknown
}

// appendStatus appends the ME-Identity-Check-Answer (TS 29.272 clause 7.2.20). Unknown equipment is an Experimental-Result (clause 7.4.3.5).
func appendStatus(to []byte, m *diameter.Message, node Node, status uint32) []byte {
	begin := len(to)
	to = diameter.Begin(to, m.Header.Answer(diameter.Success))
	to = diameter.AppendText(to, diameter.SessionID, diameter.Find(m.AVPs, diameter.SessionID).Data)
	to = appendApplication(to)
	if status == attest.S13Unknown {
		to = diameter.AppendGroup(to, diameter.ExperimentalResult, func(to []byte) []byte {
			to = diameter.AppendUint32(to, diameter.VendorID, diameter.Vendor3GPP)
			return diameter.AppendUint32(to, diameter.ExperimentalCode, status)
		})
	} else {
		to = diameter.AppendUint32(to, diameter.ResultCodeAVP, uint32(diameter.Success))
	}
	to = diameter.AppendUint32(to, diameter.AuthSessionState, diameter.NoStateMaintained)
	to = node.append(to)
	if status != attest.S13Unknown {
		to = diameter.AppendUint32(to, diameter.EquipmentStatus, status)
	}
	to = appendProxyInfo(to, m)
	diameter.End(to, begin)
	return to
}
