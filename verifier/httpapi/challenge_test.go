package httpapi_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier/httpapi"
)

const choosing = httpapi.RoleDevice | httpapi.RoleNetwork | httpapi.RoleChooseNonce

// chosen has letters that base64 and base64url write differently.
func chosen(size int) attest.Nonce { return bytes.Repeat([]byte{0xfb, 0xff}, size)[:size] }

func (s *server) choose(text string) reply {
	s.t.Helper()
	return s.do("POST", newSession+"?nonce="+url.QueryEscape(text), nil)
}

// TestAChosenNonceIsAnswered: on any node, in whatever base64 it was given, and shown as clients read it.
func TestAChosenNonceIsAnswered(t *testing.T) {
	for i, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		for _, size := range []int{8, 33, 43, 44, 64} {
			s := serve(t)
			s.client = having(choosing)
			n := chosen(size)
			var opened, waiting, complete session
			r := s.choose(encoding.EncodeToString(n))
			s.read(r, &opened)
			if r.status != http.StatusCreated || opened.Status != "waiting" || opened.Nonce != base64.StdEncoding.EncodeToString(n) ||
				!opened.Expiry.Equal(attesttest.Now.Add(attest.NonceLife)) {
				t.Fatalf("encoding %d, %d bytes: %d %s", i, size, r.status, r.body)
			}
			s.client = having(httpapi.RoleDevice) // the device itself has no say in it
			path, other := "/challenge-response/v1/"+r.header.Get("Location"), s.twin()
			other.read(other.do("GET", path, nil), &waiting)
			other.read(other.submit(path, token(n)), &complete)
			if v := s.verdict(complete.Result); waiting.Status != "waiting" || waiting.Nonce != opened.Nonce || v != good {
				t.Errorf("encoding %d, %d bytes: %+v, then %s", i, size, waiting, v)
			}
		}
	}
}

func TestAChosenNonceServesOnce(t *testing.T) {
	s := serve(t)
	s.client = having(choosing)
	n := chosen(32)
	open := func() string { return "/challenge-response/v1/" + s.choose(n.String()).header.Get("Location") }
	path, second := open(), open()
	var first, retry, replay session
	s.read(s.submit(path, token(n)), &first)
	s.read(s.submit(second, token(n)), &retry)
	s.read(s.submit(second, attesttest.Token(claims(n), nil)), &replay)
	if s.verdict(first.Result) != good || retry.Result != first.Result || s.verdict(replay.Result) != "contraindicated: nonce-reused" {
		t.Errorf("%s, %s, %s", s.verdict(first.Result), s.verdict(retry.Result), s.verdict(replay.Result))
	}
	s.wantProblem(s.choose(n.String()), http.StatusConflict, "choose a new one")
	s.now = s.now.Add(23 * time.Hour)
	s.wantProblem(s.choose(n.String()), http.StatusConflict, "choose a new one")
}

func TestASessionOnAChosenNonceEnds(t *testing.T) {
	s := serve(t)
	s.client = having(choosing)
	closed, n := chosen(40), chosen(16)
	path := "/challenge-response/v1/" + s.choose(closed.String()).header.Get("Location")
	for range 2 {
		if r := s.do("DELETE", path, nil); r.status != http.StatusNoContent {
			t.Errorf("DELETE: %d %s", r.status, r.body)
		}
	}
	s.wantProblem(s.submit(path, token(closed)), http.StatusGone, "open a new one")
	s.wantProblem(s.choose(closed.String()), http.StatusConflict, "choose a new one")

	path = "/challenge-response/v1/" + s.choose(n.String()).header.Get("Location")
	s.now = s.now.Add(attest.NonceLife)
	for _, method := range []string{"GET", "POST", "DELETE"} {
		s.wantProblem(s.do(method, path, strings.NewReader("x")), http.StatusGone, "expired")
	}
}

func TestANonceThatIsNotTaken(t *testing.T) {
	s := serve(t)
	path, ours := s.open()
	s.wantProblem(s.choose(chosen(32).String()), http.StatusForbidden, "role choose-nonce")
	s.client = having(choosing)
	for text, remedy := range map[string]string{
		"": "8 to 64", "AAAA": "8 to 64", chosen(7).String(): "8 to 64", chosen(65).String(): "8 to 64", "no base64!": "8 to 64",
		ours.String(): "leave nonce out",
	} {
		s.wantProblem(s.choose(text), http.StatusBadRequest, remedy)
	}
	for _, query := range []string{"nonce=AAAAAAAAAAA&nonce=AAAAAAAAAAE", "nonce=AAAAAAAAAAA&nonceSize=32", "nonce=%zz"} {
		s.wantProblem(s.do("POST", newSession+"?"+query, nil), http.StatusBadRequest, "")
	}
	s.now = s.now.Add(attest.NonceLife)
	s.wantProblem(s.choose(ours.String()), http.StatusBadRequest, "leave nonce out") // nor may an old one of ours come back
	s.wantProblem(s.do("GET", path, nil), http.StatusGone, "expired")
}

// TestTheNonceOfAQuestion: one of ours binds the evidence to a session, one that the caller chose needs a role.
func TestTheNonceOfAQuestion(t *testing.T) {
	s := serve(t)
	_, ours := s.open()
	_, another := s.open()
	mine := chosen(24)
	ask := func(n, answered attest.Nonce) reply {
		return s.appraise(fmt.Sprintf(`{"evidence":%q,"nonce":%q}`, base64.StdEncoding.EncodeToString(token(answered)), base64.StdEncoding.EncodeToString(n)))
	}
	s.wantProblem(ask(mine, mine), http.StatusForbidden, "role choose-nonce")
	for _, roles := range []httpapi.Role{httpapi.RoleNetwork, choosing} {
		s.client = having(roles)
		for name, c := range map[string]struct {
			n, answered attest.Nonce
			want        string
		}{
			"ours":                       {ours, ours, good},
			"ours, and another answered": {another, ours, "none: nonce-expired"},
		} {
			var got answer
			s.read(ask(c.n, c.answered), &got)
			if v := s.verdict(got.Result); v != c.want {
				t.Errorf("%s: %s, want %s", name, v, c.want)
			}
		}
	}
	for answered, want := range map[string]string{string(mine): good, string(ours): "none: nonce-expired"} {
		var got answer
		s.read(ask(mine, attest.Nonce(answered)), &got)
		if v := s.verdict(got.Result); v != want {
			t.Errorf("chosen: %s, want %s", v, want)
		}
	}
	s.wantProblem(ask(chosen(7), mine), http.StatusBadRequest, "8 to 64")
	s.now = s.now.Add(attest.NonceLife)
	var late answer
	s.read(ask(another, another), &late)
	if v := s.verdict(late.Result); v != "none: nonce-expired" {
		t.Errorf("ours, expired: %s", v)
	}
}
