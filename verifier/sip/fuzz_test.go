package sip_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"imei-attest/verifier/sip"
)

// FuzzParseRegister: what is read, written anew in the plainest form and read again, is the same; what is not read has a typed error that
// repeats nothing of it; and no limit is passed.
func FuzzParseRegister(f *testing.F) {
	for _, seed := range []string{
		mandatory + contact + digest + "\r\n",
		mandatory + "Contact: *\r\nExpires: 0\r\n\r\n",
		mandatory + "m: \"a\" <sip:a@h;sos>;q=1;expires=1;+sip.instance=\"<\\\"x>\", sip:b@h;expires=0\r\n\r\n",
		mandatory + contact + multipart(typed("application/sdp", "v=0"), "Content-Transfer-Encoding: base64\r\n"+typed("application/eat+cwt", "AAEC")),
		mandatory + contact + "l: 14\r\n" + typed("application/eat+cwt", token),
		line + " folded\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n", "\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	for _, message := range tortures(f) {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		got, err := sip.ParseRegister(message)
		if err != nil {
			var fault *sip.Error
			if got != nil || !errors.As(err, &fault) || fault.Where == "" || fault.Problem == "" || len(err.Error()) > 200 {
				t.Errorf("%+v, %v", got, err)
			}
			return
		}
		for _, text := range []string{got.InstanceID, got.IMPU, got.CallID, got.IMPI, got.Nonce, got.Algorithm, got.IntegrityProtected} {
			if len(text) > 512 || strings.ContainsAny(text, "\r\n\x00") {
				t.Errorf("%q in %+v", text, got)
			}
		}
		if len(message) > sip.MaxMessage || got.CSeq > 1<<31-1 {
			t.Errorf("beyond the limits: %d bytes, %+v", len(message), got)
		}
		again, err := sip.ParseRegister([]byte(written(got)))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("written anew:\n%q\n got %+v, %v\nwant %+v", written(got), again, err, got)
		}
	})
}

// FuzzOriginal: what is found in a body stands in it, or is decoded from it, and is no response; an error is typed and repeats nothing.
func FuzzOriginal(f *testing.F) {
	f.Add("message/sip", "", []byte(mandatory+"\r\n"))
	f.Add(`multipart/mixed; boundary="b"`, "", []byte("--b\r\nContent-Type: message/sip\r\n\r\nSIP/2.0 200 OK\r\n--b\r\nC: message/sip\r\n\r\nREGISTER\r\n--b--"))
	f.Add("message/sip", "base64", []byte("UkVHSVNURVI="))
	f.Fuzz(func(t *testing.T, mediaType, encoding string, body []byte) {
		got, err := sip.Original(func(name string) []string {
			return map[string][]string{"Content-Type": {mediaType}, "Content-Transfer-Encoding": {encoding}}[name]
		}, body)
		var fault *sip.Error
		switch {
		case err != nil && (got != nil || !errors.As(err, &fault) || len(err.Error()) > 200):
			t.Errorf("%q, %v", got, err)
		case got != nil && (len(got) > len(body) || strings.HasPrefix(strings.ToUpper(string(got)), "SIP/")):
			t.Errorf("%q of %q", got, body)
		case got != nil && !bytes.Contains(body, got) && !strings.Contains(strings.ToLower(encoding+string(body)), "base64"):
			t.Errorf("%q does not stand in %q", got, body)
		}
	})
}

// tortures are the messages of RFC 4475.
func tortures(t testing.TB) (messages [][]byte) {
	t.Helper()
	const archive = 50
	files, err := filepath.Glob("testdata/rfc4475/*.dat")
	if err != nil || len(files) != archive {
		t.Fatalf("%d files, %v; want %d", len(files), err, archive)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, raw)
	}
	return messages
}

// written is a message that says what was read.
func written(r *sip.Register) string {
	quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
	c, uri := "", "sip:a@h"
	if r.SOS {
		uri += ";sos"
	}
	if r.Expires != nil {
		c = fmt.Sprintf(";expires=%d", *r.Expires)
	}
	return line + via + from + "To: <" + r.IMPU + ">\r\nCall-ID: " + r.CallID + fmt.Sprintf("\r\nCSeq: %d REGISTER\r\n", r.CSeq) +
		"Contact: <" + uri + ">" + c + ";+sip.instance=" + quote(r.InstanceID) + "\r\n" +
		"Authorization: Digest username=" + quote(r.IMPI) + ",nonce=" + quote(r.Nonce) + ",algorithm=" + quote(r.Algorithm) +
		",integrity-protected=" + quote(r.IntegrityProtected) + "\r\n" + body(r.Evidence)
}

func body(token []byte) string {
	if token == nil {
		return "\r\n"
	}
	return typed("application/eat+cwt", string(token))
}
