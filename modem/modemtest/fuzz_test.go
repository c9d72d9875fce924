package modemtest_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"imei-attest/modem/modemtest"
)

// FuzzCorpus: the rows of a file that is accepted can be replayed, expect something, and are the same when written and read
// again.
func FuzzCorpus(f *testing.F) {
	const meta = `{"meta": true}` + "\n"
	f.Add([]byte(meta + `{"command":"AT+CGSN","response_hex":"4f4b","expected_error":"blank_imei"}`))
	f.Add([]byte(meta + `{"command":"AT+CGSN=0","response_hex":"4f4b","expected_other":"module serial"}`)) // is no identity
	f.Add([]byte(meta + "\n" + `{"command":"AT","response_hex":"","expected_error":"timeout"}` + "\r\n"))
	f.Add([]byte(meta + `{"Command":"AT","response_hex":"4","expected_error":"error"}`))
	if whole, err := os.ReadFile("../testdata/modem-corpus.jsonl"); err != nil {
		f.Fatal(err)
	} else {
		f.Add(whole)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		rows, err := modemtest.ReadCorpus(bytes.NewReader(file))
		if err != nil {
			return
		}
		again := bytes.NewBufferString(meta)
		line := 1
		for _, r := range rows {
			_, err := hex.DecodeString(r.ResponseHex)
			if err != nil || r.Command == "" || r.Line <= line || r.ExpectedIMEI+r.ExpectedIMEI14+r.ExpectedIMEISV+r.ExpectedSVN+r.ExpectedError+r.ExpectedOther == "" {
				t.Errorf("%q: row %+v", file, r)
			}
			line = r.Line
			out, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			again.Write(append(out, '\n'))
		}
		back, err := modemtest.ReadCorpus(again)
		if err != nil || len(back) != len(rows) {
			t.Fatalf("%q: %d rows, written and read again %d, %v", file, len(rows), len(back), err)
		}
		for i := range back {
			if back[i].Line = rows[i].Line; back[i] != rows[i] {
				t.Errorf("%q: row %+v becomes %+v", file, rows[i], back[i])
			}
		}
	})
}

var longHex = regexp.MustCompile(`[0-9A-Fa-f]{14}`)

// FuzzCouldWriteIdentity: bytes that hold an identity could write one, and so could any bytes around them.
func FuzzCouldWriteIdentity(f *testing.F) {
	f.Add("AT+EGMR=1,7,\"", "490154203237518\"\r")
	f.Add("AT+CGSN=1\r", "4901-5420-3237-51")
	f.Add("ATD", "\b")
	f.Fuzz(func(t *testing.T, a, b string) {
		if longHex.MatchString(a) && !modemtest.CouldWriteIdentity(a) {
			t.Errorf("%q holds an identity", a)
		}
		if both := a + b; strings.Contains(both, "\b") && !modemtest.CouldWriteIdentity(both) {
			t.Errorf("%q edits itself", both)
		}
		if (modemtest.CouldWriteIdentity(a) || modemtest.CouldWriteIdentity(b)) && !modemtest.CouldWriteIdentity(a+b) {
			t.Errorf("a part of %q could write an identity, the whole not", a+b)
		}
	})
}
