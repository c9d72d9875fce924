package modem

import "strings"

// prefixMarks begin the name of an extended command or of an unsolicited result code, of the standard ('+') and of
// vendors. A line that begins so and does not carry the name of the command we sent is unsolicited.
const prefixMarks = "+^*$%#!&@_~>"

// bannerPrefixes are what modems say when they have started; seen inside a reading they mean the modem restarted.
var bannerPrefixes = []string{
	"+CFUN:", "+CPIN:", "+QIND: PB DONE", "+QIND: SMS DONE", "^SYSSTART",
	"RDY", "APP RDY", "SYSSTART", "SYSTEM START", "MODEM:STARTUP", "MODEM STARTUP", "STARTUP", "START", "READY",
	"PB DONE", "SMS DONE", "SMS READY", "CALL READY", "PBREADY", "AT READY", "AT COMMAND READY", "MODEM READY", "GPS READY", "GNSS READY", "BOOT",
	"NORMAL POWER DOWN", "POWERED DOWN", "POWER ON", "+PBREADY", "*ATREADY", "+UUBOOT",
	"UNDER-VOLTAGE", "OVER-VOLTAGE", "REBOOT_CAUSE", "NEUL", "LTE SYSSTART", "M2M SYSSTART",
}

// otherUnsolicited begin lines without a mark that are neither banner nor answer (V.250 clause 6.3.4, vendors).
var otherUnsolicited = []string{"RING", "CRING", "VOICE CALL:", "MISSED_CALL:", "DST:", "SIM REMOVED", "SIM INSERTED", "SIM DROP", "SIM READY", "DSCI", "RECV FROM:", "STIN:"}

// payloadHeaders announce that the next line is a message from the network, whose text its sender chose:
// it may say "OK" or an IMEI (TS 27.005 clause 3.4.1).
var payloadHeaders = []string{"+CMT:", "+CDS:", "+CBM:"}

// isBanner tells a start-up line. A word must be the whole line or end before something that is no letter or digit,
// lest a serial number begin with READY.
func isBanner(line string) bool { return beginsWithAny(line, bannerPrefixes) }

func isUnsolicited(line string) bool {
	isNumber := line[0] == '+' && isIdentityNumber(line[1:]) // a name begins with a letter (V.250 clause 5.4.1)
	isMasked := len(line) >= identityDigits && strings.Trim(line, line[:1]) == ""
	return strings.IndexByte(prefixMarks, line[0]) >= 0 && !isNumber && !isMasked || beginsWithAny(line, otherUnsolicited)
}

func announcesPayload(line string) bool { return beginsWithAny(line, payloadHeaders) }

func beginsWithAny(line string, prefixes []string) bool {
	for _, p := range prefixes {
		if hasPrefixFold(line, p) && (p[len(p)-1] == ':' || len(line) == len(p) || !isAlnum(line[len(p)])) {
			return true
		}
	}
	return false
}

func isAlnum(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
}

// isForeignEcho tells an echoed command that is not the one just sent: some other client's, or a late one.
func isForeignEcho(line string) bool {
	const marks = "+#^*$%!"
	line = cutNoise(line)
	if !hasPrefixFold(line, "AT") {
		return false
	}
	body := strings.ToUpper(line[len("AT"):])
	return body == "" || strings.IndexByte(marks, body[0]) >= 0 || isBasicCommands(body)
}

// isBasicCommands knows what clients begin with (V.250 clause 5.3.1): `Z`, `H`, `I`, and letters with a digit each, `E0V1`. With
// more freedom, names and serial numbers would be commands.
func isBasicCommands(body string) bool {
	if body == "Z" || body == "H" || body == "I" {
		return true
	}
	for i, b := range []byte(body) {
		if i%2 == 0 && strings.IndexByte("EHILMQVXZ", b) < 0 || i%2 == 1 && (b < '0' || b > '9') {
			return false
		}
	}
	return len(body)%2 == 0
}

// cutNoise takes off what a UART makes of a waking modem before a command.
func cutNoise(line string) string {
	for i := 0; i < len(line) && i <= maxNoise; i++ {
		if line[i] > ' ' && line[i] <= '~' {
			return line[i:]
		}
	}
	return line
}
