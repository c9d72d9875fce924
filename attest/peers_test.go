package attest_test

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"imei-attest/attest/attesttest"
	"imei-attest/testbench/peertest"

	"github.com/fxamacker/cbor/v2"
)

// rubyCOSE tells no version where Ruby is installed without it.
var rubyCOSE = peertest.Peer{Name: "ruby-cose", Program: "ruby", Version: []string{"-e", "begin; require 'cose'; puts COSE::VERSION; rescue LoadError; end"}}

// notForRuby lists the vectors that ruby-cose cannot judge, and why. All others must get our verdict.
var notForRuby = map[string]string{}

// TestSecondOpinion has ruby-cose, which shares no code with this package, verify the good vectors and those with a
// bad signature. The key ids are computed by the script, too.
func TestSecondOpinion(t *testing.T) {
	row := peertest.Use(t, rubyCOSE, "judges signatures as we do")
	vectors, keys, err := attesttest.Load()
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	want := make(map[string]string)
	for _, v := range vectors {
		if v.Expected != "ok" && v.Expected != "signature" || notForRuby[v.ID] != "" || v.Kind == "profile-b" {
			continue // the proof of profile B is no COSE
		}
		use := v.Kind
		if algorithmOf(t, v) == -35 {
			use += "-es384"
		}
		point, err := keys[use].Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := (len(point) - 1) / 2
		fmt.Fprintf(&lines, "%s %s %x %x\n", v.ID, v.Hex, point[1:1+half], point[1+half:])
		want[v.ID] = v.Expected
	}
	row.Asserted = fmt.Sprintf("judges %d signatures as we do", len(want))
	for line := range strings.Lines(runRuby(t, lines.String())) {
		id, verdict, _ := strings.Cut(strings.TrimSpace(line), " ")
		if want[id] != verdict {
			t.Errorf("%s: ruby-cose says %q, we %q", id, verdict, want[id])
		}
		delete(want, id)
	}
	for id := range want {
		t.Errorf("%s: ruby-cose says nothing", id)
	}
}

func algorithmOf(t *testing.T, v attesttest.Vector) (alg int64) {
	t.Helper()
	var message cbor.Tag
	var header struct {
		Alg int64 `cbor:"1,keyasint"`
	}
	if err := cbor.Unmarshal(v.Bytes(), &message); err != nil {
		t.Fatal(err)
	}
	if err := cbor.Unmarshal(message.Content.([]any)[0].([]byte), &header); err != nil {
		t.Fatal(err)
	}
	return header.Alg
}

func runRuby(t *testing.T, input string) string {
	t.Helper()
	const notInstalled = 3
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ruby", "testdata/second_opinion.rb")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &problems
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == notInstalled {
		peertest.Unavailable(t, rubyCOSE, strings.TrimSpace(problems.String()))
	}
	if err != nil {
		t.Fatalf("ruby: %v: %s", err, problems.String())
	}
	return out.String()
}
