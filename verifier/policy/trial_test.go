package policy_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/policy"
	"imei-attest/verifier/store"
)

// decided are the decisions of a policy on registrations without evidence: of each device of each list, in order, by its
// instance-id.
func decided(t *testing.T, p *verifier.Policy, instances ...string) (records []*verifier.Record) {
	t.Helper()
	nonces, err := attest.NewNonceKeys(0, make([]byte, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verifier.New(verifier.Config{Store: store.NewMemory(), Nonces: nonces, Trust: &verifier.Trust{Generation: 1}, Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range instances {
		in := verifier.Input{Registration: &verifier.Registration{InstanceID: id, Front: verifier.FrontSIP}, Now: now.Add(time.Duration(i) * time.Second)}
		if _, err := v.Appraise(context.Background(), in); err != nil {
			t.Fatal(err)
		}
	}
	err = v.Records(context.Background(), time.Time{}, func(r *verifier.Record) bool { records = append(records, r); return true })
	if err != nil || len(records) != len(instances) {
		t.Fatalf("%d records, %v", len(records), err)
	}
	return records
}

const (
	first  = "<urn:gsma:imei:49015420-323751-0>"
	second = "<urn:gsma:imei:86995506-251142-0>"
	uuid   = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"
)

func TestATrialCountsWhatChanges(t *testing.T) {
	observe := policy.Default()
	strict := parse(t, "name: strict\nreasons: {not-endorsed: deny, unbound: warn}")
	records := decided(t, observe, first, second, first, uuid)
	one, two := policy.Device{TAC: "49015420", Pseudonym: records[0].Device}, policy.Device{TAC: "86995506", Pseudonym: records[1].Device}
	for _, c := range []struct {
		name               string
		candidate, against *verifier.Policy
		want               policy.Report
	}{
		{"the same policy changes nothing", observe, nil, policy.Report{Decisions: 4, Changes: []policy.Change{}}},
		{"a stricter one than what was decided", strict, nil, policy.Report{Decisions: 4, Changed: 4, Changes: []policy.Change{
			{From: "observe", To: "deny", Reason: "not-endorsed", Decisions: 3, Devices: []policy.Device{one, two}},
			{From: "observe", To: "warn", Reason: "unbound", Decisions: 1, Devices: []policy.Device{}},
		}}},
		{"a milder one than another", parse(t, "{name: mild, reasons: {not-endorsed: warn, unbound: warn}}"), strict, policy.Report{Decisions: 4, Changed: 3, Changes: []policy.Change{
			{From: "deny", To: "warn", Reason: "not-endorsed", Decisions: 3, Devices: []policy.Device{one, two}},
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			trial := policy.NewTrial(c.candidate, c.against)
			for _, r := range records {
				trial.Add(r)
			}
			if got := trial.Report(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestATrialOfAMilderPolicyThanDecidedNamesTheReasonOfTheStatus(t *testing.T) {
	trial := policy.NewTrial(policy.Default(), nil)
	for _, r := range decided(t, parse(t, "{name: a, default: deny}"), first) {
		trial.Add(r)
	}
	got := trial.Report()
	if len(got.Changes) != 1 || got.Changes[0].From != "deny" || got.Changes[0].To != "observe" || got.Changes[0].Reason != "not-endorsed" {
		t.Errorf("got %+v", got)
	}
}

func TestATrialLeavesOutWhatWasAltered(t *testing.T) {
	records := decided(t, policy.Default(), first)
	records[0].Verdict.Result.Submods[0].Status = attest.StatusAffirming
	trial := policy.NewTrial(parse(t, "{name: a, default: deny}"), nil)
	trial.Add(records[0])
	want := policy.Report{Decisions: 1, NotReplayed: 1, Changes: []policy.Change{}}
	if got := trial.Report(); !reflect.DeepEqual(got, want) || !strings.Contains(got.String(), "altered") {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAReportForPeople(t *testing.T) {
	devices := make([]policy.Device, 5)
	for i := range devices {
		devices[i] = policy.Device{TAC: imei.TAC("49015420"), Pseudonym: verifier.Pseudonym{byte(i), 0xab}}
	}
	got := policy.Report{Decisions: 20, Changed: 9, Changes: []policy.Change{
		{From: "observe", To: "deny", Reason: "imei-tampered", Decisions: 7, Devices: devices},
		{From: "observe", To: "warn", Reason: "unbound", Decisions: 2},
	}}.String()
	const want = `20 decisions, 9 change

FROM     TO    REASON         DECISIONS  DEVICES
observe  deny  imei-tampered  7          5: 49015420 00ab0000, 49015420 01ab0000, 49015420 02ab0000, ...
observe  warn  unbound        2          0
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
