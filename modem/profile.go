package modem

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

// Profile says how the modems of a vendor tell the IMEI of each slot.
type Profile struct {
	Maker, Model string   // words of the answers to AT+CGMI and AT+CGMM, lower case without blanks; Model may be *
	Commands     []string // reads the IMEI of slot 1, of slot 2 and so on: 1..MaxSlots
}

// MaxSlots is how many identities a modem can have, as many as evidence can carry.
const MaxSlots = 4

//go:embed profiles.txt
var profilesText string

var ownProfiles = sync.OnceValue(func() []Profile {
	profiles, err := ParseProfiles(profilesText)
	if err != nil {
		panic("profiles.txt is broken: " + err.Error()) // part of this package, not input
	}
	return profiles
})

// ParseProfiles reads profiles, one a line: maker, model or *, and a command for each slot; # begins a comment. The
// format and the profiles that this package knows are in profiles.txt.
func ParseProfiles(text string) ([]Profile, error) {
	var profiles []Profile
	n := 0
	for line := range strings.Lines(text) {
		n++
		if blank := strings.TrimSpace(line); blank == "" || blank[0] == '#' {
			continue
		}
		p, err := parseProfile(strings.Fields(line))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		profiles = append(profiles, p)
	}
	return profiles, nil
}

func parseProfile(fields []string) (Profile, error) {
	const names = 2
	if len(fields) <= names || len(fields) > names+MaxSlots {
		return Profile{}, fmt.Errorf("want a maker, a model or *, and 1 to %d commands", MaxSlots)
	}
	p := Profile{Maker: strings.ToLower(fields[0]), Model: strings.ToLower(fields[1]), Commands: fields[names:]}
	for _, command := range p.Commands {
		if err := checkReads(command); err != nil {
			return Profile{}, err
		}
		if ask := grammarOf(command).ask; ask == askSVN || ask >= askText {
			return Profile{}, fmt.Errorf("%s does not read an IMEI", command)
		}
	}
	return p, nil
}

// profileOf returns the first profile that fits what the modem calls itself; one without commands if none does.
func profileOf(profiles []Profile, maker, model string) Profile {
	maker, model = plainName(maker), plainName(model)
	for _, p := range profiles {
		if strings.Contains(maker, p.Maker) && (p.Model == "*" || strings.Contains(model, p.Model)) {
			return p
		}
	}
	return Profile{}
}

func plainName(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), "")) }
