package modem

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNotRead: the command could change the modem, and this package sends only commands that read.
var ErrNotRead = errors.New("not a command that reads: this program never writes an identity or resets a modem")

const (
	maxCommand   = 40 // characters; the longest read form known has 12
	maxArguments = 4  // characters behind '=', such as `0,10`; an identity has at least 14 digits
)

// checkReads refuses every command that is not plainly a question. Changing an IMEI is a crime in several countries,
// so the rule is what may be sent, not a list of what may not: `?` and `=?` forms, the names of identity commands alone,
// and those with a few digits that say which item to read.
func checkReads(command string) error {
	if len(command) > maxCommand || !hasPrefixFold(command, "AT") || strings.ContainsFunc(command, isNotPlain) {
		return notRead(command)
	}
	body := strings.ToUpper(command[2:])
	name, arguments, isSet := strings.Cut(body, "=")
	switch {
	case isBasic(body):
		return nil
	case !isName(strings.TrimSuffix(name, "?")), isSet && strings.HasSuffix(name, "?"):
		return notRead(command)
	case isSet && (arguments == "?" || isReadArguments(name, arguments)):
		return nil
	case !isSet && (strings.HasSuffix(name, "?") || isIdentityName(name)):
		return nil
	}
	return notRead(command)
}

// notRead shows little of the command: it may hold the identity that it meant to write.
func notRead(command string) error {
	const most = len("AT+CGSN=1,2")
	shown := printableASCII(command, most)
	if len(command) > most {
		shown += "..."
	}
	return fmt.Errorf("%w: %q", ErrNotRead, shown)
}

// isBasic allows the wake-up, the identification (V.250 clause 6.1.3) and result codes on.
func isBasic(body string) bool {
	switch body {
	case "", "Q0V1":
		return true
	}
	const longest = len("I176")
	return body[0] == 'I' && len(body) <= longest && strings.Trim(body[1:], "0123456789") == ""
}

// isNotPlain: blanks and control characters edit a line or end it, and a letter of another alphabet may be ASCII in capitals.
func isNotPlain(r rune) bool { return r <= ' ' || r > '~' }

// isName wants a mark and the characters of V.250 clause 5.4.1, so that no second command follows. The digits of an identity
// are none of a name: some vendor may write without '='.
func isName(name string) bool {
	if len(name) < 2 || strings.IndexByte("+#^*$%!@_-", name[0]) < 0 {
		return false
	}
	digits := 0
	for _, b := range []byte(name[1:]) {
		switch {
		case b >= '0' && b <= '9':
			digits++
		case !isAlnum(b) && strings.IndexByte("!%-./:_", b) < 0:
			return false
		}
	}
	return digits < identityDigits
}

// identityNames are the commands, whatever their mark, that tell who the modem is when they are run without arguments.
// Other names may then do anything, such as switching it off or erasing what they name.
var identityNames = []string{
	"CGSN", "GSN", "KGSN", "QGSN", "IMEI", "IMEISV", "IMEISVN", "IMEINUM", "SIMEI", "SPIMEI", "MEID", "ESN", "SN", "SVN", "EGMR",
	"CGMI", "CGMM", "CGMR", "GMI", "GMM", "GMR", "SIMCOMATI", "DEVCONINFO",
	"CIMI", // and whose card is in it
}

func isIdentityName(name string) bool { return slices.Contains(identityNames, name[1:]) }

// readOperations are the commands whose first argument says what to do: 0 reads and 1 writes, and on RDA's parts 2 reads.
// For others the first argument may be a SIM slot, and what follows be written to it (Unisoc +SPIMEI).
var readOperations = map[string]string{"+EGMR": "02", "+EGMREXT": "0", "+LCTSN": "0", "+GTSN": "0"}

// serialItems are the commands whose one argument says which number to tell (TS 27.007 clause 5.4; V.250 clause 6.1.7).
var serialItems = []string{"+CGSN", "#CGSN", "+GSN", "+KGSN"}

// isReadArguments allows `=n` for the serial-number commands, `=0,n` for the items of those that read with 0, and `=R`
// (Marvell *MRD_IMEI).
func isReadArguments(name, arguments string) bool {
	operation, item, hasItem := strings.Cut(arguments, ",")
	switch {
	case name == "*MRD_IMEI":
		return arguments == "R"
	case len(arguments) > maxArguments || strings.Trim(operation+item, "0123456789") != "" || operation == "":
		return false
	case hasItem:
		return len(operation) == 1 && strings.Contains(readOperations[name], operation)
	}
	return slices.Contains(serialItems, name)
}
