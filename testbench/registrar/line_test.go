package registrar

import (
	"bufio"
	"reflect"
	"strings"
	"testing"
)

const sampleResponse = "SIP/2.0 401 Unauthorized - Challenging the UE\r\nCSeq: 1 REGISTER\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx\r\n" +
	"WWW-Authenticate: Digest realm=\"a, b\", nonce=\"n==\",algorithm=AKAv1-MD5, qop=\"auth,auth-int\"\r\nContent-Length: 4\r\n\r\nbody"

func TestResponse(t *testing.T) {
	r, err := readResponse(bufio.NewReader(strings.NewReader(sampleResponse)))
	if err != nil || r.Status() != "401 Unauthorized - Challenging the UE" || r.Header.Get("CSeq") != "1 REGISTER" {
		t.Fatalf("%+v, %v", r, err)
	}
	challenge := r.Header.Get("WWW-Authenticate")
	for name, want := range map[string]string{"realm": "a, b", "nonce": "n==", "algorithm": "AKAv1-MD5", "qop": "auth,auth-int", "opaque": "", "once": ""} {
		if got := parameter(challenge, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestNoResponse(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":            "",
		"HTTP":               "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"a request":          "REGISTER sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n",
		"a code of letters":  "SIP/2.0 abc OK\r\nContent-Length: 0\r\n\r\n",
		"no length":          "SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\n\r\n",
		"a length below 0":   "SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\n",
		"a header cut off":   "SIP/2.0 200 OK\r\nContent-Le",
		"a body that is cut": "SIP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nbod",
	} {
		if r, err := readResponse(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Errorf("%s is read as %+v", name, r)
		}
	}
}

// FuzzResponse: of what is read, as much is taken as it says, so that the next one is read the same.
func FuzzResponse(f *testing.F) {
	f.Add(sampleResponse)
	f.Add("SIP/2.0 200 \r\nContent-Length:0\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := bufio.NewReaderSize(strings.NewReader(text), maxSIPBytes)
		first, err := readResponse(r)
		if err != nil || len(text) > maxSIPBytes/2 {
			return
		}
		taken := text[:len(text)-r.Buffered()]
		again := bufio.NewReaderSize(strings.NewReader(taken+taken), maxSIPBytes)
		for range 2 {
			if next, err := readResponse(again); err != nil || !reflect.DeepEqual(next, first) {
				t.Fatalf("%+v, then %+v, %v", first, next, err)
			}
		}
		if again.Buffered() != 0 {
			t.Errorf("%d bytes are left", again.Buffered())
		}
	})
}
