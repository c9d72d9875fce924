package attest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"

	"github.com/fxamacker/cbor/v2"
)

func grammar(t testing.TB) *cddl {
	t.Helper()
	text, err := os.ReadFile("profile.cddl")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCDDL(string(text))
	if err != nil {
		t.Fatal("profile.cddl:", err)
	}
	return c
}

// obeys checks a message of a vector's kind against the grammar. Of profile B it is the proof: as a part of evidence
// it may be anything.
func (c *cddl) obeys(t testing.TB, kind string, raw []byte) error {
	t.Helper()
	if kind == "profile-b" {
		e, err := attest.DecodeEvidence(raw)
		if err != nil {
			t.Fatal(err)
		}
		kind, raw = "counter-proof", e.TPMProof
	}
	var v any
	if err := cbor.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%x: %v", raw, err)
	}
	return c.match(kind, v)
}

func loadVectors(t testing.TB) []attesttest.Vector {
	t.Helper()
	vectors, _, err := attesttest.Load()
	if err != nil {
		t.Fatal(err)
	}
	return vectors
}

// notInCDDL lists the bad claims that CDDL has no words for, and why.
var notInCDDL = map[string]string{
	"E219": "the first byte of a byte string",
	"E220": "the digits inside a byte string",
	"E222": "the digits inside a byte string",
	"E224": "two values that must differ",
	"E228": "two lists that must be equally long",
	"E231": "a number that counts the elements before it",
	"E233": "a text that is no IMEI",
	"E234": "the digits inside a byte string",
	"E236": "the digits inside a byte string",
	"C109": "the equation of a curve",
	"P205": "a byte inside a byte string",
}

func TestVectorsObeyCDDL(t *testing.T) {
	c := grammar(t)
	good, bad := 0, 0
	for _, v := range loadVectors(t) {
		switch v.Expected {
		case "ok", "signature":
			if err := c.obeys(t, v.Kind, v.Bytes()); err != nil {
				t.Errorf("%s %s: %v", v.ID, v.Title, err)
			}
			good++
		case string(attest.ClassClaim):
			err := c.obeys(t, v.Kind, v.Bytes())
			if why, listed := notInCDDL[v.ID]; listed != (err == nil) {
				t.Errorf("%s %s: got %v from the grammar, but listed as %q", v.ID, v.Title, err, why)
			}
			bad++
		}
	}
	if good < 20 || bad < 50 {
		t.Errorf("%d good and %d bad vectors were looked at: too few", good, bad)
	}
}

// TestGrammarOfCDDL shows that the checker of these tests refuses what it does not understand.
func TestGrammarOfCDDL(t *testing.T) {
	for _, text := range []string{"a = b c", "a = {1 2}", "a = uint .regexp \"x\"", "a = [1", "a = 1 a = 2", "a = <1>", "a =", "a = [x 1]"} {
		if _, err := parseCDDL(text); err == nil {
			t.Errorf("%q was understood", text)
		}
	}
	c, err := parseCDDL(`m = {1: 2, ? 3: "x", * label => any} label = int / tstr l = [1*2 uint, ? tstr]`)
	if err != nil {
		t.Fatal(err)
	}
	type m = map[any]any
	for _, tt := range []struct {
		rule string
		v    any
		ok   bool
	}{
		{"m", m{uint64(1): uint64(2), "more": nil}, true},
		{"m", m{uint64(1): uint64(2), uint64(3): "x"}, true},
		{"m", m{uint64(1): uint64(2), uint64(3): "y"}, false}, // the wildcard must not swallow it
		{"m", m{uint64(1): uint64(3)}, false},
		{"m", m{}, false},
		{"m", m{uint64(1): uint64(2), true: nil}, false},
		{"l", []any{uint64(1)}, true},
		{"l", []any{uint64(1), uint64(2), "x"}, true},
		{"l", []any{}, false},
		{"l", []any{uint64(1), uint64(2), uint64(3)}, false},
		{"l", "x", false},
	} {
		if err := c.match(tt.rule, tt.v); (err == nil) != tt.ok {
			t.Errorf("%s %v: got %v, want fit %v", tt.rule, tt.v, err, tt.ok)
		}
	}
}

// TestLabelsOfCDDL compares the labels in the source with those in the grammar, structure by structure.
func TestLabelsOfCDDL(t *testing.T) {
	c := grammar(t)
	source := sourceLabels(t)
	pairs := map[string][]string{ // a structure, and the rules that describe it
		"wireClaims": {"evidence-claims"}, "ModemInfo": {"modem-info"}, "wireSubmod": {"submod"},
		"protectedHeader": {"evidence-header", "credential-header-es256", "credential-header-es384"},
		"header":          {"evidence-header", "evidence-enclosure"}, // constants header* in profile.go
		"wireCredential":  {"credential-claims"}, "wireConfirmation": {"confirmation"}, "coseKey": {"device-key"},
		"wireStorage": {"tpm-storage", "other-storage"}, "wireManifest": {"manifest-claims"}, "wireCheckpoint": {"checkpoint-claims"},
		"corimHeader": {"corim-header"}, "corimMeta": {"corim-meta"}, "corimSigner": {"corim-signer"},
	}
	described := make(map[string]bool)
	for structure, labels := range source {
		rules := pairs[structure]
		if rules == nil {
			t.Errorf("%s has labels but no rule is named for it", structure)
		}
		if structure == "protectedHeader" { // each of its rules has all
			for _, rule := range rules {
				compareLabels(t, structure, labels, c.labels[rule])
			}
			continue
		}
		union := make(map[int64]bool)
		for _, rule := range rules {
			described[rule] = true
			maps.Copy(union, c.labels[rule])
		}
		compareLabels(t, structure, labels, union)
	}
	for rule, labels := range c.labels {
		if len(labels) > 0 && !described[rule] && !strings.HasPrefix(rule, "credential-header") {
			t.Errorf("rule %s describes no structure", rule)
		}
	}
}

func compareLabels(t *testing.T, structure string, source, grammar map[int64]bool) {
	t.Helper()
	if !maps.Equal(source, grammar) {
		t.Errorf("%s: labels %v in the source, %v in the grammar", structure, slices.Sorted(maps.Keys(source)), slices.Sorted(maps.Keys(grammar)))
	}
}

// sourceLabels reads the labels in struct tags, by structure, and the constants header* as one more.
func sourceLabels(t *testing.T) map[string]map[int64]bool {
	t.Helper()
	all := make(map[string]map[int64]bool)
	add := func(structure, number string) {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return
		}
		if all[structure] == nil {
			all[structure] = make(map[int64]bool)
		}
		all[structure][n] = true
	}
	for _, file := range sourceFiles(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok {
					for _, field := range s.Fields.List {
						if field.Tag != nil {
							label, _, _ := strings.Cut(reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("cbor"), ",")
							add(n.Name.Name, label)
						}
					}
				}
			case *ast.ValueSpec:
				if strings.HasPrefix(n.Names[0].Name, "header") && len(n.Values) == 1 {
					add("header", strings.Trim(constant(n.Values[0]), "()"))
				}
			}
			return true
		})
	}
	if len(all) < 9 {
		t.Fatalf("only %d structures with labels were found", len(all))
	}
	return all
}

// constant is the text of a literal, with its sign.
func constant(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Value
	case *ast.UnaryExpr:
		return e.Op.String() + constant(e.X)
	}
	return ""
}

func sourceFiles(t *testing.T) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}
