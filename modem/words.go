package modem

import "strings"

// Modems say things unasked without a mark, each vendor its own: `SIM not ready`, `NITZ`, `0, CLOSED`, `RECV FROM:10.0.0.1:80`.
// No list has them all. They are known by what they lack: nothing in them could be an identifier.

const (
	shortestIdentifier = 7 // letters and digits of an ESN in hex without its first 0, the shortest that modems tell
	maxNoise           = 8 // bytes of noise that are taken for nothing else
)

// isWords tells such a report: a word, and beside it only numbers and names that are too short for an identifier. Some
// bytes of noise count as one.
func isWords(line string) bool {
	if isNoise(line) {
		return true
	}
	hasWord := false
	for part := range strings.FieldsFuncSeq(line, func(r rune) bool { return strings.ContainsRune(`:,;=()"`, r) }) {
		if countDigits(part) >= identityDigits {
			return false
		}
		for token := range strings.FieldsSeq(part) {
			if isIdentifier(token) || strings.EqualFold(token, "IMEI") {
				return false
			}
			hasWord = hasWord || isWord(token)
		}
	}
	return hasWord
}

// isNoise: neither a letter nor a digit, and too short to be an identity whose digits were damaged.
func isNoise(line string) bool {
	return len(line) <= maxNoise && !strings.Contains(line, "\"") && !strings.ContainsFunc(line, func(r rune) bool { return r <= '~' && isAlnum(byte(r)) })
}

// isTelephoneNumber: with its +, which no identifier has.
func isTelephoneNumber(line string) bool {
	return line != "" && line[0] == '+' && strings.Trim(line[1:], "0123456789") == ""
}

// isWord: letters, not all of them hex digits.
func isWord(token string) bool {
	const hex, joins = "ABCDEFabcdef", "_-"
	return strings.Trim(token, hex+joins) != "" && !strings.ContainsFunc(token, func(r rune) bool {
		return r > '~' || !isAlnum(byte(r)) && !strings.ContainsRune(joins, r) || r >= '0' && r <= '9'
	})
}

// isIdentifier: long enough, and with a digit in it or of hex digits only; or an identity that was masked or garbled to small
// letters. Numbers in groups of at most four are dates, versions and addresses.
func isIdentifier(token string) bool {
	total := 0
	for _, b := range []byte(token) {
		if isAlnum(b) {
			total++
		}
	}
	isHex := strings.Trim(token, "0123456789ABCDEFabcdef") == ""
	isGarbled := total >= identityDigits && strings.ToUpper(token) != token
	return total >= shortestIdentifier && (isHex || isGarbled || countDigits(token) > 0) && !isGrouped(token)
}

func isGrouped(token string) bool {
	const longest = 4
	groups := strings.FieldsFunc(token, func(r rune) bool { return strings.ContainsRune("./-+", r) })
	for _, group := range groups {
		if len(group) > longest || countDigits(group) < len(group) {
			return false
		}
	}
	return countDigits(token) < identityDigits
}

func countDigits(s string) (digits int) {
	for _, b := range []byte(s) {
		if b >= '0' && b <= '9' {
			digits++
		}
	}
	return digits
}
