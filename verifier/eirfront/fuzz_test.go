package eirfront_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"imei-attest/verifier/eirfront"
)

// What TS 29.571 clause 5.3.2 has for identifiers, without the branches that leave room for forms to come.
var (
	peiPattern  = regexp.MustCompile(`^(imei-[0-9]{15}|imeisv-[0-9]{16}|mac((-[0-9a-fA-F]{2}){6})(-untrusted)?|eui((-[0-9a-fA-F]{2}){8}))$`)
	supiPattern = regexp.MustCompile(`(?s)^(imsi-[0-9]{5,15}|nai-.+|gci-.+|gli-.+)$`)
	gpsiPattern = regexp.MustCompile(`(?s)^(msisdn-[0-9]{5,15}|extid-[^@]+@[^@]+)$`)
	featPattern = regexp.MustCompile(`^[A-Fa-f0-9]+$`)
)

// FuzzQuestion: whatever is asked is answered as the schema says, and by no fault of ours. The verifier is asked once about what the
// specification calls an IMEI, with what net/url reads in the query, and about nothing else.
func FuzzQuestion(f *testing.F) {
	f.Add("GET", "pei="+peiGood+"&supi="+alice+"&gpsi=msisdn-15555550100&supported-features=0", "application/json")
	f.Add("GET", "pei=mac-00-00-5E-00-53-00-untrusted&gpsi=extid-a@b", "*/*;q=0.1")
	f.Add("POST", "pei=eui-00-00-5E-EF-10-00-00-00", "application/json;q=0, text/*")
	for _, c := range wrong {
		f.Add("GET", c.query, "")
	}
	f.Fuzz(func(t *testing.T, method, query, accept string) {
		u := &url.URL{Path: eirfront.Path, RawQuery: query}
		r := &http.Request{Method: method, URL: u, RequestURI: u.RequestURI(), Header: make(http.Header)}
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		front := newFront(t)
		got := front.do(r)
		if got.status >= 500 {
			t.Errorf("%s %q: %s", method, query, got)
		}
		read, err := url.ParseQuery(query)
		if len(front.judge.asked) == 0 {
			return
		}
		asked := front.judge.asked[0]
		if len(front.judge.asked) > 1 || method != "GET" || err != nil || len(read["pei"]) != 1 || asked.PEI != read.Get("pei") || asked.PEI[:4] != "imei" ||
			asked.SUPI != read.Get("supi") || len(read["supi"]) > 1 || asked.LongestText() > 512 {
			t.Errorf("%s %q: asked %+v; read %v, %v", method, query, asked, read, err)
		}
		for name, pattern := range map[string]*regexp.Regexp{"pei": peiPattern, "supi": supiPattern, "gpsi": gpsiPattern, "supported-features": featPattern} {
			for _, value := range read[name] {
				if !pattern.MatchString(value) {
					t.Errorf("%s=%q was taken", name, value)
				}
			}
		}
	})
}

// FuzzAccessToken: no token passes but one that the NRF signed.
func FuzzAccessToken(f *testing.F) {
	good := signed(f, jwt.SigningMethodES256, p256key, access(nil))
	now := noon
	front, _ := withTokens(f, &now)
	f.Add("Bearer " + good)
	f.Add("Bearer " + signed(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, access(nil)))
	f.Add("Bearer eyJhbGciOiJFUzI1NiJ9.e30.AAAA")
	f.Fuzz(func(t *testing.T, authorization string) {
		r := httptest.NewRequest("GET", about("pei="+peiGood), nil)
		r.Header["Authorization"] = []string{authorization}
		w := httptest.NewRecorder()
		front.handler.ServeHTTP(w, r)
		got := reply{w.Code, w.Header(), w.Body.Bytes()}
		got.conforms(t)
		if got.status != http.StatusUnauthorized && authorization[len("Bearer "):] != good {
			t.Errorf("%q: %s", authorization, got)
		}
	})
}

// FuzzNRFKey: what is taken is a public key with one algorithm, and no text makes the parser fail otherwise than by an error.
func FuzzNRFKey(f *testing.F) {
	f.Add(pemOf(f, "PUBLIC KEY", &p256key.PublicKey))
	f.Add(pemOf(f, "PUBLIC KEY", &rsaKey.PublicKey))
	f.Add(jwkOf(f, nil))
	f.Add(jwkOf(f, rsaJWK("PS256")))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := eirfront.ParseNRFKey(text)
		if (err == nil) == (key == eirfront.NRFKey{}) {
			t.Errorf("%+v, %v", key, err)
		}
	})
}
