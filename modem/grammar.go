package modem

import "strings"

// ask says what a command asks for, and so how its answer is judged.
type ask uint8

const (
	askIMEI       ask = iota // an IMEI, or the serial number the manufacturer chose to give instead
	askIMEISV                // 16 digits
	askSVN                   // 2 digits
	askIMEIAndSVN            // 15 digits and the software version: 17 digits (u-blox +CGSN=255)
	askEither                // IMEI or IMEISV: vendors number their items differently
	askOther                 // another identifier by definition, even if it has 15 digits
	askReport                // several labelled lines, of which `IMEI:` is one
	askText                  // anything: manufacturer, model, revision
	askNothing               // only a result code
	askIMSI                  // the subscriber, by the card
)

// grammar says what a line that answers a command looks like.
type grammar struct {
	command string
	names   []string // any of them may stand before the value: `+CGSN: `
	ask     ask
}

// asks lists the commands whose meaning does not follow from their name. The item of +CGSN is TS 27.007 clause 5.4;
// 255 is u-blox's, ATI176 Cinterion's. +KGSN is Sierra's (HL series): 3 is the factory serial number, 4 the MEID. +EGMR is
// MediaTek's and Quectel's: 5 is a serial number, 7 the IMEI, 9 the software version, and 10 the IMEISV on some parts and
// the second IMEI on others.
var asks = map[string]ask{
	"+CGSN=2": askIMEISV, "+CGSN=3": askSVN, "+CGSN=255": askIMEIAndSVN, "+CGSN=?": askText,
	"#CGSN=2": askIMEISV, "#CGSN=3": askSVN,
	"+KGSN=1": askIMEISV, "+KGSN=2": askIMEISV, "+KGSN=3": askOther, "+KGSN=4": askOther,
	"+EGMR=0,5": askOther, "+EGMR=0,9": askSVN, "+EGMR=0,10": askEither,
	"^MEID": askOther, "+MEID": askOther, "I176": askIMEIAndSVN,
	"+CGMI": askText, "+CGMM": askText, "+CGMR": askText,
	"+GMI": askText, "+GMM": askText, "+GMR": askText,
	"": askNothing, "Q0V1": askNothing,
}

// grammarOf finds the grammar of a command, `AT` included. A command it has never heard of is taken to ask for an
// IMEI under its own name, which is how vendors' read forms work.
func grammarOf(command string) grammar {
	body := strings.ToUpper(command)
	body = strings.TrimPrefix(body, "AT")
	name := strings.TrimRight(body[:endOfName(body)], " ")
	g := grammar{command: command, ask: asksFor(body, name)}
	if name != "" && strings.IndexByte(prefixMarks, name[0]) >= 0 {
		g.names = append(g.names, name)
	}
	if g.ask < askText {
		// Some firmware answers +GSN under the name +CGSN and the other way round, or under what it means.
		g.names = append(g.names, "+CGSN", "+GSN", "+IMEI")
	}
	return g
}

func asksFor(body, name string) ask {
	if a, ok := asks[body]; ok {
		return a
	}
	switch {
	case name == "I", strings.HasSuffix(name, "ATI"): // V.250 clause 6.1.3; SIMCom +SIMCOMATI
		return askReport
	case strings.HasPrefix(name, "+CIMI"), strings.HasSuffix(name, "IMSI"): // TS 27.007 clause 5.6
		return askIMSI
	case strings.HasSuffix(name, "IMEISV"):
		return askIMEISV
	case strings.HasSuffix(name, "SVN"):
		return askSVN
	}
	return askIMEI
}

// endOfName returns where the arguments begin; a basic command's number counts as one (ATI3).
func endOfName(body string) int {
	end := strings.IndexAny(body, "=?")
	if end < 0 {
		end = len(body)
	}
	if body != "" && strings.IndexByte(prefixMarks, body[0]) < 0 {
		end = len(strings.TrimRight(body[:end], "0123456789"))
	}
	return end
}

// isEcho knows the command again, also behind noise, and when a modem that finds its speed by the first letters has damaged
// those.
func (g grammar) isEcho(line string) bool {
	const prefix, shortest = len("AT"), len("+GSN")
	if strings.EqualFold(cutNoise(line), g.command) {
		return true
	}
	body := g.command[prefix:]
	damaged := len(line) - len(body)
	return len(body) >= shortest && damaged > 0 && damaged <= prefix && strings.EqualFold(line[damaged:], body)
}

// ownValue returns what follows one of the command's own names, or ok false when the line carries none.
func (g grammar) ownValue(line string) (value string, ok bool) {
	for _, name := range g.names {
		if !hasPrefixFold(line, name) {
			continue
		}
		rest := line[len(name):]
		if rest != "" && strings.IndexByte(": \t", rest[0]) < 0 {
			continue // a longer name, or the echo of a set command
		}
		rest = strings.TrimPrefix(strings.TrimLeft(rest, " \t"), ":")
		return strings.Trim(rest, " \t"), true
	}
	return "", false
}
