package modem

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Profile says how the modems of a vendor tell the IMEI of each slot.
type Profile struct {
	Maker, Model string   // words of the answers to AT+CGMI and AT+CGMM, lower case without blanks; Model may be *
	Commands     []string // reads the IMEI of slot 1, of slot 2 and so on: 1..MaxSlots
	Cards        []string // reads the IMSI of the card in each slot; nil if none is said, and "" where it is not
}

// maxProfilesText bounds a file of profiles, in bytes: some thousand lines.
const maxProfilesText = 64 << 10

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
	if len(text) > maxProfilesText {
		return nil, fmt.Errorf("%d bytes, at most %d are looked at", len(text), maxProfilesText)
	}
	var profiles []Profile
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
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
	if len(profiles) == 0 {
		return nil, errors.New("it holds no profile: want lines of a maker, a model or *, and a command for each slot")
	}
	return profiles, nil
}

func parseProfile(fields []string) (Profile, error) {
	const names = 2
	if len(fields) <= names || len(fields) > names+MaxSlots {
		return Profile{}, fmt.Errorf("want a maker, a model or *, and 1 to %d commands", MaxSlots)
	}
	if fields[0] == "*" {
		return Profile{}, errors.New("the maker must be a word of its name: a profile for every modem would tell slots apart that it does not know")
	}
	p := Profile{Maker: strings.ToLower(fields[0]), Model: strings.ToLower(fields[1])}
	for _, field := range fields[names:] {
		if err := p.addSlot(field); err != nil {
			return Profile{}, err
		}
	}
	if strings.Join(p.Cards, "") == "" {
		p.Cards = nil
	}
	return p, nil
}

// addSlot takes the command for the IMEI of the next slot and, behind ;, the one for its card.
func (p *Profile) addSlot(field string) error {
	command, card, hasCard := strings.Cut(field, ";")
	if err := checkSlotCommand(command); err != nil {
		return err
	}
	if hasCard {
		if err := checkCardCommand(card); err != nil {
			return err
		}
	}
	for _, twice := range []struct {
		command string
		known   []string
	}{{command, p.Commands}, {card, p.Cards}} {
		if twice.command != "" && slices.Contains(twice.known, twice.command) {
			return fmt.Errorf("%s reads one slot; here it stands for two", twice.command)
		}
	}
	p.Commands, p.Cards = append(p.Commands, command), append(p.Cards, card)
	return nil
}

// checkCardCommand wants a question for an IMSI.
func checkCardCommand(command string) error {
	if err := checkReads(command); err != nil {
		return err
	}
	if grammarOf(command).ask != askIMSI {
		return fmt.Errorf("%s does not read an IMSI", command)
	}
	return nil
}

func checkSlotCommand(command string) error {
	if !hasPrefixFold(command, "AT") {
		return fmt.Errorf("%q stands where a command was expected: behind maker and model, each one word, come commands that begin with AT; "+
			"comments have lines of their own", printableASCII(command, maxKeptText))
	}
	if err := checkReads(command); err != nil {
		return err
	}
	if ask := grammarOf(command).ask; ask != askIMEI && ask != askIMEIAndSVN && ask != askEither {
		return fmt.Errorf("%s does not read an IMEI", command)
	}
	return nil
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

// slots is how many slots the modem has for certain: a profile of a whole family also fits members that have less.
func (p Profile) slots() int {
	if p.Model == "*" {
		return 1
	}
	return len(p.Commands)
}

func plainName(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), "")) }
