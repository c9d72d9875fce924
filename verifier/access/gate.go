package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// readAhead is how much of a body is read before a request takes one of the places in which it is judged: a slow sender
// waits outside. It is more than any token has.
const readAhead = 64 << 10

// Gate lets in what can be judged.
type Gate struct {
	clients atomic.Pointer[Clients]
	places  chan struct{}
	now     func() time.Time
	limited func(Limit)
}

// Limit is what a request was turned away by.
type Limit string

// The limits.
const (
	LimitRate        Limit = "rate"        // 429
	LimitInFlight    Limit = "in_flight"   // 503
	LimitConnections Limit = "connections" // the connection was closed
)

// NewGate returns a gate for so many requests at once. Limited is told of each request that was turned away; the clock only
// measures how fast requests follow each other.
func NewGate(clients *Clients, inFlight int, now func() time.Time, limited func(Limit)) *Gate {
	g := &Gate{places: make(chan struct{}, inFlight), now: now, limited: limited}
	g.clients.Store(clients)
	return g
}

// SetClients exchanges the clients and their limits. Each begins with all of its burst.
func (g *Gate) SetClients(c *Clients) { g.clients.Store(c) }

// Of returns the client of a request.
func (g *Gate) Of(r *http.Request) *Client { return g.clients.Load().Of(r) }

// Wait takes a turn of the client of a request: see [Clients.Wait].
func (g *Gate) Wait(r *http.Request) time.Duration { return g.clients.Load().Wait(r, g.now()) }

// InFlight is how many requests are judged now.
func (g *Gate) InFlight() int { return len(g.places) }

// Handler lets requests through to next, or turns them away.
func (g *Gate) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait := g.Wait(r); wait > 0 {
			g.turnAway(w, LimitRate, http.StatusTooManyRequests, wait, "more requests than are taken from one caller: wait as long as Retry-After says")
			return
		}
		prefetch(r)
		select {
		case g.places <- struct{}{}:
		default:
			g.turnAway(w, LimitInFlight, http.StatusServiceUnavailable, time.Second, "as many requests are judged as can be: try again")
			return
		}
		defer Settle(r.Context())()
		answer := held{ResponseWriter: w}
		g.judge(next, &answer, r)
		answer.send()
	})
}

// judge has the place until the answer is known: a slow reader waits outside, too.
func (g *Gate) judge(next http.Handler, w http.ResponseWriter, r *http.Request) {
	defer func() { <-g.places }()
	next.ServeHTTP(w, r)
}

// held is an answer that is not sent yet.
type held struct {
	http.ResponseWriter
	code int
	body []byte
}

// WriteHeader implements http.ResponseWriter.
func (h *held) WriteHeader(code int) {
	if h.code == 0 {
		h.code = code
	}
}

// Write implements http.ResponseWriter.
func (h *held) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	h.body = append(h.body, p...)
	return len(p), nil
}

func (h *held) send() {
	if len(h.body) > 0 { // else a long answer would be sent in chunks, which a small client need not understand
		h.Header().Set("Content-Length", strconv.Itoa(len(h.body)))
	}
	if h.code != 0 {
		h.ResponseWriter.WriteHeader(h.code)
	}
	if len(h.body) > 0 {
		_, _ = h.ResponseWriter.Write(h.body) // the peer may be gone: there is nobody left to tell
	}
}

func (g *Gate) turnAway(w http.ResponseWriter, limit Limit, status int, wait time.Duration, detail string) {
	g.limited(limit)
	const longest = time.Hour
	seconds := math.Ceil(min(wait, longest).Seconds())
	w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/problem+json") // RFC 9457
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the peer may be gone: there is nobody left to tell
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
}

// prefetch reads the body, up to a bound. Room is made as bytes come: a length that is only announced takes none.
func prefetch(r *http.Request) {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return
	}
	const usual = 4 << 10 // a token, or a registration with one
	size := int64(usual)
	if r.ContentLength > 0 {
		size = min(size, r.ContentLength)
	}
	read := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	_, err := read.ReadFrom(io.LimitReader(r.Body, readAhead))
	r.Body = &ahead{read: read, err: err, rest: r.Body}
}

// ahead is a body of which a part was read.
type ahead struct {
	read *bytes.Buffer
	err  error // of reading it
	rest io.ReadCloser
}

func (a *ahead) Read(p []byte) (int, error) {
	n, err := a.read.Read(p)
	switch {
	case !errors.Is(err, io.EOF):
		return n, err
	case a.err != nil:
		return 0, a.err
	}
	return a.rest.Read(p)
}

func (a *ahead) Close() error { return a.rest.Close() }
