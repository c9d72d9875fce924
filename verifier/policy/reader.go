package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"imei-attest/attest/imei"
)

// reader goes through a tree of YAML and keeps every mistake. It reads the tree and not a struct, so that each mistake
// has its line and is told in the words of the file.
type reader struct {
	now      time.Time
	mistakes []Mistake
	warnings []string
}

// field reads the value of a key.
type field func(value *yaml.Node, key string)

func (r *reader) wrong(line int, key, format string, args ...any) {
	r.mistakes = append(r.mistakes, Mistake{line, key, imei.RedactAll(fmt.Sprintf(format, args...))})
}

// document returns the root of the one document that a file must be.
func (r *reader) document(text []byte) *yaml.Node {
	const remedy = "imei-verifier policy show prints a policy to start from"
	var document yaml.Node
	err := yaml.Load(text, &document)
	var bad *yaml.LoadError
	switch {
	case err == nil:
		return document.Content[0]
	case len(strings.TrimSpace(string(text))) == 0:
		r.wrong(0, "", "the file is empty: %s", remedy)
	case errors.As(err, &bad):
		problem := strings.TrimPrefix(bad.Message, "yaml: ")
		if bad.ContextMsg != "" {
			problem = bad.ContextMsg + ": " + problem
		}
		r.wrong(bad.Mark.Line, "", "not one document of YAML: %s; %s", problem, remedy)
	default:
		r.wrong(0, "", "not one document of YAML; %s", remedy)
	}
	return nil
}

// each visits the keys of a mapping, and no key twice.
func (r *reader) each(n *yaml.Node, key string, visit func(name, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.wrong(n.Line, key, "want keys with values, as KEY: VALUE, not %s", kindOf(n))
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		first, twice := seen[name.Value]
		switch {
		case name.Kind != yaml.ScalarNode:
			r.wrong(name.Line, key, "a key must be one word, not %s", kindOf(name))
		case twice:
			r.wrong(name.Line, key, "%q stands twice, first in line %d: remove one", name.Value, first)
		default:
			seen[name.Value] = name.Line
			visit(name, value)
		}
	}
}

// fields reads a mapping of known keys, of which some are required.
func (r *reader) fields(n *yaml.Node, key string, known map[string]field, required ...string) {
	given := make(map[string]bool)
	names := slices.Sorted(maps.Keys(known))
	r.each(n, key, func(name, value *yaml.Node) {
		read, ok := known[name.Value]
		if !ok {
			r.wrong(name.Line, key, "unknown key %q%s", name.Value, meant(name.Value, names))
			return
		}
		given[name.Value] = true
		read(value, join(key, name.Value))
	})
	for _, name := range required {
		if n.Kind == yaml.MappingNode && !given[name] {
			r.wrong(n.Line, join(key, name), "is missing")
		}
	}
}

// group is a mapping under a key.
func (r *reader) group(known map[string]field, required ...string) field {
	return func(value *yaml.Node, key string) { r.fields(value, key, known, required...) }
}

// list reads each item of a list.
func (r *reader) list(item field) field {
	return func(value *yaml.Node, key string) {
		if value.Kind != yaml.SequenceNode {
			r.wrong(value.Line, key, "want a list, as [ONE, TWO], not %s", kindOf(value))
			return
		}
		for i, n := range value.Content {
			item(n, fmt.Sprintf("%s[%d]", key, i+1))
		}
	}
}

// into reads a value and puts it where it belongs. The error of parse says what is wanted.
func into[T any](r *reader, to *T, parse func(string) (T, error)) field {
	return func(value *yaml.Node, key string) {
		text, ok := r.text(value, key)
		if !ok {
			return
		}
		got, err := parse(text)
		if err != nil {
			r.wrong(value.Line, key, "%v", err)
			return
		}
		*to = got
	}
}

// set reads a list of values that each stand once.
func set[T comparable](r *reader, to *map[T]bool, parse func(string) (T, error)) field {
	return r.list(func(value *yaml.Node, key string) {
		var item T
		before := len(r.mistakes)
		into(r, &item, parse)(value, key)
		switch {
		case len(r.mistakes) > before:
		case (*to)[item]:
			r.wrong(value.Line, key, "%q stands twice: remove one", value.Value)
		case *to == nil:
			*to = map[T]bool{item: true}
		default:
			(*to)[item] = true
		}
	})
}

// text is a value as it is written. What YAML takes its type for does not count: an IMEI needs no quotes.
func (r *reader) text(n *yaml.Node, key string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		r.wrong(n.Line, key, "want one value, not %s", kindOf(n))
	case n.Style&yaml.TaggedStyle != 0:
		r.wrong(n.Line, key, "tags such as %q are not read: remove it", n.Tag)
	case isEmpty(n):
		r.wrong(n.Line, key, "is empty: give a value, or remove the key")
	case !isPrintable(n.Value):
		r.wrong(n.Line, key, "has a line break or another character that does not print")
	default:
		return n.Value, true
	}
	return "", false
}

func isEmpty(n *yaml.Node) bool {
	return n.ShortTag() == "!!null" || strings.TrimSpace(n.Value) == ""
}

func isPrintable(text string) bool {
	return strings.IndexFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) < 0
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "a reference to a value elsewhere"
	}
	if isEmpty(n) {
		return "nothing"
	}
	return "a single value"
}

func join(key, name string) string { return strings.TrimPrefix(key+"."+name, ".") }
