package sipfront

import (
	"context"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"

	sipgo "github.com/emiago/sipgo/sip"
)

// version is the only one that is answered in.
const version = "SIP/2.0"

// reply is what a request is answered with.
type reply struct {
	code     int
	original string         // as Outcome has it
	header   []sipgo.Header // beside those that every answer has
}

// receive answers a request, in a goroutine of asked if there is a place. It is called by who reads, and never waits.
func (s *Server) receive(ctx context.Context, asked *sync.WaitGroup, request *sipgo.Request, transport string, from netip.AddrPort, back wire) {
	if request.Method == sipgo.ACK {
		return // which is never answered (RFC 3261 section 17.1.1.3)
	}
	request.SetTransport(transport)
	request.SetSource(from.String())
	key, err := sipgo.ServerTxKeyMake(request)
	if err != nil {
		s.send(request, back, nil, reply{code: sipgo.StatusBadRequest})
		return
	}
	var kept *answer
	if !back.reliable() {
		var isNew bool
		if kept, isNew = s.answers.begin(key, s.Now()); !isNew {
			if raw := s.answers.again(kept); raw != nil {
				s.write(back, raw)
			}
			return
		}
	}
	select {
	case s.places <- struct{}{}:
		asked.Go(func() { s.send(request, back, kept, s.answer(ctx, request)) })
	default:
		s.Limited("in_flight")
		s.send(request, back, kept, later())
	}
}

// answer holds one of the places.
func (s *Server) answer(ctx context.Context, request *sipgo.Request) (r reply) {
	defer func() { <-s.places }()
	r = reply{code: sipgo.StatusInternalServerError}
	defer s.survive("a request is answered with 500")
	return s.judge(ctx, request)
}

func (s *Server) judge(ctx context.Context, request *sipgo.Request) reply {
	switch {
	case !strings.EqualFold(request.SipVersion, version):
		return reply{code: sipgo.StatusVersionNotSupported}
	case request.CSeq().MethodName != request.Method:
		return reply{code: sipgo.StatusBadRequest}
	case request.Method == sipgo.REGISTER:
		return s.register(ctx, request)
	case request.Method == sipgo.OPTIONS: // are you there?
		return reply{code: sipgo.StatusOK}
	}
	return reply{code: sipgo.StatusMethodNotAllowed, header: []sipgo.Header{sipgo.NewHeader("Allow", "REGISTER, OPTIONS")}}
}

// later asks to try again (RFC 3261 section 21.5.4).
func later() reply {
	return reply{code: sipgo.StatusServiceUnavailable, header: []sipgo.Header{sipgo.NewHeader("Retry-After", "1")}} // seconds
}

// send answers, and keeps the answer for retransmissions.
func (s *Server) send(request *sipgo.Request, back wire, kept *answer, r reply) {
	defer s.survive("a request is not answered")
	response := sipgo.NewResponseFromRequest(request, r.code, reasons[r.code], nil)
	response.SipVersion = version
	for _, h := range r.header {
		response.AppendHeader(h)
	}
	raw := []byte(response.String())
	if kept != nil {
		s.answers.finish(kept, raw)
	}
	s.Answered(Outcome{Method: methodName(request.Method), Original: r.original, Code: r.code})
	s.write(back, raw)
}

func (s *Server) write(back wire, raw []byte) {
	if err := back.write(raw); err != nil {
		s.Log.Debug("an answer could not be sent", "error", err)
	}
}

// reasons are the phrases of RFC 3261 section 21.
var reasons = map[int]string{
	sipgo.StatusOK: "OK", sipgo.StatusBadRequest: "Bad Request", sipgo.StatusForbidden: "Forbidden", sipgo.StatusMethodNotAllowed: "Method Not Allowed",
	sipgo.StatusInternalServerError: "Server Internal Error", sipgo.StatusServiceUnavailable: "Service Unavailable",
	sipgo.StatusVersionNotSupported: "Version Not Supported",
}

func methodName(m sipgo.RequestMethod) string {
	if m == sipgo.REGISTER || m == sipgo.OPTIONS {
		return string(m)
	}
	return "other"
}

// survive keeps the program going after a fault of it. The log says where, and nothing of what it worked on.
func (s *Server) survive(what string) {
	cause := recover()
	if cause == nil {
		return
	}
	problem := "a panic"
	if err, ok := cause.(runtime.Error); ok {
		problem = err.Error()
	}
	var at []string
	const depth, helpers = 16, 2
	var pcs [depth]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(helpers, pcs[:])])
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		at = append(at, f.Function+":"+strconv.Itoa(f.Line))
	}
	s.Log.Error("a fault of this program: "+what, "problem", problem, "at", at)
}
