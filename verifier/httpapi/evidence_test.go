package httpapi_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"imei-attest/attest"
)

// wrapped is a record of each encoding.
func wrapped(kind string, value []byte, more ...any) (inJSON, inCBOR []byte) {
	tail := ""
	for _, m := range more {
		tail += fmt.Sprintf(",%v", m)
	}
	inJSON = fmt.Appendf(nil, "[%q,%q%s]", kind, base64.RawURLEncoding.EncodeToString(value), tail)
	inCBOR, err := cbor.Marshal(append([]any{kind, value}, more...))
	if err != nil {
		panic(err)
	}
	return inJSON, inCBOR
}

// TestWrappedEvidenceIsUnwrapped: the session shows the token, and a retry without the wrapper is the same.
func TestWrappedEvidenceIsUnwrapped(t *testing.T) {
	s := serve(t)
	for _, more := range [][]any{nil, {4}} {
		for _, kind := range []string{attest.EvidenceMediaType, "application/eat+cwt"} {
			for _, contentType := range []string{"application/cmw+json", "application/cmw+cbor", "application/vnd.veraison.cmw+json", "application/vnd.veraison.cmw+cbor"} {
				path, n := s.open()
				body, inCBOR := wrapped(kind, token(n), more...)
				if strings.HasSuffix(contentType, "cbor") {
					body = inCBOR
				}
				var got, again session
				r := s.do("POST", path, bytes.NewReader(body), "Content-Type", contentType)
				s.read(r, &got)
				if v := s.verdict(got.Result); v != good || got.Evidence.Type != attest.EvidenceMediaType || !bytes.Equal(got.Evidence.Value, token(n)) {
					t.Errorf("%s in %s: %d %s", kind, contentType, r.status, r.body)
				}
				s.read(s.submit(path, token(n)), &again)
				if again.Result != got.Result {
					t.Errorf("%s in %s: without the wrapper %s", kind, contentType, s.verdict(again.Result))
				}
			}
		}
	}
}

// TestAWrapperIsRefusedBeforeTheSessionIsUsed: its sender may try again.
func TestAWrapperIsRefusedBeforeTheSessionIsUsed(t *testing.T) {
	s := serve(t)
	path, n := s.open()
	record := func(kind string, more ...any) [2][]byte {
		inJSON, inCBOR := wrapped(kind, token(n), more...)
		return [2][]byte{inJSON, inCBOR}
	}
	for name, c := range map[string]struct {
		bodies [2][]byte // in JSON, in CBOR
		status int
		remedy string
	}{
		"another type":          {record("application/eat+jwt"), 415, attest.EvidenceMediaType},
		"another profile":       {record(`application/eat+cwt; eat_profile="x"`), 415, attest.EvidenceMediaType},
		"a wrapper in it":       {record("application/cmw+json"), 415, attest.EvidenceMediaType},
		"endorsements":          {record("application/eat+cwt", 2), 400, "indicator"},
		"evidence and more":     {record("application/eat+cwt", 6), 400, "indicator"},
		"indicator 0":           {record("application/eat+cwt", 0), 400, "indicator"},
		"a token unwrapped":     {[2][]byte{token(n), token(n)}, 400, "wrapper"},
		"the other encoding":    {[2][]byte{record("application/eat+cwt")[1], record("application/eat+cwt")[0]}, 400, "wrapper"},
		"nothing":               {[2][]byte{nil, nil}, 400, "empty"},
		"a collection":          {[2][]byte{[]byte(`{"a":["a/b","AAAA"]}`), []byte("\xa1\x61a\x82\x63a/b\x41a")}, 400, "wrapper"},
		"longer than it may be": {[2][]byte{bytes.Repeat([]byte(" "), 1<<15), bytes.Repeat([]byte{0x80}, 1<<15)}, 400, "at most"},
	} {
		for i, contentType := range []string{"application/cmw+json", "application/cmw+cbor"} {
			t.Run(name+" in "+contentType, func(t *testing.T) {
				s := *s
				s.t = t
				s.wantProblem(s.do("POST", path, bytes.NewReader(c.bodies[i]), "Content-Type", contentType), c.status, c.remedy)
			})
		}
	}
	var got session
	s.read(s.submit(path, token(n)), &got)
	if v := s.verdict(got.Result); v != good || strings.Count(s.log.String(), "judged") != 1 {
		t.Errorf("afterwards: %s", v)
	}
	if r := s.do("POST", path, bytes.NewReader(token(n)), "Content-Type", "application/cmw"); r.status != http.StatusUnsupportedMediaType {
		t.Errorf("a wrapper of no encoding: %d", r.status)
	}
}
