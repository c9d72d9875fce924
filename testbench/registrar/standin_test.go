package registrar

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// asked is what a judge was asked, and what it says.
type asked struct {
	code int
	err  error

	mutex sync.Mutex
	about []Facts
}

func (a *asked) judge(_ context.Context, _ []byte, f Facts) (int, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.about = append(a.about, f)
	return a.code, a.err
}

func (a *asked) facts() []Facts {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return slices.Clone(a.about)
}

func (a *asked) start(t *testing.T, subscribers ...Subscriber) func(Subscriber) *UE {
	t.Helper()
	s, err := StartStandIn(t.Context(), subscribers, a.judge)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return func(who Subscriber) *UE {
		u, err := NewUE(t.Context(), "udp", s.Addr, who, "<urn:gsma:imei:49015420-323751-0>", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { u.Close() })
		return u
	}
}

func (u *UE) mustStart(t *testing.T) *Challenge {
	t.Helper()
	c, err := u.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func code(t *testing.T, r *Response, err error) int {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return r.Code
}

// TestStandIn asks about each registration with what it knows, and about no deregistration.
func TestStandIn(t *testing.T) {
	byPassword := alice
	byPassword.ByPassword = true
	for algorithm, who := range map[string]Subscriber{"AKAv1-MD5": alice, "MD5": byPassword} {
		a := &asked{code: http.StatusOK}
		u := a.start(t, who)(who)
		c := u.mustStart(t)
		for range 2 {
			if r, err := u.Register(t.Context(), c, Body{}); code(t, r, err) != http.StatusOK {
				t.Errorf("%s: %s", algorithm, r.Status())
			}
		}
		if r, err := u.Deregister(t.Context(), c); code(t, r, err) != http.StatusOK {
			t.Errorf("%s: deregistration: %s", algorithm, r.Status())
		}
		first, second := "yes", "yes"
		if algorithm == "MD5" {
			first, second = "ip-assoc-pending", "ip-assoc-yes"
		}
		if got, want := a.facts(), []Facts{{algorithm, first, true, true}, {algorithm, second, false, false}}; !slices.Equal(got, want) {
			t.Errorf("%s: it was asked %+v, want %+v", algorithm, got, want)
		}
		if r, err := u.Register(t.Context(), c, Body{}); code(t, r, err) != http.StatusUnauthorized {
			t.Errorf("%s: the challenge is taken once more after the deregistration: %s", algorithm, r.Status())
		}
	}
}

// TestStandInRefuses who does not answer the challenge, and asks nobody about him.
func TestStandInRefuses(t *testing.T) {
	a := &asked{code: http.StatusOK}
	connect := a.start(t, alice)
	other := NewSubscriber("001010000000029")
	if _, err := connect(other).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("nobody's subscriber: %v", err)
	}
	u := connect(alice)
	c := u.mustStart(t)
	c.password[0] ^= 1
	if r, err := u.Register(t.Context(), c, Body{}); code(t, r, err) != http.StatusUnauthorized {
		t.Errorf("a wrong answer: %s", r.Status())
	}
	c = u.mustStart(t)
	u.mustStart(t)
	if r, err := u.Register(t.Context(), c, Body{}); code(t, r, err) != http.StatusUnauthorized {
		t.Errorf("the challenge before the last: %s", r.Status())
	}
	if got := a.facts(); len(got) > 0 {
		t.Errorf("it was asked %+v", got)
	}
}

// TestStandInObeys the judge, and lets nobody in whom it did not judge.
func TestStandInObeys(t *testing.T) {
	for want, a := range map[int]*asked{403: {code: 403}, 401: {code: 401}, 503: {err: errors.New("down")}} {
		u := a.start(t, alice)(alice)
		r, err := u.Register(t.Context(), u.mustStart(t), Body{})
		if code(t, r, err) != want || (r.Header.Get("Www-Authenticate") != "") != (want == 401) {
			t.Errorf("%s, want %d", r.Status(), want)
		}
	}
}

// TestUEAsksAgain over UDP, and gives up with the context.
func TestUEAsksAgain(t *testing.T) {
	silent, err := net.ListenPacket("udp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), timerE*3/2)
	defer cancel()
	u, err := NewUE(ctx, "udp", silent.LocalAddr().String(), alice, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if _, err := u.Start(ctx); err == nil {
		t.Error("it was answered by nobody")
	}
	var sent [2]string
	for i := range sent {
		raw := make([]byte, maxSIPBytes)
		silent.SetReadDeadline(time.Now().Add(time.Second))
		n, _, err := silent.ReadFrom(raw)
		if err != nil {
			t.Fatal(err)
		}
		sent[i] = string(raw[:n])
	}
	if sent[0] != sent[1] {
		t.Errorf("it sent\n%s\nand then\n%s", sent[0], sent[1])
	}
}
