package sipfront

import (
	"context"
	"strings"

	sipgo "github.com/emiago/sipgo/sip"

	"imei-attest/verifier"
	"imei-attest/verifier/sip"
)

// What became of the original REGISTER.
const (
	originalRead       = "read"
	originalMissing    = "missing" // the filter criteria do not include it
	originalUnreadable = "unreadable"
)

// notice is a third-party REGISTER, with the question it is to the verifier.
type notice struct {
	verifier.Input
	original string
	sos      bool // the UE asks for an emergency registration, which only it says
}

// register judges a registration that an S-CSCF tells of.
func (s *Server) register(ctx context.Context, request *sipgo.Request) reply {
	n, err := s.read(request)
	if err != nil {
		s.Log.DebugContext(ctx, "a third-party REGISTER cannot be read", "problem", err)
		return reply{code: sipgo.StatusBadRequest}
	}
	verdict, failed := s.Verifier.Appraise(ctx, n.Input)
	if failed != nil {
		verdict = s.Verifier.Unjudged(n.Input)
	}
	r := n.reply(&verdict, failed != nil)
	r.original = n.original
	if r.code == sipgo.StatusOK {
		for _, value := range valuesOf(request)("Expires") { // TS 24.229 clause 5.7.1.1
			r.header = append(r.header, sipgo.NewHeader("Expires", value))
		}
	}
	if failed != nil {
		s.Log.DebugContext(ctx, "no judgement", "error", failed)
		return r
	}
	s.Log.Log(ctx, verdict.LogLevel(n.Now), "judged", "id", verdict.ID, "status", verdict.Status().String(), "reasons", verdict.Reasons(), "evidence_bytes", len(n.Evidence),
		"original", n.original, "answer", r.code)
	return r
}

// reply is what the policy makes of a verdict. To challenge is not an application server's, and who calls for help is not refused on what he
// says of himself: both are answered with 200. Where nothing was judged, a policy that refuses such registrations asks to try again.
func (n *notice) reply(v *verifier.Verdict, failed bool) reply {
	switch {
	case v.Answer.SIPCode != sipgo.StatusForbidden || n.sos:
		return reply{code: sipgo.StatusOK}
	case failed:
		return later()
	}
	return reply{code: sipgo.StatusForbidden}
}

// read makes the question. What of the original cannot be read is a registration that shows no IMEI, and judged as one.
func (s *Server) read(request *sipgo.Request) (n notice, err error) {
	header := valuesOf(request)
	told, err := sip.ParseNotice(header)
	if err != nil {
		return n, err
	}
	r := &verifier.Registration{Front: verifier.FrontSIP, IMPU: told.IMPU, Expires: told.Expires}
	n = notice{Input: verifier.Input{Registration: r, Now: s.Now()}, original: originalMissing}
	original, err := sip.Original(header, request.Body())
	if err == nil && original == nil {
		return n, nil
	}
	var m *sip.Register
	if err == nil {
		m, err = sip.ParseRegister(original)
	}
	if err != nil {
		s.Log.Debug("the original REGISTER cannot be read", "problem", err)
		n.original = originalUnreadable
		return n, nil
	}
	n.original, n.sos, n.Evidence = originalRead, m.SOS, m.Evidence
	s.readOriginal(r, m)
	return n, nil
}

// readOriginal takes over what the UE says of itself, and what the P-CSCF and the S-CSCF checked of it. Whether it is a re-registration nobody
// says: it counts as initial, so that what rests on an earlier result alone is at best a warning.
func (s *Server) readOriginal(r *verifier.Registration, m *sip.Register) {
	r.InstanceID, r.IMPI, r.CallID, r.CSeq = m.InstanceID, m.IMPI, m.CallID, m.CSeq
	r.Challenge401, r.ChallengeOutstanding = m.Nonce, s.Reauthenticates
	r.IntegrityProtected = m.IntegrityProtected
	if isAuthenticatedByAKA(m) {
		r.Auth = m.Algorithm
	}
}

// isAuthenticatedByAKA: the algorithm is the UE's word. It is believed where the P-CSCF says that the request came over a security association,
// which only AKA sets up, or where the S-CSCF goes by that very word (TS 24.229 clause 5.4.1.1, items 2 and 2A).
func isAuthenticatedByAKA(m *sip.Register) bool {
	return m.IntegrityProtected == "yes" || m.IntegrityProtected == "tls-connected" && strings.HasPrefix(strings.ToUpper(m.Algorithm), "AKAV2")
}

// shortNames are the compact forms of the header fields that a notice is read from (RFC 3261 section 7.3.3).
var shortNames = map[string]string{"To": "t", "Content-Type": "c", "Content-Encoding": "e"}

func valuesOf(request *sipgo.Request) sip.Header {
	return func(name string) (values []string) {
		short := shortNames[name]
		for _, h := range request.Headers() {
			if is := h.Name(); strings.EqualFold(is, name) || short != "" && strings.EqualFold(is, short) {
				values = append(values, h.Value())
			}
		}
		return values
	}
}
