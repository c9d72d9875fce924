package access_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"imei-attest/verifier/access"
)

func TestAsManyRequestsAreJudgedAsThereArePlaces(t *testing.T) {
	var told []access.Limit
	gate := newGate(access.NewClients(nil, access.Unnamed{}), 2, func(l access.Limit) { told = append(told, l) })
	entered, leave, done := make(chan bool), make(chan bool), make(chan bool)
	h := gate.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			entered <- true
			<-leave
		}
	}))
	for range 2 {
		go func() { answers(h, httptest.NewRequest("GET", "/hold", nil)); done <- true }()
		<-entered
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(w.Body.String(), `"status":503`) {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	if gate.InFlight() != 2 || len(told) != 1 || told[0] != access.LimitInFlight {
		t.Errorf("%d in flight, told of %v", gate.InFlight(), told)
	}
	leave <- true
	<-done
	if got := answers(h, httptest.NewRequest("GET", "/", nil)); got != "200" {
		t.Errorf("after one left: %s", got)
	}
	leave <- true
	<-done
}

// TestASlowSenderTakesNoPlace: the place is free until the body is there.
func TestASlowSenderTakesNoPlace(t *testing.T) {
	gate := newGate(access.NewClients(nil, access.Unnamed{}), 1, func(access.Limit) {})
	h := gate.Handler(http.HandlerFunc(ok))
	body, send := io.Pipe()
	done := make(chan string)
	go func() { done <- answers(h, httptest.NewRequest("POST", "/", body)) }()
	io.WriteString(send, "half")
	if got := answers(h, httptest.NewRequest("GET", "/", nil)); got != "200" {
		t.Errorf("beside a slow sender: %s", got)
	}
	send.Close()
	if got := <-done; got != "200" {
		t.Errorf("the slow sender: %s", got)
	}
}

// stuck is a reader that does not read.
type stuck struct {
	*httptest.ResponseRecorder
	written, read chan bool
}

func (s stuck) Write(p []byte) (int, error) {
	s.written <- true
	<-s.read
	return s.ResponseRecorder.Write(p)
}

// TestASlowReaderTakesNoPlace: the place is free once the answer is known.
func TestASlowReaderTakesNoPlace(t *testing.T) {
	gate := newGate(access.NewClients(nil, access.Unnamed{}), 1, func(access.Limit) {})
	h := gate.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", "y")
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "half and ")
		io.WriteString(w, "half")
	}))
	w, done := stuck{httptest.NewRecorder(), make(chan bool), make(chan bool)}, make(chan bool)
	go func() { h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)); done <- true }()
	<-w.written
	if got := answers(h, httptest.NewRequest("GET", "/", nil)); got != "202" {
		t.Errorf("beside a slow reader: %s", got)
	}
	w.read <- true
	<-done
	if w.Code != http.StatusAccepted || w.Body.String() != "half and half" || w.Header().Get("X") != "y" {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestTheBodyIsWhatWasSent(t *testing.T) {
	failed := errors.New("broken off")
	for name, c := range map[string]struct {
		body io.Reader
		want int
		err  error
	}{
		"nothing":               {strings.NewReader(""), 0, nil},
		"a few bytes":           {strings.NewReader("token"), 5, nil},
		"byte by byte":          {iotest.OneByteReader(strings.NewReader("token")), 5, nil},
		"just what is read":     {strings.NewReader(strings.Repeat("x", 64<<10)), 64 << 10, nil},
		"more than is read":     {strings.NewReader(strings.Repeat("x", 200<<10)), 200 << 10, nil},
		"one that is broken":    {io.MultiReader(strings.NewReader("half"), iotest.ErrReader(failed)), 4, failed},
		"one that breaks later": {io.MultiReader(strings.NewReader(strings.Repeat("x", 100<<10)), iotest.ErrReader(failed)), 100 << 10, failed},
	} {
		h := newGate(access.NewClients(nil, access.Unnamed{}), 1, func(access.Limit) {}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if got, err := io.ReadAll(r.Body); len(got) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s: got %d bytes, %v", name, len(got), err)
			}
		}))
		answers(h, httptest.NewRequest("POST", "/", c.body))
	}
}
