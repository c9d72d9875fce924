package modemtest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:embed profiles.json
var profilesJSON []byte

// profile is how the modems of one vendor answer. A null answer takes away what the generic profile has: ERROR.
type profile struct {
	About                         string // what it answers as, for the documents
	Manufacturer, Model, Revision string
	IMEI, SVN                     string
	IMEI2                         string             // of the second slot; "" for a modem with one
	Alternates                    bool               // +CGSN and +GSN tell either IMEI
	TightOK                       bool               `json:"tight_ok"` // no empty line between text and OK
	EchoOff                       bool               `json:"echo_off"` // starts with echo off
	PIN                           string             // of the SIM card, which then wants it
	NoSIM                         bool               `json:"no_sim"`
	Write                         []string           // by slot: the command that writes its identity, with {text}; none: not known
	Answers                       map[string]*string // command body in capitals -> lines, with what Emulator.fill puts in
}

const genericProfile = "generic"

var profiles = sync.OnceValue(func() map[string]profile {
	var all map[string]profile
	if err := json.Unmarshal(profilesJSON, &all); err != nil {
		panic("profiles.json is broken: " + err.Error()) // part of this package, not input
	}
	return all
})

// Profiles returns the names of the vendor profiles, sorted.
func Profiles() []string { return slices.Sorted(maps.Keys(profiles())) }

// TwoSlotProfiles returns the names of those that tell a second IMEI, sorted.
func TwoSlotProfiles() []string {
	return profilesWith(func(p profile) bool { return p.slots() > 1 })
}

func profilesWith(has func(profile) bool) []string {
	return slices.DeleteFunc(Profiles(), func(name string) bool { return !has(profiles()[name]) })
}

// slots is how many identities the modem has.
func (p profile) slots() int {
	if p.IMEI2 == "" {
		return 1
	}
	return 2
}

// writes finds the slot, from 0, and the text of a command that writes an identity.
func (p profile) writes(upper string) (slot int, text string, ok bool) {
	for slot, form := range p.Write {
		before, after, _ := strings.Cut(form, "{text}")
		if text, ok := strings.CutPrefix(upper, before); ok && text != "?" && strings.HasSuffix(text, after) {
			return slot, strings.TrimSuffix(text, after), true
		}
	}
	return 0, "", false
}

// profileNamed returns the profile laid over the generic one.
func profileNamed(name string) (profile, error) {
	if name == "" {
		name = genericProfile
	}
	own, ok := profiles()[name]
	if !ok {
		return profile{}, fmt.Errorf("no modem profile %q; there are %s", name, strings.Join(Profiles(), ", "))
	}
	generic := profiles()[genericProfile]
	answers := maps.Clone(generic.Answers)
	maps.Copy(answers, own.Answers)
	own.Answers = answers
	if own.SVN == "" {
		own.SVN = generic.SVN
	}
	return own, nil
}
