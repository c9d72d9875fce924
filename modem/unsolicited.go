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
	"UNDER-VOLTAGE", "OVER-VOLTAGE",
}

// otherUnsolicited begin lines without a mark that are neither banner nor answer (V.250 clause 6.3.4, vendors).
var otherUnsolicited = []string{"RING", "CRING", "VOICE CALL:", "MISSED_CALL:", "DST:", "SIM REMOVED", "SIM INSERTED", "SIM DROP", "SIM READY", "DSCI"}

// payloadHeaders announce that the next line is a message from the network, whose text its sender chose:
// it may say "OK" or an IMEI (TS 27.005 clause 3.4.1).
var payloadHeaders = []string{"+CMT:", "+CDS:", "+CBM:"}

// isBanner tells a start-up line. A word must be the whole line or end before something that is no letter or digit,
// lest a serial number begin with READY.
func isBanner(line string) bool { return beginsWithAny(line, bannerPrefixes) }

func isUnsolicited(line string) bool {
	return strings.IndexByte(prefixMarks, line[0]) >= 0 || beginsWithAny(line, otherUnsolicited)
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
	return strings.EqualFold(line, "AT") || hasPrefixFold(line, "AT") && len(line) > 2 && strings.IndexByte(marks, line[2]) >= 0
}
