package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// contract is openapi.yaml, which every exchange of the tests is held to.
var contract = loadContract()

// agreement is the document, with what of it was exercised.
type agreement struct {
	document any
	paths    map[string]*regexp.Regexp
	schemas  *jsonschema.Compiler

	mu        sync.Mutex
	exercised map[string]bool
}

func loadContract() *agreement {
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		panic(err)
	}
	var document any
	if err := yaml.Load(text, &document); err != nil {
		panic(err)
	}
	inJSON, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	c := &agreement{paths: make(map[string]*regexp.Regexp), schemas: jsonschema.NewCompiler(), exercised: make(map[string]bool)}
	if c.document, err = jsonschema.UnmarshalJSON(bytes.NewReader(inJSON)); err != nil {
		panic(err)
	}
	c.schemas.DefaultDraft(jsonschema.Draft2020)
	c.schemas.AssertFormat()
	if err := c.schemas.AddResource("openapi.yaml", c.document); err != nil {
		panic(err)
	}
	for path := range under(c.document, "paths") {
		c.paths[path] = regexp.MustCompile("^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
	}
	return c
}

// under goes down by keys; nothing is an empty object.
func under(value any, keys ...string) map[string]any {
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	object, _ := value.(map[string]any)
	return object
}

// resolve follows a reference within the document.
func (c *agreement) resolve(pointer []string) (map[string]any, []string) {
	object := under(c.document, pointer...)
	if reference, ok := object["$ref"].(string); ok {
		pointer = strings.Split(strings.TrimPrefix(reference, "#/"), "/")
		return under(c.document, pointer...), pointer
	}
	return object, pointer
}

// check holds one answer to the document: route, method, status, media type, headers and schema.
func (c *agreement) check(request *http.Request, r reply) error {
	path, found := c.find(request.URL.EscapedPath())
	method := strings.ToLower(request.Method)
	switch operation := under(c.document, "paths", path, method); {
	case !found || request.URL.Path != strings.ReplaceAll(request.URL.Path, "//", "/"):
		return c.refused(r, http.StatusNotFound)
	case operation == nil:
		return c.refused(r, http.StatusMethodNotAllowed)
	}
	response, pointer := c.resolve([]string{"paths", path, method, "responses", strconv.Itoa(r.status)})
	if response == nil {
		return fmt.Errorf("status %d is not declared: %.100s", r.status, r.body)
	}
	exercised := fmt.Sprintf("%s %s %d", request.Method, path, r.status)
	declared := under(response, "content")
	if declared == nil {
		c.mark(exercised)
		if len(r.body) > 0 {
			return errors.New("a body where none is declared")
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil || declared[kind] == nil {
		return fmt.Errorf("media type %s is not declared with status %d", kind, r.status)
	}
	c.mark(exercised + " " + kind)
	if r.status < 300 {
		if err := c.checkRequest(path, method, request); err != nil {
			return err
		}
	}
	return errors.Join(c.checkHeaders(pointer, r.header), c.checkBody(append(slices.Clip(pointer), "content", kind), r.body))
}

func (c *agreement) find(escaped string) (string, bool) {
	for path, pattern := range c.paths {
		if pattern.MatchString(escaped) {
			return path, true
		}
	}
	return "", false
}

// refused is how every path and method is refused that is not declared.
func (c *agreement) refused(r reply, status int) error {
	if r.status != status || r.header.Get("Content-Type") != typeProblem {
		return fmt.Errorf("%d %s of what is not declared, want %d", r.status, r.header.Get("Content-Type"), status)
	}
	return c.checkBody([]string{"components", "responses", "Problem", "content", typeProblem}, r.body)
}

// checkRequest: what is taken is declared.
func (c *agreement) checkRequest(path, method string, request *http.Request) error {
	body, _ := c.resolve([]string{"paths", path, method, "requestBody"})
	if body == nil {
		return nil
	}
	kind, _, err := mime.ParseMediaType(request.Header.Get("Content-Type"))
	if _, declared := under(body, "content")[kind]; err != nil || !declared {
		return fmt.Errorf("a body of type %s is taken and not declared", kind)
	}
	c.mark(fmt.Sprintf("%s %s takes %s", request.Method, path, kind))
	return nil
}

func (c *agreement) checkHeaders(pointer []string, header http.Header) error {
	for name := range under(c.document, append(slices.Clip(pointer), "headers")...) {
		schema, err := c.schema(append(slices.Clip(pointer), "headers", name, "schema"))
		if err != nil {
			return err
		}
		if err := schema.Validate(header.Get(name)); err != nil || header.Get(name) == "" {
			return fmt.Errorf("header %s is %q: %v", name, header.Get(name), err)
		}
	}
	return nil
}

// checkBody validates a body of JSON or text; one of CBOR has no schema.
func (c *agreement) checkBody(pointer []string, body []byte) error {
	if under(c.document, append(slices.Clip(pointer), "schema")...) == nil {
		return nil
	}
	schema, err := c.schema(append(slices.Clip(pointer), "schema"))
	if err != nil {
		return err
	}
	var value any = string(body)
	if strings.HasSuffix(pointer[len(pointer)-1], "json") {
		if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(body)); err != nil {
			return err
		}
	}
	return schema.Validate(value)
}

func (c *agreement) schema(pointer []string) (*jsonschema.Schema, error) {
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	text := "openapi.yaml#"
	for _, part := range pointer {
		text += "/" + escape.Replace(part)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.schemas.Compile(text)
}

func (c *agreement) mark(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exercised[what] = true
}

// unexercised lists what is declared and was in no exchange.
func (c *agreement) unexercised() (missing []string) {
	for path := range c.paths {
		for method := range under(c.document, "paths", path) {
			if method == "parameters" {
				continue
			}
			missing = append(missing, c.unexercisedIn(path, method)...)
		}
	}
	slices.Sort(missing)
	return slices.DeleteFunc(missing, func(what string) bool { return c.exercised[what] })
}

func (c *agreement) unexercisedIn(path, method string) (all []string) {
	of := strings.ToUpper(method) + " " + path
	for status := range under(c.document, "paths", path, method, "responses") {
		response, _ := c.resolve([]string{"paths", path, method, "responses", status})
		content := under(response, "content")
		if content == nil {
			all = append(all, of+" "+status)
		}
		for kind := range content {
			all = append(all, of+" "+status+" "+kind)
		}
	}
	body, _ := c.resolve([]string{"paths", path, method, "requestBody"})
	for kind := range maps.Keys(under(body, "content")) {
		all = append(all, of+" takes "+kind)
	}
	return all
}

// TestMain fails when something is declared and no test exercises it.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	const leastDeclared = 70 // far fewer would mean that the document was not read
	if run := flag.Lookup("test.run").Value.String(); code == 0 && run == "" && flag.Lookup("test.list").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" {
		if missing := contract.unexercised(); len(missing) > 0 || len(contract.exercised) < leastDeclared {
			fmt.Printf("openapi.yaml: %d exchanges exercised, and none of\n%s\n", len(contract.exercised), strings.Join(missing, "\n"))
			code = 1
		}
	}
	os.Exit(code)
}

func TestTheDescriptionIsServed(t *testing.T) {
	s := serve(t)
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s.client = having(0)
	if r := s.do("GET", "/openapi.yaml", nil); r.status != http.StatusOK || r.header.Get("Content-Type") != "application/yaml" || !bytes.Equal(r.body, want) {
		t.Errorf("%d %v %.100s", r.status, r.header, r.body)
	}
}

// TestEveryRouteIsDeclared, and every declared one is a route: the source is read for what no test may have asked for yet.
func TestEveryRouteIsDeclared(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var routes, declared []string
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "_test.go") {
			for _, m := range regexp.MustCompile(`\.handle\([^"\n]*"([A-Z]+ /[^"]*)"`).FindAllSubmatch(source, -1) {
				routes = append(routes, string(m[1]))
			}
		}
	}
	for path := range contract.paths {
		for method := range under(contract.document, "paths", path) {
			if method != "parameters" {
				declared = append(declared, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(declared)
	if !slices.Equal(routes, declared) {
		t.Errorf("the routes are\n%s\nand openapi.yaml declares\n%s", strings.Join(routes, "\n"), strings.Join(declared, "\n"))
	}
}

// TestWhatIsNotDeclaredIsNoticed: the check can fail.
func TestWhatIsNotDeclaredIsNoticed(t *testing.T) {
	request := func(method, path string) *http.Request {
		r, err := http.NewRequest(method, "http://127.0.0.1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	inJSON, located := http.Header{"Content-Type": {"application/json"}}, http.Header{"Content-Type": {"application/json"}, "Content-Location": {"/v1/results/019ca945-0a00-7d9c-b2cb-84d42dae6fa3"}}
	const problem = `{"type":"about:blank","title":"x","status":400,"detail":"x"}`
	for name, c := range map[string]struct {
		request *http.Request
		reply   reply
	}{
		"a path":                  {request("GET", "/v2"), reply{200, inJSON, []byte("{}")}},
		"a method":                {request("PUT", "/v1/appraise"), reply{200, inJSON, []byte("{}")}},
		"a status":                {request("POST", "/v1/appraise"), reply{202, inJSON, []byte("{}")}},
		"a media type":            {request("POST", "/v1/appraise"), reply{400, inJSON, []byte(problem)}},
		"a body":                  {request("POST", "/v1/appraise"), reply{200, located, []byte("{}")}},
		"a body where none is":    {request("DELETE", "/challenge-response/v1/session/AAAA"), reply{204, inJSON, []byte("{}")}},
		"a problem of Go's":       {request("GET", "/v2"), reply{404, http.Header{"Content-Type": {"text/plain"}}, []byte("404 page not found")}},
		"a missing header":        {request("POST", "/v1/appraise"), reply{503, http.Header{"Content-Type": {typeProblem}}, []byte(problem)}},
		"a problem without words": {request("POST", "/v1/appraise"), reply{400, http.Header{"Content-Type": {typeProblem}}, []byte(`{"type":"about:blank","title":"","status":400,"detail":""}`)}},
	} {
		if err := contract.check(c.request, c.reply); err == nil {
			t.Errorf("%s that is not declared passes", name)
		}
	}
}
