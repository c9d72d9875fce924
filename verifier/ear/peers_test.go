package ear_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"imei-attest/testbench/peertest"
)

// TestSecondOpinionOnACWT has ruby-cose, which shares no code with this package, verify a result and one whose last byte was changed.
func TestSecondOpinionOnACWT(t *testing.T) {
	rubyCOSE := peertest.Peer{Name: "ruby-cose", Program: "ruby", Version: []string{"-e", "begin; require 'cose'; puts COSE::VERSION; rescue LoadError; end"}}
	peertest.Use(t, rubyCOSE, "verifies the result that a CWT carries")
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	good := signCWT(t, sample())
	forged := slices.Clone(good)
	forged[len(forged)-1] ^= 1
	ruby := exec.CommandContext(t.Context(), "ruby", "../../attest/testdata/second_opinion.rb")
	ruby.Stdin = strings.NewReader(fmt.Sprintf("good %x %x %x\nforged %x %x %x\n", good, point[1:33], point[33:], forged, point[1:33], point[33:]))
	out, err := ruby.Output()
	if want := "good ok\nforged signature\n"; err != nil || string(out) != want {
		t.Errorf("ruby-cose says %q, %v; want %q", out, err, want)
	}
}
