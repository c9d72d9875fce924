package httpapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imei-attest/attest"
	"imei-attest/verifier/httpapi"
)

var update = flag.Bool("update", false, "record the flows in testdata/flows again")

// TestTheFlowsOfVeraisonsClients replays what its clients send, of both generations, as their sources have it (veraison/apiclient,
// veraison/rust-apiclient), and compares the answers with the recorded ones.
// A line of a transcript that begins with > is sent, one with < is received, and # is for people. {location} is where the client was
// sent last; {evidence} is the device's answer to the nonce of the last session, as the media type wants it.
func TestTheFlowsOfVeraisonsClients(t *testing.T) {
	names, err := filepath.Glob("testdata/flows/*.txt")
	const leastFlows = 8
	if err != nil || len(names) < leastFlows {
		t.Fatalf("%d flows, %v; want at least %d", len(names), err, leastFlows)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			recorded, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f := flow{server: serve(t)}
			f.client = having(choosing)
			if strings.HasPrefix(filepath.Base(name), "refused-") {
				f.client = having(httpapi.RoleDevice)
			}
			got := f.replay(string(recorded))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(recorded) {
				t.Errorf("got\n%s\nrecorded\n%s\nRun go test ./verifier/httpapi -update and read the difference.", got, recorded)
			}
		})
	}
}

// flow is a client under way.
type flow struct {
	*server
	location *url.URL
	nonce    attest.Nonce
}

// replay sends the requests of a transcript and returns it with the answers of now.
func (f *flow) replay(transcript string) string {
	f.t.Helper()
	var out strings.Builder
	var sent []string
	flush := func() {
		if len(sent) > 0 {
			out.WriteString(strings.Join(sent, "\n") + "\n" + f.exchange(sent))
		}
		sent = nil
	}
	for line := range strings.Lines(transcript) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, ">"):
			sent = append(sent, line)
		case strings.HasPrefix(line, "<"):
		default:
			flush()
			out.WriteString(line + "\n")
		}
	}
	flush()
	return out.String()
}

// exchange sends one request, and returns the answer in the lines of a transcript.
func (f *flow) exchange(lines []string) string {
	f.t.Helper()
	method, address, _ := strings.Cut(strings.TrimPrefix(lines[0], "> "), " ")
	if address == "{location}" {
		address = f.location.String()
	}
	var headers []string
	var body []byte
	for _, line := range lines[1:] {
		name, value, isHeader := strings.Cut(strings.TrimPrefix(line, "> "), ": ")
		switch {
		case isHeader:
			headers = append(headers, name, value)
		case line == "> {evidence}":
			body = f.evidence(headers)
		case line != ">":
			body = []byte(strings.TrimPrefix(line, "> "))
		}
	}
	r := f.do(method, address, bytes.NewReader(body), headers...)
	f.follow(address, r)
	var out strings.Builder
	fmt.Fprintf(&out, "< %d %s\n", r.status, http.StatusText(r.status))
	for _, name := range slices.Sorted(maps.Keys(r.header)) {
		if name != "Date" && name != "Content-Length" {
			fmt.Fprintf(&out, "< %s: %s\n", name, r.header.Get(name))
		}
	}
	if len(r.body) > 0 {
		fmt.Fprintf(&out, "<\n< %s", r.body)
	}
	return out.String()
}

// evidence is in the form that the request states.
func (f *flow) evidence(headers []string) []byte {
	kind := headers[slices.Index(headers, "Content-Type")+1]
	inJSON, inCBOR := wrapped(attest.EvidenceMediaType, token(f.nonce), attest.CMWEvidence)
	switch {
	case strings.HasSuffix(kind, "cmw+json"):
		return inJSON
	case strings.HasSuffix(kind, "cmw+cbor"):
		return inCBOR
	}
	return token(f.nonce)
}

// follow does what the clients do with an answer: they resolve Location against the address that they asked, and read the nonce and
// the evidence as padded base64 (encoding/json's []byte in Go; serde_with's Base64 in Rust).
func (f *flow) follow(address string, r reply) {
	f.t.Helper()
	if r.status != http.StatusCreated && r.status != http.StatusOK {
		return
	}
	var object struct {
		Status, Result string
		Nonce          []byte
		Accept         []string
		Evidence       struct{ Value []byte }
	}
	if err := json.Unmarshal(r.body, &object); err != nil {
		f.t.Fatalf("a client cannot read %s: %v", r.body, err)
	}
	if r.status == http.StatusCreated {
		base, err := url.Parse(address)
		if err != nil {
			f.t.Fatal(err)
		}
		if f.location, err = base.Parse(r.header.Get("Location")); err != nil {
			f.t.Fatal(err)
		}
		f.nonce = object.Nonce
	}
	if (object.Status == "complete") != (object.Result != "") || !bytes.Equal(object.Nonce, f.nonce) || len(object.Accept) == 0 {
		f.t.Errorf("a client is told %s", r.body)
	}
}
