package testbench_test

import (
	"testing"

	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/testbench"
)

// TestTheAccessNetworkIsToldOfTheDeviceThatRegistered: with each lie, and of each class.
func TestTheAccessNetworkIsToldOfTheDeviceThatRegistered(t *testing.T) {
	want := map[string]string{"": "GREYLISTED", "spoofed": "GREYLISTED", "reprogrammed": "ERROR_EQUIPMENT_UNKNOWN", "blank": "BLACKLISTED",
		"unreadable": "GREYLISTED", "missing": "GREYLISTED", "replayed": "GREYLISTED", "copied": "GREYLISTED"}
	for _, l := range append(testbench.Lies(), testbench.Lie{}) {
		t.Run("software "+l.Name, func(t *testing.T) { toldInNAS(t, testbench.VaultSoftware, 3, l.Name, want[l.Name]) })
	}
	t.Run("with a TPM", func(t *testing.T) {
		tpmtest.New(t) // skips or fails where there is no engine
		toldInNAS(t, testbench.VaultTPM, 3, "", "WHITELISTED")
		toldInNAS(t, testbench.VaultTPM, 2, "", "WHITELISTED")
		toldInNAS(t, testbench.VaultTPM, 1, "", "GREYLISTED")
	})
}

func toldInNAS(t *testing.T, kind testbench.VaultKind, class uint8, lie, want string) {
	t.Helper()
	w, err := testbench.NewWorld(t.Context(), t.TempDir(), kind)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	out, err := w.Register(t.Context(), testbench.Registration{Front: testbench.Front5GEIR, Class: class, Lie: lie}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if out.Equipment == nil || out.Equipment.Status != want || out.Equipment.Verdict == nil || out.Problem != "" {
		t.Errorf("class %d, %q: the AMF was told %+v, want %s; %s", class, lie, out.Equipment, want, out.Problem)
	}
}
