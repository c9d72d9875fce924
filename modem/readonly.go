package modem

import (
	"errors"
	"fmt"
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
	case !isName(strings.TrimSuffix(name, "?")):
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
	return fmt.Errorf("%w: %q", ErrNotRead, printableASCII(command, len("AT+CGSN=1,2")))
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

// isIdentityName knows the names of commands that tell who the modem is; run without arguments, other names may do
// anything, such as switching it off.
func isIdentityName(name string) bool {
	for _, part := range []string{"GSN", "IMEI", "MEID", "EGMR"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	for _, end := range []string{"SN", "SVN", "ATI", "INFO", "GMI", "GMM", "GMR"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// isReadArguments allows `=n` for the serial-number commands, `=R` (Marvell *MRD_IMEI), and `=0,n` where the first number
// is the operation: 0 reads and 1 writes (MediaTek +EGMR, MeiG +LCTSN, Fibocom +GTSN); on RDA's parts 2 reads.
func isReadArguments(name, arguments string) bool {
	if arguments == "R" && name == "*MRD_IMEI" {
		return true
	}
	if len(arguments) > maxArguments || strings.Trim(arguments, "0123456789,") != "" || !isIdentityName(name) {
		return false
	}
	operation, item, hasItem := strings.Cut(arguments, ",")
	if hasItem {
		isRead := operation == "0" || operation == "2" && name == "+EGMR"
		return isRead && !strings.Contains(item, ",")
	}
	return operation != "" && strings.HasSuffix(name, "GSN")
}
