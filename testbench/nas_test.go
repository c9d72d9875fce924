package testbench_test

import (
	"strings"
	"testing"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/testbench"
)

// TestTheAccessNetworkIsToldOfTheDeviceThatRegistered: over both fronts, with each lie, and of each class.
func TestTheAccessNetworkIsToldOfTheDeviceThatRegistered(t *testing.T) {
	want := map[string]string{"": "GREYLISTED", "spoofed": "GREYLISTED", "reprogrammed": "ERROR_EQUIPMENT_UNKNOWN", "blank": "BLACKLISTED",
		"unreadable": "GREYLISTED", "missing": "GREYLISTED", "replayed": "GREYLISTED", "copied": "GREYLISTED"}
	for _, front := range []testbench.Front{testbench.Front5GEIR, testbench.FrontS13} {
		for _, l := range append(testbench.Lies(), testbench.Lie{}) {
			t.Run(string(front)+" software "+l.Name, func(t *testing.T) { toldInNAS(t, front, testbench.VaultSoftware, 3, l.Name, want[l.Name]) })
		}
		t.Run(string(front)+" with a TPM", func(t *testing.T) {
			tpmtest.New(t) // skips or fails where there is no engine
			toldInNAS(t, front, testbench.VaultTPM, 3, "", "WHITELISTED")
			toldInNAS(t, front, testbench.VaultTPM, 2, "", "WHITELISTED")
			toldInNAS(t, front, testbench.VaultTPM, 1, "", "GREYLISTED")
		})
	}
}

func toldInNAS(t *testing.T, front testbench.Front, kind testbench.VaultKind, class uint8, lie, want string) {
	t.Helper()
	out, shown := register(t, kind, testbench.Registration{Front: front, Class: class, Lie: lie})
	if out.Equipment == nil || out.Equipment.Status != want || len(out.Equipment.Verdict.Reasons()) == 0 || !strings.Contains(shown, out.Equipment.Asker+": ") {
		t.Errorf("class %d, %q: the network was told %+v, want %s\n%s", class, lie, out.Equipment, want, shown)
	}
}
