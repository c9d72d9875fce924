package modemtest

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Row is one real or constructed answer of the corpus and what a reader must make of it. The first line of the
// file, which is no row, describes the fields.
type Row struct {
	Line           int    `json:"-"` // in the file, from 1
	Vendor         string `json:"vendor"`
	Model          string `json:"model"`
	Command        string `json:"command"`
	Response       string `json:"response"`     // for people
	ResponseHex    string `json:"response_hex"` // what is sent
	ExpectedIMEI   string `json:"expected_imei"`
	ExpectedIMEI14 string `json:"expected_imei14"`
	ExpectedDigits string `json:"expected_digits"`
	ExpectedIMEISV string `json:"expected_imeisv"`
	ExpectedSVN    string `json:"expected_svn"`
	ExpectedError  string `json:"expected_error"`
	ExpectedOther  string `json:"expected_other"` // informative; alone it says that the answer is no identity
	Note           string `json:"note"`
}

// maxCorpusLine is the longest line of a corpus file, in bytes: the longest answer in it, three times over.
const maxCorpusLine = 1 << 20

// Load reads a corpus file (JSON lines). The error names the line that is broken; a file without rows is an error, lest
// a test pass for want of cases.
func Load(file string) ([]Row, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := readCorpus(f)
	if err != nil {
		return nil, fmt.Errorf("reading the corpus %s: %w", file, err)
	}
	return rows, nil
}

func readCorpus(r io.Reader) ([]Row, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxCorpusLine)
	var rows []Row
	for n := 1; lines.Scan(); n++ {
		if n == 1 {
			if err := checkMeta(lines.Bytes()); err != nil {
				return nil, fmt.Errorf("line 1: %w", err)
			}
			continue
		}
		if len(lines.Bytes()) == 0 {
			continue
		}
		row, err := parseRow(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		row.Line = n
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errors.New("it holds no rows")
	}
	return rows, nil
}

func notJSON(err error) error { return fmt.Errorf("it is not one line of JSON (%w)", err) }

func checkMeta(line []byte) error {
	var meta struct{ Meta bool }
	if err := json.Unmarshal(line, &meta); err != nil {
		return notJSON(err)
	}
	if !meta.Meta {
		return errors.New(`it must describe the file and have "meta": true`)
	}
	return nil
}

func parseRow(line []byte) (Row, error) {
	var r Row
	if err := json.Unmarshal(line, &r); err != nil {
		return r, notJSON(err)
	}
	if _, err := hex.DecodeString(r.ResponseHex); err != nil {
		return r, fmt.Errorf("response_hex: %w", err)
	}
	switch {
	case r.Command == "":
		return r, errors.New("it has no command")
	case r.ResponseHex == "" && r.ExpectedError != "timeout":
		return r, errors.New("it has no response_hex")
	case r.expects()+r.ExpectedOther == "":
		return r, errors.New("it expects nothing")
	}
	return r, nil
}

// expects is what a reader must make of the answer; empty where the row says only what else it is.
func (r Row) expects() string {
	return r.ExpectedIMEI + r.ExpectedIMEI14 + r.ExpectedIMEISV + r.ExpectedSVN + r.ExpectedError
}
