package modem

// collector sorts the lines that arrive while one command is answered.
type collector struct {
	grammar    grammar
	needsEcho  bool     // the modem echoes: what comes before the echo of this command belongs to another
	lines      []string // information text, candidates for the answer
	strays     int      // information lines outside the answer: late ones, or unsolicited ones of a kind not known
	late       int      // strays that could hold an identity
	results    int      // final result codes that ended nothing
	count      int      // lines of any kind
	bytes      int
	payload    bool // the next line is a message from the network
	echoed     bool
	restart    bool
	word       string // of the final result code
	done       bool
	wasLateOK  bool // see lingers
	overrun    bool
	timedOut   bool
	unanswered bool // nothing is awaited: every result code is a stray
}

// take sorts one line.
func (k *collector) take(line string) {
	if k.count++; k.count > MaxLines {
		k.overrun = true
		return
	}
	if k.payload {
		k.payload = false
		return
	}
	word, final := finalResult(line)
	_, own := k.grammar.ownValue(line)
	switch {
	case !k.unanswered && k.grammar.isEcho(line):
		k.takeEcho()
	case isForeignEcho(line) && k.grammar.ask != askText:
		k.needsEcho, k.echoed = true, false // what follows answers that command
	case final:
		k.takeResult(word)
	case own:
		k.takeText(line)
	case isBanner(line):
		k.restart = true
	case isUnsolicited(line):
		k.payload = announcesPayload(line)
	default:
		k.takeText(line)
	}
}

// takeEcho marks where our answer begins.
func (k *collector) takeEcho() {
	for _, line := range k.lines {
		k.stray(line)
	}
	k.lines, k.echoed, k.wasLateOK = nil, true, false
}

func (k *collector) takeText(line string) {
	if k.unanswered || k.needsEcho && !k.echoed {
		k.stray(line)
		return
	}
	k.lines = append(k.lines, line)
}

func (k *collector) stray(line string) {
	k.strays++
	if countDigits(line) >= identityDigits {
		k.late++
	}
}

func (k *collector) takeResult(word string) {
	if k.unanswered || k.needsEcho && !k.echoed {
		k.results++
		return
	}
	k.word, k.done = word, true
}

// lingers reports that the OK just seen may be the second OK of the command before: without an echo, an OK
// where a text was asked for is not to be trusted at once. It reports so only once.
func (k *collector) lingers() bool {
	if k.wasLateOK || k.echoed || k.word != "" || len(k.lines) > 0 || k.grammar.ask == askNothing || k.grammar.ask == askText {
		return false
	}
	k.wasLateOK, k.done = true, false
	return true
}
