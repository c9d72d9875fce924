package modemtest

import (
	"fmt"
	"strings"
)

// NamedPolicy is how an emulated modem treats a command that writes its identity. Without one it is locked.
type NamedPolicy struct {
	Name string
	Does string // what the modem does, for people

	open      bool // takes every write
	echoesOld bool // answers a write with OK and the identity as it was
	loses     bool // an update of the firmware loses the identity
	hasCode   bool // takes writes behind unlockCommand
	reopens   bool // the old firmware takes writes
}

// unlockCommand and unlockCode are of the emulator alone: no vendor's secret is needed to show what a weak one is worth.
const (
	unlockCommand = "+EMUCODE"
	unlockCode    = "4711"
)

// lockedPolicy has what a modem has that leaves its factory in order.
const lockedPolicy = "locked"

// NamedPolicies returns them all, the safe one first.
func NamedPolicies() []NamedPolicy {
	return []NamedPolicy{
		{Name: lockedPolicy, Does: "refuses"},
		{Name: "otp-echo", Does: "cannot change it: answers OK and tells the IMEI it has", echoesOld: true},
		{Name: "open", Does: "takes it", open: true},
		{Name: "weak-code", Does: "refuses, until `AT" + unlockCommand + "=\"" + unlockCode + "\"`; wrong codes may be tried without end", hasCode: true},
		{Name: "downgrade-reopens", Does: "refuses, but takes it on its old firmware; each restart changes between the two", reopens: true},
		{Name: "loses-on-update", Does: "refuses, but each restart is an update that loses the IMEI; then it takes one", loses: true},
	}
}

// PolicyNamed finds one; "" is locked. The error names those there are.
func PolicyNamed(name string) (NamedPolicy, error) {
	var names []string
	for _, p := range NamedPolicies() {
		if p.Name == name || name == "" {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return NamedPolicy{}, fmt.Errorf("no policy %q; there are %s", name, strings.Join(names, ", "))
}

// policyFor is PolicyNamed for a profile, which must have a command for the policy to be about.
func policyFor(name string, p profile) (NamedPolicy, error) {
	policy, err := PolicyNamed(name)
	if err == nil && policy.Name != lockedPolicy && len(p.Write) == 0 {
		err = fmt.Errorf("policy %s: how the modem of this profile writes its identity is not known; choose one of %s",
			name, strings.Join(profilesWith(func(p profile) bool { return len(p.Write) > 0 }), ", "))
	}
	return policy, err
}
