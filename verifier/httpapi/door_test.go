package httpapi_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"imei-attest/verifier/httpapi"
)

func TestOtherPathsAndMethodsAreProblems(t *testing.T) {
	s := serve(t)
	for request, want := range map[string]struct {
		status int
		allow  string
	}{
		"GET /":                   {404, ""},
		"GET /v1":                 {404, ""},
		"POST /v1/appraise/":      {404, ""},
		"POST /v1//appraise":      {404, ""},
		"POST /v1/../v1/appraise": {404, ""},
		"GET /challenge-response/v1/session/a%2Fb": {404, ""},
		"GET " + newSession:                        {405, "POST"},
		"PUT /v1/appraise":                         {405, "POST"},
		"GET /v1/appraise":                         {405, "POST"},
		"OPTIONS /v1/appraise":                     {405, "POST"},
		"PUT /challenge-response/v1/session/AAAA":  {405, "DELETE, GET, HEAD, POST"},
		"POST /.well-known/veraison/verification":  {405, "GET, HEAD"},
	} {
		t.Run(request, func(t *testing.T) {
			s := *s
			s.t = t
			method, path, _ := strings.Cut(request, " ")
			r := s.do(method, path, nil)
			s.wantProblem(r, want.status, "")
			if allow := r.header.Get("Allow"); allow != want.allow {
				t.Errorf("Allow %q, want %q", allow, want.allow)
			}
		})
	}
}

// TestAFaultIsToldToTheLogAlone, and without what the request was about.
func TestAFaultIsToldToTheLogAlone(t *testing.T) {
	const secret = "490154203237518"
	for name, cause := range map[string]any{
		"a value of ours": secret, "an error of ours": errors.New(secret), "a runtime error": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			s.client = func() httpapi.Client {
				if cause == nil {
					var none map[string]int
					none[secret]++
				}
				panic(cause)
			}
			s.wantProblem(s.appraise(`{"registration":{"imei":"`+secret+`"}}`), http.StatusInternalServerError, "log")
			log := s.log.String()
			if !strings.Contains(log, `"route":"POST /v1/appraise"`) || !strings.Contains(log, "httpapi_test.TestAFaultIsToldToTheLogAlone") {
				t.Errorf("the log does not say where: %s", log)
			}
			if strings.Contains(log, secret) {
				t.Errorf("the log says of whom: %s", log)
			}
		})
	}
}

// TestWhoLacksARoleIsRefused, by its name.
func TestWhoLacksARoleIsRefused(t *testing.T) {
	s := serve(t)
	path, _ := s.open()
	for request, needed := range map[string]httpapi.Role{
		"GET " + path: httpapi.RoleDevice, "POST " + path: httpapi.RoleDevice, "DELETE " + path: httpapi.RoleDevice,
		"POST " + newSession: httpapi.RoleDevice, "POST /v1/appraise": httpapi.RoleNetwork,
	} {
		t.Run(request, func(t *testing.T) {
			s.client = having(^needed)
			s := *s
			s.t = t
			method, path, _ := strings.Cut(request, " ")
			s.wantProblem(s.do(method, path, nil), http.StatusForbidden, "the role "+needed.String())
		})
	}
	s.client = having(0)
	if r := s.do("GET", "/.well-known/veraison/verification", nil); r.status != http.StatusOK {
		t.Errorf("discovery is for everybody: %d", r.status)
	}
}

func TestRolesHaveNames(t *testing.T) {
	for role, want := range map[httpapi.Role]string{
		0: "none", httpapi.RoleDevice: "device", httpapi.RoleNetwork: "network", httpapi.RoleChooseNonce: "choose-nonce",
		httpapi.RoleEndorser: "endorser", httpapi.RoleAdmin: "admin", httpapi.RoleNetwork | httpapi.RoleAdmin: "network",
	} {
		if role.String() != want {
			t.Errorf("%d is %s, want %s", role, role, want)
		}
	}
}
