package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
)

// ask is what becomes of a registration with an IMEI that nobody endorsed.
func (s *serving) ask() (id, action string) {
	s.t.Helper()
	const unknown = `{"registration":{"imei":"49015420323751","impi":"alice@example"}}`
	response, err := http.Post("http://"+s.address+"/v1/appraise", "application/json", strings.NewReader(unknown))
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ ID, Action string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	return answer.ID, answer.Action
}

// policyOf is a file in which an unknown IMEI gets an action.
func policyOf(action string, more ...string) []byte {
	return []byte("name: test\nreasons:\n  not-endorsed: " + action + "\n" + strings.Join(more, ""))
}

func TestAChangeOfThePolicyIsInForceForTheNextJudgement(t *testing.T) {
	path := write(t, "policy.yaml", policyOf("warn"))
	s := start(t, trustFolder(t), t.TempDir(), "--policy", path)
	defer s.stop()
	want := func(action string) {
		t.Helper()
		if _, got := s.ask(); got != action {
			t.Errorf("got %s, want %s", got, action)
		}
	}
	change := func(text []byte, logged string) event {
		t.Helper()
		if err := os.WriteFile(path+".new", text, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		return s.until(logged)
	}
	want("warn")
	change(policyOf("deny"), "the policy was read again")
	want("deny")
	if e := change(policyOf("deny", "exceptions: 490154203237518\n"), "the policy was refused: the one of before still holds"); e.Level != "ERROR" ||
		!strings.Contains(e.Error, "exceptions") || strings.Contains(e.Error, "490154203237518") {
		t.Errorf("%+v", e)
	}
	want("deny")
	change(policyOf("challenge"), "the policy was read again")
	want("challenge")
}

func TestTheLogSaysWhatThePolicyNoLongerDoes(t *testing.T) {
	ended := "exceptions: [{imei: '49015420323751', subscriber: alice, until: 2020-01-01T00:00:00Z, reason: repair}]\n"
	s := start(t, trustFolder(t), t.TempDir(), "--policy", write(t, "policy.yaml", policyOf("warn", ended)))
	defer s.stop()
	var messages []string
	for _, e := range s.warning {
		messages = append(messages, e.Level+" "+e.Message)
	}
	if got := strings.Join(messages, "\n"); !strings.Contains(got, "INFO the policy is in force\nWARN the policy has something that no longer counts") {
		t.Errorf("%s", got)
	}
}

func TestTheBreakerIsAnAlarmInTheLog(t *testing.T) {
	breaker := "breaker: {share: 50%, within: 1h, minimum: 3}\n"
	s := start(t, trustFolder(t), t.TempDir(), "--policy", write(t, "policy.yaml", policyOf("deny", breaker)))
	defer s.stop()
	var actions []string
	for range 4 {
		_, action := s.ask()
		actions = append(actions, action)
	}
	if got := strings.Join(actions, " "); got != "deny deny deny observe" {
		t.Errorf("got %s, want deny deny deny observe", got)
	}
	const opened = "the policy's breaker has opened, because too many registrations would be refused: nobody is refused any more"
	if e := s.until(opened); e.Level != "ERROR" {
		t.Errorf("%+v", e)
	}
}

// TestExplainAsksTheAdminAddress: a decision of one door is explained at the other, which is of this machine only.
func TestExplainAsksTheAdminAddress(t *testing.T) {
	s := start(t, trustFolder(t), t.TempDir(), "--admin", ":0")
	defer s.stop()
	id, _ := s.ask()
	if !strings.HasPrefix(s.admin, "127.0.0.1:") {
		t.Errorf("--admin :0 listens on %s", s.admin)
	}
	if got := execute("", "explain", id, "--admin", "http://"+s.admin); got.code != exitYes || !strings.Contains(got.stdout, "not-endorsed") {
		t.Errorf("%+v", got)
	}
	for _, path := range []string{"/admin/v1/decisions", "/admin/v1/decisions/" + id} {
		response, err := http.Get("http://" + s.address + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s at the devices' address: %s", path, response.Status)
		}
	}
}

func TestAnAdminAddressInTheOpenIsRefused(t *testing.T) {
	got := execute("", "serve", "--trust", trustFolder(t), "--state", t.TempDir(), "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0")
	if got.code != exitUsage || !strings.Contains(got.stderr, "give tls.client_ca and a client with role admin") {
		t.Errorf("%+v", got)
	}
}

func TestServeEndsCleanlyWithBothDoors(t *testing.T) {
	s := start(t, trustFolder(t), t.TempDir(), "--admin", "127.0.0.1:0")
	s.stop()
	for _, address := range []string{s.address, s.admin} {
		if response, err := http.Post("http://"+address+"/", "", bytes.NewReader(nil)); err == nil {
			response.Body.Close()
			t.Errorf("%s answers %s after the end", address, response.Status)
		}
	}
}
