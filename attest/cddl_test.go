package attest_test

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// cddl is as much of RFC 8610 as profile.cddl uses: it reads the grammar and checks decoded values against it.
type cddl struct {
	rules  map[string]check
	labels map[string]map[int64]bool // rule -> the integer labels in its maps
	rule   string                    // being read
	tokens []string                  // not yet read
	broken string                    // the innermost rule that a value failed first
}

// check tells whether a value obeys a type.
type check func(v any) bool

// entry is a member of a map or an element of an array.
type entry struct {
	min, max int
	key      check
	cut      bool // once the key fits, the value must (RFC 8610 section 3.5.4)
	value    check
}

const unbounded = 1 << 30

var (
	cddlToken   = regexp.MustCompile(`"[^"]*"|#6\.\d+|-?\d+|\.\.|\.[a-z]+|=>|[A-Za-z][A-Za-z0-9-]*|[=\[\]{}(),:?*+/]`)
	cddlComment = regexp.MustCompile(`;[^\n]*`)
)

func parseCDDL(text string) (c *cddl, err error) {
	text = cddlComment.ReplaceAllString(text, "")
	if rest := strings.TrimSpace(cddlToken.ReplaceAllString(text, "")); rest != "" {
		return nil, fmt.Errorf("not of the subset: %q", rest)
	}
	c = &cddl{rules: make(map[string]check), labels: make(map[string]map[int64]bool), tokens: cddlToken.FindAllString(text, -1)}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("rule %s: %v", c.rule, p)
		}
	}()
	for len(c.tokens) > 0 {
		c.rule = c.next()
		c.want("=")
		if c.rules[c.rule] != nil {
			panic("stands twice")
		}
		c.labels[c.rule] = make(map[int64]bool)
		c.rules[c.rule] = c.choice()
	}
	return c, nil
}

// match checks a value against a rule and names the innermost rule that it does not obey.
func (c *cddl) match(rule string, v any) error {
	c.broken = ""
	if !c.rules[rule](v) {
		return fmt.Errorf("does not obey rule %s (%s)", rule, c.broken)
	}
	return nil
}

func (c *cddl) next() string {
	t := c.tokens[0]
	c.tokens = c.tokens[1:]
	return t
}

func (c *cddl) ahead(n int, token string) bool { return n < len(c.tokens) && c.tokens[n] == token }

func (c *cddl) accept(token string) bool {
	found := c.ahead(0, token)
	if found {
		c.next()
	}
	return found
}

func (c *cddl) want(token string) {
	if !c.accept(token) {
		panic(fmt.Sprintf("%q is missing before %q", token, c.tokens))
	}
}

// choice reads type / type / ...
func (c *cddl) choice() check {
	one := c.controlled()
	if !c.accept("/") {
		return one
	}
	other := c.choice()
	return func(v any) bool { return one(v) || other(v) }
}

// controlled reads a type with .size or .cbor behind it.
func (c *cddl) controlled() check {
	base := c.plain()
	switch {
	case c.accept(".size"):
		size := c.plain()
		return func(v any) bool {
			text, _ := v.(string)
			raw, _ := v.([]byte)
			return base(v) && size(uint64(len(text)+len(raw)))
		}
	case c.accept(".cbor"):
		inner := c.plain()
		return func(v any) bool {
			var decoded any
			return base(v) && cbor.Unmarshal(v.([]byte), &decoded) == nil && inner(decoded)
		}
	}
	return base
}

func (c *cddl) plain() check {
	t := c.next()
	if low, err := strconv.ParseInt(t, 10, 64); err == nil {
		high := low
		if c.accept("..") {
			high = number(c.next())
		}
		return func(v any) bool { n, ok := integer(v); return ok && low <= n && n <= high }
	}
	switch {
	case t[0] == '"':
		return func(v any) bool { return v == strings.Trim(t, `"`) }
	case t == "(":
		inner := c.choice()
		c.want(")")
		return inner
	case t == "[":
		return array(c.entries("]"))
	case t == "{":
		return mapping(c.entries("}"))
	case strings.HasPrefix(t, "#6."):
		c.want("(")
		content := c.choice()
		c.want(")")
		return func(v any) bool {
			tag, ok := v.(cbor.Tag)
			return ok && tag.Number == uint64(number(t[3:])) && content(tag.Content)
		}
	case prelude[t] != nil:
		return prelude[t]
	}
	return func(v any) bool {
		ok := c.rules[t] != nil && c.rules[t](v)
		if !ok && c.broken == "" {
			c.broken = t
		}
		return ok
	}
}

// entries reads the inside of brackets: [occurrence] [key] type, ...
func (c *cddl) entries(end string) (all []entry) {
	for !c.accept(end) {
		e := entry{min: 1, max: 1}
		switch {
		case c.accept("?"):
			e.min = 0
		case c.accept("*"):
			e.min, e.max = 0, unbounded
		case c.accept("+"):
			e.max = unbounded
		case c.ahead(1, "*"):
			e.min = int(number(c.next()))
			c.want("*")
			e.max = int(number(c.next()))
		}
		switch {
		case c.ahead(1, ":") && end == "]": // a name without meaning
			c.next()
			c.want(":")
		case c.ahead(1, ":"):
			if n, err := strconv.ParseInt(c.tokens[0], 10, 64); err == nil {
				c.labels[c.rule][n] = true
			}
			e.key, e.cut = c.plain(), true
			c.want(":")
		case c.ahead(1, "=>"):
			e.key = c.plain()
			c.want("=>")
		}
		e.value = c.choice()
		all = append(all, e)
		if !c.accept(",") && !c.ahead(0, end) {
			panic(fmt.Sprintf("neither comma nor %q before %q", end, c.tokens))
		}
	}
	return all
}

func array(entries []entry) check {
	return func(v any) bool {
		left, ok := v.([]any)
		for _, e := range entries {
			count := 0
			for ; count < e.max && len(left) > 0 && e.value(left[0]); count++ {
				left = left[1:]
			}
			ok = ok && count >= e.min
		}
		return ok && len(left) == 0
	}
}

func mapping(entries []entry) check {
	return func(v any) bool {
		members, ok := v.(map[any]any)
		left := maps.Clone(members)
		for _, e := range entries {
			count := 0
			for label, value := range left {
				if !e.key(label) {
					continue
				}
				if fits := e.value(value); fits {
					delete(left, label)
					count++
				} else if e.cut {
					return false
				}
			}
			ok = ok && e.min <= count && count <= e.max
		}
		return ok && len(left) == 0
	}
}

// prelude is what RFC 8610 appendix D predefines.
var prelude = map[string]check{
	"any":  func(any) bool { return true },
	"nil":  func(v any) bool { return v == nil },
	"true": func(v any) bool { return v == true },
	"uint": func(v any) bool { _, ok := v.(uint64); return ok },
	"int":  func(v any) bool { _, negative := v.(int64); _, ok := v.(uint64); return ok || negative },
	"bstr": func(v any) bool { _, ok := v.([]byte); return ok },
	"tstr": func(v any) bool { _, ok := v.(string); return ok },
}

func number(token string) int64 {
	n, err := strconv.ParseInt(token, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func integer(v any) (int64, bool) {
	if n, ok := v.(uint64); ok {
		return int64(n), n < 1<<63
	}
	n, ok := v.(int64)
	return n, ok
}
