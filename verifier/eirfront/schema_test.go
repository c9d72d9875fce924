package eirfront_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas are what answers must look like, in words of our own.
var answerSchema, problemSchema = func() (answer, problem *jsonschema.Schema) {
	text, err := os.ReadFile("testdata/equipment-status.json")
	if err != nil {
		panic(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("schema.json", document); err != nil {
		panic(err)
	}
	return c.MustCompile("schema.json#/$defs/EirResponseData"), c.MustCompile("schema.json#/$defs/ProblemDetails")
}()

// conformance is what is wrong with an answer, by its status code.
func (r reply) conformance() error {
	schema, kind := problemSchema, "application/problem+json"
	if r.status == 200 {
		schema, kind = answerSchema, "application/json"
	}
	if got := r.header.Get("Content-Type"); got != kind {
		return fmt.Errorf("Content-Type is %q", got)
	}
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.body))
	if err != nil {
		return err
	}
	if problem, _ := body.(map[string]any); r.status != 200 && fmt.Sprint(problem["status"]) != fmt.Sprint(r.status) {
		return fmt.Errorf("status says %v", problem["status"])
	}
	return schema.Validate(body)
}

func (r reply) conforms(t testing.TB) {
	t.Helper()
	if err := r.conformance(); err != nil {
		t.Errorf("%d %s is not as the schema says: %v", r.status, r.body, err)
	}
	for _, identity := range []string{"490154203237518", "867686021234562", "356938035643809", "001010000000001"} {
		if strings.Contains(string(r.body), identity) {
			t.Errorf("the answer names somebody: %s", r.body)
		}
	}
}

func TestTheSchemaRefuses(t *testing.T) {
	json := map[string][]string{"Content-Type": {"application/json"}}
	problem := map[string][]string{"Content-Type": {"application/problem+json"}}
	for _, c := range []struct {
		name string
		reply
	}{
		{"a status that is none", reply{200, json, []byte(`{"status":"PINKLISTED"}`)}},
		{"no status", reply{200, json, []byte(`{}`)}},
		{"more than a status", reply{200, json, []byte(`{"status":"WHITELISTED","imei":"490154203237518"}`)}},
		{"text", reply{200, json, []byte(`WHITELISTED`)}},
		{"another media type", reply{200, problem, []byte(`{"status":"WHITELISTED"}`)}},
		{"an unknown equipment without its cause", reply{404, problem, []byte(`{"title":"Not Found","status":404,"detail":"x"}`)}},
		{"a bad request without a cause", reply{400, problem, []byte(`{"title":"Bad Request","status":400,"detail":"x"}`)}},
		{"a cause that is none", reply{400, problem, []byte(`{"title":"Bad Request","status":400,"detail":"x","cause":"BAD"}`)}},
		{"another status than was sent", reply{405, problem, []byte(`{"title":"Bad","status":406,"detail":"x"}`)}},
		{"a status that no specification has", reply{418, problem, []byte(`{"title":"Teapot","status":418,"detail":"x"}`)}},
	} {
		if c.conformance() == nil {
			t.Errorf("%s was taken", c.name)
		}
	}
}
