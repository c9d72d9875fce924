package modem

import "strings"

// Words for answers that are not a text about identity. Together with those of imei.Word they are the vocabulary of
// [AnswerError]; cme: and cms: are followed by the code or text the modem gave.
const (
	WordAmbiguous    = "ambiguous"     // more than one line, or command, the answer could belong to
	WordTimeout      = "timeout"       // no final result code in time
	WordTooLong      = "too_long"      // over a limit of this package
	WordError        = "error"         // ERROR and its relatives
	WordNotSupported = "not_supported" // COMMAND NOT SUPPORT
	WordNoCarrier    = "no_carrier"    // NO CARRIER
	wordCME          = "cme:"          // +CME ERROR (TS 27.007 clause 9.2)
	wordCMS          = "cms:"          // +CMS ERROR (TS 27.005 clause 3.2.5)
)

// finalWords are the final result codes of V.250 clause 5.7 (verbose and numeric) and of vendors; "" is success.
var finalWords = map[string]string{
	"OK": "", "0": "",
	"ERROR": WordError, "4": WordError,
	"NO CARRIER": WordNoCarrier, "3": WordNoCarrier,
	"NO DIALTONE": WordError, "NO DIAL TONE": WordError, "6": WordError,
	"BUSY": WordError, "7": WordError,
	"NO ANSWER": WordError, "8": WordError,
	"ABORTED": WordError, "BLOCKED": WordError, "NA": WordError, // Samsung
	"COMMAND NOT SUPPORT": WordNotSupported, "COMMAND NOT SUPPORTED": WordNotSupported, // Huawei
	"NOT SUPPORT": WordNotSupported, "NOT SUPPORTED": WordNotSupported,
	"TOO MANY PARAMETERS": WordError, // Huawei
}

// finalResult recognises the line that ends an answer. word is "" for success.
func finalResult(line string) (word string, final bool) {
	upper := strings.ToUpper(line)
	if word, ok := finalWords[upper]; ok {
		return word, true
	}
	for prefix, word := range map[string]string{"+CME ERROR": wordCME, "+CMS ERROR": wordCMS} {
		if hasPrefixFold(line, prefix) {
			return word + printable(strings.TrimLeft(line[len(prefix):], ": \t"), maxKeptLabel), true
		}
	}
	for _, prefix := range []string{"ERROR", "MODEM ERROR", "+EXT ERROR", "CME ERROR", "CMS ERROR"} {
		if hasPrefixFold(line, prefix) && strings.HasPrefix(strings.TrimLeft(line[len(prefix):], " \t"), ":") {
			return WordError, true // with a number that only the vendor can read
		}
	}
	// CONNECT means data mode: whatever comes next is not an answer. `CONNECT OK` and `CONNECT FAIL` tell of a socket.
	isSocket := upper == "CONNECT OK" || upper == "CONNECT FAIL"
	return WordError, upper == "CONNECT" || strings.HasPrefix(upper, "CONNECT ") && !isSocket
}
