package attest_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
)

var update = flag.Bool("update", false, "write the generated tables of README.md again")

// inREADME compares the text between two markers of README.md with the generated one.
func inREADME(t *testing.T, marker, want string) {
	t.Helper()
	const name = "README.md"
	readme, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(readme), "<!-- "+marker+" -->\n")
	got, after, ended := strings.Cut(rest, "<!-- end of "+marker+" -->")
	if !found || !ended {
		t.Fatalf("%s has no markers of %q", name, marker)
	}
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("%s: the table %q is\n%s\nwant\n%s\nRun go test ./attest -update and read the difference.", name, marker, got, want)
	}
	text := before + "<!-- " + marker + " -->\n" + want + "<!-- end of " + marker + " -->" + after
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestReasonsInREADME(t *testing.T) {
	var b strings.Builder
	b.WriteString("| code | step | sentence | clause | effects | floor | enforced: SIP, 5G-EIR, S13 | a policy may at most |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range attest.Reasons() {
		info := r.Info()
		floor := info.Floor.String()
		if info.Floor == attest.StatusAffirming {
			floor = "" // lowers nothing
		}
		front := r.Front()
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s | %s | %d, %s, %d | %s |\n", r, info.Step, info.Sentence, info.Clause,
			effectsText(info.Effects), floor, front.SIP, front.EIR, front.S13, info.Limit)
	}
	inREADME(t, "table of reasons", b.String())
}

func effectsText(all []attest.Effect) string {
	if len(all) == len(attest.TrustVector{}) {
		return fmt.Sprintf("all entries = %d", all[0].Value)
	}
	texts := make([]string, len(all))
	for i, e := range all {
		texts[i] = fmt.Sprintf("%s = %d", e.Entry, e.Value)
	}
	return strings.Join(texts, ", ")
}

// TestSizes holds the messages to their budgets.
func TestSizes(t *testing.T) {
	id1, id2 := attesttest.MustIMEI(attesttest.IMEI1), attesttest.MustIMEI(attesttest.IMEI2)
	inBand := attesttest.Claims()
	twoSlots := attesttest.Claims()
	twoSlots.Provisioned = []imei.IMEI{id1, id2}
	twoSlots.Measurements = append(twoSlots.Measurements, attest.MeasuredEqual)
	twoSlots.Observed = append(twoSlots.Observed, attest.Observed{Slot: 2, IMEI: id2, Methods: 1 | 8})
	outOfBand := attesttest.Claims()
	outOfBand.Modem = attest.ModemInfo{Manufacturer: "Quectel", Model: "EG25-G", Revision: "EG25GGBR07A08M2G"}
	outOfBand.Observed[0].Subscriber = attest.SubscriberHash(outOfBand.Nonce, "001010123456789")

	largestClaims := attesttest.Claims()
	largestClaims.Nonce = bytes.Repeat([]byte{1}, 64)
	long := strings.Repeat("m", 32)
	largestClaims.Modem = attest.ModemInfo{Manufacturer: long, Model: long, Revision: long}
	largestClaims.Provisioned, largestClaims.Observed, largestClaims.Measurements = nil, nil, nil
	for slot := 1; slot <= attest.MaxSlots; slot++ {
		id, err := imei.FromBody(fmt.Sprintf("4901542032375%d", slot))
		if err != nil {
			t.Fatal(err)
		}
		largestClaims.Provisioned = append(largestClaims.Provisioned, id)
		largestClaims.Measurements = append(largestClaims.Measurements, attest.MeasuredNotRun)
		largestClaims.Observed = append(largestClaims.Observed, attest.Observed{Slot: slot, Text: long, SVN: "01", Flags: 15, Methods: 63,
			Subscriber: attest.SubscriberHash(largestClaims.Nonce, "001010123456789")})
	}

	software := attesttest.Credential()
	tpm := attesttest.Credential()
	tpm.Storage = attest.Storage{Kind: attest.StorageTPMDiscrete, Boot: attest.BootMeasured, NV: attest.NVPlatform,
		EKNameHash: make([]byte, 32), RollbackProtected: true, KeyName: make([]byte, 34)}
	largest := tpm
	largest.Issuer, largest.HWModel, largest.Slots, largest.Serial = strings.Repeat("i", 64), bytes.Repeat([]byte{'m'}, 32), largestClaims.Provisioned, 1<<64-1
	largest.OEMID = randomOf(t)
	largestRaw, err := attest.SignCredential(nil, largest, attesttest.Signer(attesttest.Key384("oem credential")), attest.KeyID{})
	if err != nil {
		t.Fatal(err)
	}

	const inBandBudget, outOfBandBudget, withCredentialBudget = 512, 1 << 10, 2 << 10
	var b strings.Builder
	b.WriteString("| message | bytes | budget |\n|---|---|---|\n")
	for _, m := range []struct {
		name   string
		raw    []byte
		budget int
	}{
		{"in-band token, one slot", attesttest.Token(inBand, nil), inBandBudget},
		{"in-band token, two slots", attesttest.Token(twoSlots, nil), inBandBudget},
		{"out-of-band token: modem texts, subscriber", attesttest.Token(outOfBand, nil), outOfBandBudget},
		{"the same with a Credential beside it", attesttest.Token(outOfBand, attesttest.SignedCredential(tpm)), withCredentialBudget},
		{"the largest token: four slots, everything full", attesttest.Token(largestClaims, nil), outOfBandBudget},
		{"the largest token with the largest Credential", attesttest.Token(largestClaims, largestRaw), withCredentialBudget},
		{"Credential, software storage", attesttest.SignedCredential(software), attest.MaxCredentialBytes},
		{"Credential, TPM", attesttest.SignedCredential(tpm), attest.MaxCredentialBytes},
		{"the largest Credential: four slots, ES384, everything full", largestRaw, attest.MaxCredentialBytes},
	} {
		t.Logf("%s: %d bytes, budget %d", m.name, len(m.raw), m.budget)
		if len(m.raw) > m.budget {
			t.Errorf("%s: %d bytes are over the budget of %d", m.name, len(m.raw), m.budget)
		}
		fmt.Fprintf(&b, "| %s | %d | %d |\n", m.name, len(m.raw), m.budget)
	}
	inREADME(t, "table of sizes", b.String())
}

func randomOf(t *testing.T) attest.OEMID {
	t.Helper()
	id, err := attest.ParseOEMID("random:" + strings.Repeat("00", 16))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestCredentialOverItsLimitIsOversized(t *testing.T) {
	raw := make([]byte, attest.MaxCredentialBytes+1)
	if _, err := attest.DecodeCredential(raw); attest.ClassOf(err) != attest.ClassOversized {
		t.Errorf("got %v, want class %s", err, attest.ClassOversized)
	}
	if _, err := attest.DecodeEvidence(make([]byte, attest.MaxTokenBytes+1)); attest.ClassOf(err) != attest.ClassOversized {
		t.Errorf("got %v, want class %s", err, attest.ClassOversized)
	}
}
