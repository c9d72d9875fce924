package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/store"
	"imei-attest/verifier/trust"
)

// recordedLines are the decisions on an honest device, a reprogrammed one and an unknown one, by the default policy, as lines.
func recordedLines(t *testing.T) []byte {
	t.Helper()
	anchors, _, err := trust.Load(trustFolder(t))
	if err != nil {
		t.Fatal(err)
	}
	nonces, err := attest.NewNonceKeys(0, make([]byte, nonceKeyBytes), nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verifier.New(verifier.Config{Store: store.NewMemory(), Nonces: nonces, Trust: anchors})
	if err != nil {
		t.Fatal(err)
	}
	nonce := func(last byte) attest.Nonce { return append(make(attest.Nonce, 15), last) }
	for _, in := range []verifier.Input{
		{Evidence: token(t, attest.StorageTPMDiscrete, nonce(1)), Nonce: verifier.Expectation{Exact: nonce(1)}},
		{Evidence: token(t, attest.StorageTPMDiscrete, nonce(2), reprogrammed), Nonce: verifier.Expectation{Exact: nonce(2)}},
		{Registration: &verifier.Registration{InstanceID: "<urn:gsma:imei:86995506-251142-0>", Front: verifier.FrontSIP}},
	} {
		in.Now = time.Unix(1_790_000_000, 0)
		if _, err := v.Appraise(context.Background(), in); err != nil {
			t.Fatal(err)
		}
	}
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	if err := v.Records(context.Background(), time.Time{}, func(r *verifier.Record) bool { return encoder.Encode(r) == nil }); err != nil {
		t.Fatal(err)
	}
	return lines.Bytes()
}

func TestPolicyTry(t *testing.T) {
	lines := recordedLines(t)
	decisions := write(t, "decisions.jsonl", lines)
	enforce := write(t, "enforce.yaml", []byte(execute("", "policy", "show", "enforce").stdout))
	observe := write(t, "observe.yaml", []byte(execute("", "policy", "show", "observe").stdout))

	got := execute("", "policy", "try", "--policy", enforce, "--decisions", decisions)
	for _, want := range []string{"3 decisions, 3 change\n", "\nobserve  deny    imei-tampered    1          1: 49015420 ", "\nobserve  warn    not-endorsed     1          1: 86995506 ",
		"\nobserve  accept  imei-consistent  1          1: 49015420 "} {
		if got.code != exitYes || got.stderr != "" || !strings.Contains(got.stdout, want) {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
	if again := execute(string(lines), "policy", "try", "--policy", enforce, "--against", observe, "--decisions", "-"); again != got {
		t.Errorf("against what decided: got %+v, want %+v", again, got)
	}
	if got := execute("", "policy", "try", "--policy", observe, "--decisions", decisions); got != (outcome{stdout: "3 decisions, 0 change\n"}) {
		t.Errorf("the same policy: got %+v", got)
	}
	got = execute("", "policy", "try", "--policy", enforce, "--decisions", decisions, "--json")
	for _, want := range []string{`"decisions": 3,`, `"changed": 3,`, `"not_replayed": 0,`, `"to": "deny",`, `"tac": "49015420",`} {
		if got.code != exitYes || !strings.Contains(got.stdout, want) {
			t.Errorf("--json: got %+v, want %s", got, want)
		}
	}
}

func TestPolicyTryRefuses(t *testing.T) {
	good := string(recordedLines(t))
	enforce := write(t, "enforce.yaml", []byte(execute("", "policy", "show", "enforce").stdout))
	bad := write(t, "bad.yaml", []byte("name: a\ndefault: dney\n"))
	for _, c := range []struct {
		name, decisions, policy, against, want string
	}{
		{"nothing", "", enforce, "", "there is no recorded decision to try the policy on"},
		{"another file", "hello\n", enforce, "", "line 1 is no recorded decision"},
		{"a bad policy", good, bad, "", "--policy: policy file " + bad + ": it is not used until this is mended:\n  line 2, default: unknown word"},
		{"a bad policy to compare with", good, enforce, bad, "--against: policy file " + bad},
	} {
		args := []string{"policy", "try", "--policy", c.policy, "--decisions", "-"}
		if c.against != "" {
			args = append(args, "--against", c.against)
		}
		if got := execute(c.decisions, args...); got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%s: got %+v, want %q", c.name, got, c.want)
		}
	}
}

func TestProgressOnATerminal(t *testing.T) {
	for on, want := range map[bool]string{true: "\r\x1b[K1000 decisions\r\x1b[K", false: ""} {
		var screen bytes.Buffer
		p := progress{w: &screen, on: on, what: "decisions"}
		for range 1500 {
			p.step()
		}
		if p.end(); screen.String() != want {
			t.Errorf("terminal %v: got %q, want %q", on, screen.String(), want)
		}
	}
}
