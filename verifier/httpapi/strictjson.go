package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

var errNoJSON = errors.New("the body is not the JSON this takes, {evidence, nonce, message, registration}")

// checkNames refuses what encoding/json would bend to fit: names that stand twice in one object, in whatever case, of which the last would
// win over the one that somebody else read. The text is JSON that was decoded before.
func checkNames(text []byte) error {
	names := make([][]string, 1, 4) // of the objects that are open
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			names = append(names, nil)
		case '}', ']':
			names = names[:len(names)-1]
		case '"':
			end := endOfString(text, i)
			if rest := bytes.TrimLeft(text[end:], " \t\r\n"); len(rest) > 0 && rest[0] == ':' {
				name, err := readName(text[i:end], names[len(names)-1])
				if err != nil {
					return err
				}
				names[len(names)-1] = append(names[len(names)-1], name)
			}
			i = end - 1
		}
	}
	return nil
}

// endOfString is where the string ends that begins at a place.
func endOfString(text []byte, at int) int {
	for at++; text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++
		}
	}
	return at + 1
}

func readName(quoted []byte, before []string) (name string, err error) {
	if err := json.Unmarshal(quoted, &name); err != nil {
		return "", errNoJSON
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return "", errors.New("a name is not ASCII") // encoding/json folds some letters into those of our names
	}
	if slices.ContainsFunc(before, func(b string) bool { return strings.EqualFold(b, name) }) {
		return "", fmt.Errorf("the name %.20q stands twice in one object", name)
	}
	return name, nil
}
