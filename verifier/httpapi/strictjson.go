package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// checkJSON refuses what encoding/json would bend to fit: text that is not UTF-8, and names that stand twice in one
// object, in whatever case, of which the last would win over the one that somebody else read.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("the body is not UTF-8")
	}
	return checkValue(json.NewDecoder(bytes.NewReader(body)))
}

var errNoJSON = errors.New("the body is not the JSON this takes, {evidence, nonce, message, registration}")

func checkValue(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return errNoJSON
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	seen := make(map[string]bool)
	for d.More() {
		if delim == '{' {
			if err := checkName(d, seen); err != nil {
				return err
			}
		}
		if err := checkValue(d); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil { // the closing one
		return errNoJSON
	}
	return nil
}

func checkName(d *json.Decoder, seen map[string]bool) error {
	token, err := d.Token()
	name, ok := token.(string)
	if err != nil || !ok {
		return errNoJSON
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return errors.New("a name is not ASCII") // encoding/json folds some letters into those of our names
	}
	if name = strings.ToLower(name); seen[name] {
		return fmt.Errorf("the name %.20q stands twice in one object", name)
	}
	seen[name] = true
	return nil
}
