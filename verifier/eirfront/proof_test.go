package eirfront_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/bench"
	"imei-attest/verifier/eirfront"
	"imei-attest/verifier/policy"
	"imei-attest/verifier/store/sqlite"
	"imei-attest/verifier/trust"
)

// network is a verifier with its store on a disk, under the policy enforce, and a front before it. Devices of a crowd register with IMS there.
type network struct {
	*front
	t     testing.TB
	crowd *bench.Crowd
	v     *verifier.Verifier
	store *sqlite.Store
	open  func()
	now   time.Time
}

func newNetwork(t testing.TB) *network {
	t.Helper()
	crowd, err := bench.NewCrowd(make([]byte, bench.SecretBytes))
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := crowd.Anchor()
	if err != nil {
		t.Fatal(err)
	}
	folder, state := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "crowd.yaml"), anchor, 0o600); err != nil {
		t.Fatal(err)
	}
	trusted, _, err := trust.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := policy.Shipped(policy.Enforce)
	enforce, _, err := policy.Parse(text, noon)
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t: t, crowd: crowd, now: noon}
	n.open = func() {
		keys, err := attest.NewNonceKeys(0, make([]byte, 32), nil)
		if err != nil {
			t.Fatal(err)
		}
		n.store, err = sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(state, "store.db"), Program: "test",
			Devices: verifier.PseudonymKeys{Current: verifier.PseudonymKey{1}}, Subscribers: verifier.PseudonymKeys{Current: verifier.PseudonymKey{2}}})
		if err != nil {
			t.Fatal(err)
		}
		n.v, err = verifier.New(verifier.Config{Store: n.store, Nonces: keys, Trust: trusted, Policy: enforce, Pseudonyms: n.store.Pseudonyms()})
		if err != nil {
			t.Fatal(err)
		}
		n.front = newFront(t, func(c *eirfront.Config) { c.Verifier, c.InFlight, c.Now = n.v, 256, func() time.Time { return n.now } })
	}
	n.open()
	t.Cleanup(func() { n.store.Close() })
	return n
}

// restarts ends the verifier and begins another on what is on the disk.
func (n *network) restarts() {
	n.t.Helper()
	if err := n.store.Close(); err != nil {
		n.t.Fatal(err)
	}
	n.open()
}

// registers lets a device register with IMS, and attest.
func (n *network) registers(device int) {
	n.t.Helper()
	if err := n.crowd.Register(context.Background(), n.v, device, n.now); err != nil {
		n.t.Fatal(err)
	}
}

// pei and supi are those of a device of the crowd and of its owner.
func pei(device int) string  { return fmt.Sprintf("pei=imei-%014d0", 35693803_000000+device) }
func supi(device int) string { return fmt.Sprintf("&supi=imsi-00101%010d", device) }

func (n *network) wants(what, query, want string) {
	n.t.Helper()
	if got := n.ask("GET", about(query)).String(); got != want {
		n.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

func TestAnEndorsedIMEIWithoutASubscriberIsNeverBetterThanTracked(t *testing.T) {
	n := newNetwork(t)
	n.wants("before anything is known of it", pei(1), unknown)
	n.registers(1)
	for range 3 {
		n.wants("with its subscriber", pei(1)+supi(1), "OK WHITELISTED")
		n.wants("without one", pei(1), "OK GREYLISTED")
		n.wants("with a GPSI alone", pei(1)+"&gpsi=msisdn-15555550100", "OK GREYLISTED")
		n.wants("by an IMEISV", strings.Replace(pei(1), "imei-", "imeisv-", 1)+"1", "OK GREYLISTED")
	}
	n.wants("by an IMEISV, with its subscriber", strings.Replace(pei(1), "imei-", "imeisv-", 1)+"1"+supi(1), "OK WHITELISTED")
	n.wants("with the right check digit", strings.TrimSuffix(pei(1), "0")+"7"+supi(1), "OK WHITELISTED")
	n.restarts()
	n.wants("after a restart, without one", pei(1), "OK GREYLISTED")
	n.wants("after a restart, with it", pei(1)+supi(1), "OK WHITELISTED")
	n.now = n.now.Add(25 * time.Hour)
	n.wants("the next day, before it registers", pei(1)+supi(1), "OK GREYLISTED")
	n.wants("the next day, without a subscriber", pei(1), "OK GREYLISTED")
}

func TestACloneInheritsNothingAndHarmsNobody(t *testing.T) {
	n := newNetwork(t)
	n.registers(1)
	n.registers(2)
	for _, round := range []string{"at first", "again", "after hours", "after a restart"} {
		n.wants("the owner, "+round, pei(1)+supi(1), "OK WHITELISTED")
		n.wants("a clone of its IMEI with another subscriber, "+round, pei(1)+supi(2), "OK GREYLISTED")
		n.wants("a clone with a subscriber of whom nothing is known, "+round, pei(1)+supi(3), "OK GREYLISTED")
		n.wants("a clone without a subscriber, "+round, pei(1), "OK GREYLISTED")
		n.wants("the other subscriber with his own phone, "+round, pei(2)+supi(2), "OK WHITELISTED")
		n.wants("the owner after them, "+round, pei(1)+supi(1), "OK WHITELISTED")
		switch round {
		case "again":
			n.now = n.now.Add(5 * time.Hour)
		case "after hours":
			n.restarts()
		}
	}
	n.registers(1)
	n.wants("the owner, who attests anew", pei(1)+supi(1), "OK WHITELISTED")
}
