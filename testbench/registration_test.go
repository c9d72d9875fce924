package testbench_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/testbench"
	"imei-attest/testbench/peertest"
	"imei-attest/testbench/registrar"
	"imei-attest/verifier"
)

// identity is an IMEI or an IMSI in full.
var identity = regexp.MustCompile(`[0-9]{8}-?[0-9]{6}`)

// register plays one registration, and returns what was shown of it.
func register(t *testing.T, kind testbench.VaultKind, r testbench.Registration) (*testbench.Outcome, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w, err := testbench.NewWorld(ctx, t.TempDir(), kind)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var mutex sync.Mutex
	var shown strings.Builder
	out, err := w.Register(ctx, r, func(s registrar.Step) {
		mutex.Lock()
		defer mutex.Unlock()
		shown.WriteString(s.From + " -> " + s.To + ": " + s.What + " " + strings.Join(s.Details, ", ") + "\n")
	})
	if errors.Is(err, registrar.ErrNoKamailio) {
		peertest.Unavailable(t, kamailio, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	if out.Problem != "" {
		t.Errorf("%+v: %s\n%s", r, out.Problem, &shown)
	}
	mutex.Lock()
	defer mutex.Unlock()
	if found := identity.FindString(shown.String()); found != "" {
		t.Errorf("%+v: the messages show %q", r, found)
	}
	return out, shown.String()
}

// all plays every client and every lie.
func all(t *testing.T, kind testbench.VaultKind, front testbench.Front) {
	t.Helper()
	for class := range uint8(3) {
		register(t, kind, testbench.Registration{Front: front, Class: class + 1})
	}
	for _, l := range testbench.Lies() {
		register(t, kind, testbench.Registration{Front: front, Class: 3, Lie: l.Name})
	}
}

func TestRegistrationsOverHTTP(t *testing.T) {
	all(t, testbench.VaultSoftware, testbench.FrontHTTP)
	for _, l := range testbench.Lies() {
		register(t, testbench.VaultSoftware, testbench.Registration{Front: testbench.FrontHTTP, Class: 1, Lie: l.Name})
	}
}

func TestRegistrationOnTPM(t *testing.T) {
	tpmtest.New(t) // skips or fails where there is no engine
	out, _ := register(t, testbench.VaultTPM, testbench.Registration{Front: testbench.FrontHTTP, Class: 3})
	if v := out.Verdict; v.Status() != attest.StatusAffirming || v.Tier != attest.T3 || out.Answer.Code != http.StatusOK {
		t.Errorf("%s, tier %s, %s", v.Status(), v.Tier, out.Answer.Status())
	}
}

var kamailio = peertest.Peer{Name: "kamailio", Version: []string{"-v"}}

// some plays the clients at Kamailio, and all lies too in the long form: each takes a second and a half, until Kamailio and the HSS have met.
func some(t *testing.T, front testbench.Front) {
	t.Helper()
	if os.Getenv("IMEI_ATTEST_SOAK") == "1" {
		all(t, testbench.VaultSoftware, front)
		return
	}
	register(t, testbench.VaultSoftware, testbench.Registration{Front: front, Class: 1})
	register(t, testbench.VaultSoftware, testbench.Registration{Front: front, Class: 2, Lie: "missing"})
}

func TestRegistrationsAtKamailio(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts Kamailio some times")
	}
	peertest.Use(t, kamailio, "imei-lab registration --front kamailio: registrar and S-CSCF with the gate do what the verifier says")
	some(t, testbench.FrontKamailio)
	out, shown := register(t, testbench.VaultSoftware, testbench.Registration{Front: testbench.FrontKamailio, Class: 3, Lie: "spoofed"})
	if out.Answer.Code != http.StatusForbidden || strings.Contains(shown, "SAR") {
		t.Errorf("%s\n%s", out.Answer.Status(), shown)
	}
	for _, want := range []string{"S-CSCF -> verifier: POST /v1/registrations/batch", "message: the REGISTER, ",
		"registration: auth=AKAv1-MD5, challenge_outstanding=true, emergency=false, initial=true, integrity_protected=yes, sender=testbench",
		"verifier -> S-CSCF: sip_code 403, label contraindicated:registration-spoofed"} {
		if !strings.Contains(shown, want) {
			t.Errorf("nothing of %q in\n%s", want, shown)
		}
	}
}

func TestRegistrationsBehindSCSCF(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts Kamailio some times")
	}
	peertest.Use(t, kamailio, "imei-lab registration --front scscf: UE, S-CSCF, HSS and application server are shown")
	some(t, testbench.FrontSCSCF)
	out, shown := register(t, testbench.VaultSoftware, testbench.Registration{Front: testbench.FrontSCSCF, Class: 3, Lie: "spoofed"})
	if out.Answer.Code != http.StatusOK || out.Server != http.StatusForbidden {
		t.Errorf("UE %s, AS %d", out.Answer.Status(), out.Server)
	}
	for _, want := range []string{"S-CSCF -> HSS: MAR", "HSS -> S-CSCF: SAA", "S-CSCF -> AS: REGISTER, third-party", "AS -> S-CSCF: 403"} {
		if !strings.Contains(shown, want) {
			t.Errorf("nothing of %q in\n%s", want, shown)
		}
	}
}

// A check that cannot fail is worth nothing: each lie refuses a verdict without status and reasons, and the answer that is not the verdict's.
func TestLiesRefuseOtherOutcomes(t *testing.T) {
	for _, l := range testbench.Lies() {
		if err := l.Judge(&testbench.Outcome{}); err == nil {
			t.Errorf("%s: a verdict without status and reasons passes", l.Name)
		}
	}
	denied := verifier.Verdict{Answer: verifier.Answer{SIPCode: http.StatusForbidden}}
	for name, o := range map[string]testbench.Outcome{
		"let in by a gate":           {Verdict: denied, Answer: &registrar.Response{Code: http.StatusOK}},
		"not heard of by the S-CSCF": {Verdict: denied, Answer: &registrar.Response{Code: http.StatusOK}, Server: http.StatusOK},
		"refused by the S-CSCF":      {Verdict: denied, Answer: &registrar.Response{Code: http.StatusForbidden}, Server: http.StatusForbidden},
	} {
		if err := testbench.Obeys(o.Server == 0, &o); err == nil {
			t.Errorf("%s: it passes", name)
		}
	}
}

func TestFrontsAndLiesThatAreNot(t *testing.T) {
	if err := testbench.Front("nosuch").Check(); err == nil || !strings.Contains(err.Error(), "want one of 5geir, http, kamailio, s13, scscf") {
		t.Error(err)
	}
	if _, err := testbench.LieNamed("nosuch"); err == nil || !strings.Contains(err.Error(), "want one of spoofed, ") {
		t.Error(err)
	}
}
