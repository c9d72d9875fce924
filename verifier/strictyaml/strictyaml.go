// Package strictyaml reads the files that operators write: one document of YAML in which every key is known and stands once.
// Start with [Reader.Document] and [Reader.Fields]. All mistakes are listed at once, each with its line and what to write
// instead.
package strictyaml

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"

	"imei-attest/attest/imei"
)

// Reader goes through a tree of YAML and keeps every mistake. It reads the tree and not a struct, so that each mistake
// has its line and is told in the words of the file.
type Reader struct {
	// Remedy ends a message about a file that is no YAML: what prints one to start from.
	Remedy   string
	Mistakes []Mistake
}

// Field reads the value of a key.
type Field func(value *yaml.Node, key string)

// Wrong keeps a mistake; IMEIs that it quotes are shortened.
func (r *Reader) Wrong(line int, key, format string, args ...any) {
	r.Mistakes = append(r.Mistakes, Mistake{line, key, imei.RedactAll(fmt.Sprintf(format, args...))})
}

// Document returns the root of the one document that a file must be, nil if it is none.
func (r *Reader) Document(text []byte) *yaml.Node {
	var document yaml.Node
	err := yaml.Load(text, &document)
	var bad *yaml.LoadError
	switch {
	case err == nil:
		return document.Content[0]
	case len(strings.TrimSpace(string(text))) == 0:
		r.Wrong(0, "", "the file is empty: %s", r.Remedy)
	case errors.As(err, &bad):
		problem := strings.TrimPrefix(bad.Message, "yaml: ")
		if bad.ContextMsg != "" {
			problem = bad.ContextMsg + ": " + problem
		}
		r.Wrong(bad.Mark.Line, "", "not one document of YAML: %s; %s", problem, r.Remedy)
	default:
		r.Wrong(0, "", "not one document of YAML; %s", r.Remedy)
	}
	return nil
}

// Each visits the keys of a mapping, and no key twice.
func (r *Reader) Each(n *yaml.Node, key string, visit func(name, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.Wrong(n.Line, key, "want keys with values, as KEY: VALUE, not %s", kindOf(n))
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		first, twice := seen[name.Value]
		switch {
		case name.Kind != yaml.ScalarNode:
			r.Wrong(name.Line, key, "a key must be one word, not %s", kindOf(name))
		case twice:
			r.Wrong(name.Line, key, "%q stands twice, first in line %d: remove one", name.Value, first)
		default:
			seen[name.Value] = name.Line
			visit(name, value)
		}
	}
}

// Fields reads a mapping of known keys, of which some are required.
func (r *Reader) Fields(n *yaml.Node, key string, known map[string]Field, required ...string) {
	given := make(map[string]bool)
	names := slices.Sorted(maps.Keys(known))
	r.Each(n, key, func(name, value *yaml.Node) {
		read, ok := known[name.Value]
		if !ok {
			r.Wrong(name.Line, key, "unknown key %q%s", name.Value, Meant(name.Value, names))
			return
		}
		given[name.Value] = true
		read(value, Join(key, name.Value))
	})
	for _, name := range required {
		if n.Kind == yaml.MappingNode && !given[name] {
			r.Wrong(n.Line, Join(key, name), "is missing")
		}
	}
}

// Group is a mapping under a key.
func (r *Reader) Group(known map[string]Field, required ...string) Field {
	return func(value *yaml.Node, key string) { r.Fields(value, key, known, required...) }
}

// List reads each item of a list.
func (r *Reader) List(item Field) Field {
	return func(value *yaml.Node, key string) {
		if value.Kind != yaml.SequenceNode {
			r.Wrong(value.Line, key, "want a list, as [ONE, TWO], not %s", kindOf(value))
			return
		}
		for i, n := range value.Content {
			item(n, fmt.Sprintf("%s[%d]", key, i+1))
		}
	}
}

// Into reads a value and puts it where it belongs. The error of parse says what is wanted.
func Into[T any](r *Reader, to *T, parse func(string) (T, error)) Field {
	return func(value *yaml.Node, key string) {
		text, ok := r.Text(value, key)
		if !ok {
			return
		}
		got, err := parse(text)
		if err != nil {
			r.Wrong(value.Line, key, "%v", err)
			return
		}
		*to = got
	}
}

// Set reads a list of values that each stand once.
func Set[T comparable](r *Reader, to *map[T]bool, parse func(string) (T, error)) Field {
	return r.List(func(value *yaml.Node, key string) {
		var item T
		before := len(r.Mistakes)
		Into(r, &item, parse)(value, key)
		switch {
		case len(r.Mistakes) > before:
		case (*to)[item]:
			r.Wrong(value.Line, key, "%q stands twice: remove one", value.Value)
		case *to == nil:
			*to = map[T]bool{item: true}
		default:
			(*to)[item] = true
		}
	})
}

// Text is a value as it is written. What YAML takes its type for does not count: an IMEI needs no quotes.
func (r *Reader) Text(n *yaml.Node, key string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode:
		r.Wrong(n.Line, key, "want one value, not %s", kindOf(n))
	case n.Style&yaml.TaggedStyle != 0:
		r.Wrong(n.Line, key, "tags such as %q are not read: remove it", n.Tag)
	case isEmpty(n):
		r.Wrong(n.Line, key, "is empty: give a value, or remove the key")
	case !isPrintable(n.Value):
		r.Wrong(n.Line, key, "has a line break or another character that does not print")
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

// Join is the name of a key under another.
func Join(key, name string) string { return strings.TrimPrefix(key+"."+name, ".") }
