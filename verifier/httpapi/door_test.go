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
	var none []int
	const secret = "490154203237518"
	for name, cause := range map[string]any{
		"a value of ours": secret, "an error of ours": errors.New(secret), "a runtime error": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			s.client = func() httpapi.Client {
				if cause == nil {
					panic(none[len(s.url)])
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

// each calls with every operation of the description, its address, and the role that it needs.
func each(call func(method, address, role string)) {
	for path := range contract.paths {
		for method, operation := range under(contract.document, "paths", path) {
			if method != "parameters" {
				role, _ := under(operation)["x-role"].(string)
				call(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "AAAA"), role)
			}
		}
	}
}

// TestWhoLacksARoleIsRefused, by the name of the role that the description demands; with no other he gets further.
func TestWhoLacksARoleIsRefused(t *testing.T) {
	s := serve(t)
	all := []httpapi.Role{httpapi.RoleDevice, httpapi.RoleNetwork, httpapi.RoleChooseNonce, httpapi.RoleEndorser, httpapi.RoleAdmin}
	each(func(method, address, needed string) {
		for _, role := range all {
			s.client = having(role)
			if got := s.do(method, address, nil).status != http.StatusForbidden; got != (needed == "" || role.String() == needed) {
				t.Errorf("%s %s is let in with the role %s alone: %v", method, address, role, got)
			}
			s.client = having(^role)
			if role.String() == needed {
				s.wantProblem(s.do(method, address, nil), http.StatusForbidden, "the role "+needed)
			}
		}
	})
}

func TestEveryFaultIsAProblem(t *testing.T) {
	s := serve(t)
	s.client = func() httpapi.Client { panic("a fault") }
	each(func(method, address, _ string) {
		s.wantProblem(s.do(method, address, nil), http.StatusInternalServerError, "log")
	})
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
