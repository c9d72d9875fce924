package eirfront_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"imei-attest/verifier"
	"imei-attest/verifier/eirfront"
)

func TestQuestions(t *testing.T) {
	const sv = "imeisv-4901542032375105"
	for _, c := range []struct{ name, query, want string }{
		{"equipment in order, of its subscriber", "pei=" + peiGood + "&supi=" + alice, "OK WHITELISTED"},
		{"in another order", "supi=" + alice + "&pei=" + peiGood, "OK WHITELISTED"},
		{"with all that there is", "pei=" + peiGood + "&supi=" + alice + "&gpsi=msisdn-15555550100&supported-features=0", "OK WHITELISTED"},
		{"with a feature that a later release has", "pei=" + peiGood + "&supi=" + alice + "&supported-features=Ff01", "OK WHITELISTED"},
		{"with a parameter that a later release has", "pei=" + peiGood + "&supi=" + alice + "&ue-location=x", "OK WHITELISTED"},
		{"without a subscriber", "pei=" + peiGood, "OK GREYLISTED"},
		{"with a GPSI alone", "pei=" + peiGood + "&gpsi=extid-meter%40operator.example", "OK GREYLISTED"},
		{"equipment that is not in order", "pei=" + peiBad + "&supi=" + alice, "OK BLACKLISTED"},
		{"unknown equipment", "pei=" + peiUnknown, "Not Found ERROR_EQUIPMENT_UNKNOWN"},
		{"an IMEISV", "pei=" + sv, "Not Found ERROR_EQUIPMENT_UNKNOWN"},
		{"a MAC address", "pei=mac-00-00-5E-00-53-00", "Not Found ERROR_EQUIPMENT_UNKNOWN"},
		{"a MAC address that is not to be relied on", "pei=mac-00-00-5e-00-53-00-untrusted", "Not Found ERROR_EQUIPMENT_UNKNOWN"},
		{"an EUI-64", "pei=eui-00-00-5E-EF-10-00-00-00", "Not Found ERROR_EQUIPMENT_UNKNOWN"},
		{"a SUPI that is a network access identifier", "pei=" + peiGood + "&supi=nai-user%40operator.example", "OK WHITELISTED"},
		{"a SUPI of a fixed line", "pei=" + peiGood + "&supi=gli-bGluZQ%3d%3d%40operator.example", "OK WHITELISTED"},
		{"an escaped name", "%70ei=" + peiGood + "&supi=" + alice, "OK WHITELISTED"},
	} {
		f := newFront(t)
		if got := f.ask("GET", about(c.query)).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestTheVerifierIsAskedWhatTheAMFAsked(t *testing.T) {
	f := newFront(t)
	f.ask("GET", about("pei="+peiGood+"&supi="+alice+"&gpsi=msisdn-15555550100"))
	again := false
	want := verifier.Registration{PEI: peiGood, SUPI: alice, Front: verifier.Front5GEIR, Initial: &again}
	if len(f.judge.asked) != 1 || *f.judge.asked[0].Initial {
		t.Fatalf("asked %+v", f.judge.asked)
	}
	got := f.judge.asked[0]
	if got.Initial = &again; got != want {
		t.Errorf("asked %+v, want %+v", got, want)
	}
	f.ask("GET", about("pei=mac-00-00-5E-00-53-00"))
	if len(f.judge.asked) != 1 {
		t.Error("the verifier was asked about what holds no IMEI")
	}
}

const (
	missing   = "Bad Request MANDATORY_QUERY_PARAM_MISSING"
	mandatory = "Bad Request MANDATORY_QUERY_PARAM_INCORRECT"
	optional  = "Bad Request OPTIONAL_QUERY_PARAM_INCORRECT"
	malformed = "Bad Request INVALID_MSG_FORMAT"
)

// wrong is the corpus of questions that are none.
var wrong = []struct{ name, query, want string }{
	{"no query", "", missing},
	{"another parameter alone", "supi=" + alice, missing},
	{"a PEI in capitals", "PEI=" + peiGood, missing},
	{"an empty PEI", "pei=", mandatory},
	{"a PEI without a value", "pei", mandatory},
	{"a PEI twice", "pei=" + peiGood + "&pei=" + peiGood, mandatory},
	{"a PEI twice, differently", "pei=" + peiGood + "&pei=" + peiBad, mandatory},
	{"digits alone", "pei=490154203237518", mandatory},
	{"14 digits", "pei=imei-49015420323751", mandatory},
	{"16 digits of an IMEI", "pei=imei-4901542032375180", mandatory},
	{"15 digits of an IMEISV", "pei=imeisv-490154203237518", mandatory},
	{"17 digits of an IMEISV", "pei=imeisv-49015420323751805", mandatory},
	{"letters in an IMEI", "pei=imei-49015420323751a", mandatory},
	{"other digits of Unicode", "pei=imei-" + strings.Repeat("%D9%A1", 15), mandatory},
	{"a sign", "pei=imei-%2B49015420323751", mandatory},
	{"a space before", "pei=%20" + peiGood, mandatory},
	{"a space for a plus", "pei=" + peiGood + "+", mandatory},
	{"a line's end", "pei=" + peiGood + "%0A", mandatory},
	{"a NUL", "pei=" + peiGood + "%00", mandatory},
	{"capitals", "pei=IMEI-490154203237518", mandatory},
	{"a URN", "pei=urn%3Agsma%3Aimei%3A49015420-323751-0", mandatory},
	{"a kind alone", "pei=imei-", mandatory},
	{"another kind", "pei=meid-A0000000000000", mandatory},
	{"a semicolon for an ampersand", "pei=" + peiGood + ";supi=" + alice, malformed},
	{"a semicolon in what is left alone", "pei=" + peiGood + "&x=1;supi=" + alice, malformed},
	{"an escaped semicolon", "pei=" + peiGood + "%3Bsupi=" + alice, mandatory},
	{"a MAC address with colons", "pei=mac-00%3A00%3A5E%3A00%3A53%3A00", mandatory},
	{"a MAC address of five octets", "pei=mac-00-00-5E-00-53", mandatory},
	{"a MAC address of seven", "pei=mac-00-00-5E-00-53-00-00", mandatory},
	{"a MAC address with another letter", "pei=mac-00-00-5G-00-53-00", mandatory},
	{"a MAC address that is twice not to be relied on", "pei=mac-00-00-5E-00-53-00-untrusted-untrusted", mandatory},
	{"an EUI-64 of six octets", "pei=eui-00-00-5E-00-53-00", mandatory},
	{"an EUI-64 that is not to be relied on", "pei=eui-00-00-5E-EF-10-00-00-00-untrusted", mandatory},
	{"hyphens only", "pei=mac------------------", mandatory},
	{"an IMEI of 1000 digits", "pei=imei-" + strings.Repeat("4", 1000), mandatory},
	{"an escape that is none", "pei=%zz", malformed},
	{"half an escape", "pei=" + peiGood + "%4", malformed},
	{"an escape that is none in a name", "%=1&pei=" + peiGood, malformed},
	{"a SUPI without digits", "pei=" + peiGood + "&supi=imsi-", optional},
	{"a SUPI of 16 digits", "pei=" + peiGood + "&supi=imsi-0010100000000011", optional},
	{"a SUPI of 4", "pei=" + peiGood + "&supi=imsi-0010", optional},
	{"digits without the kind of SUPI", "pei=" + peiGood + "&supi=001010000000001", optional},
	{"an empty SUPI", "pei=" + peiGood + "&supi=", optional},
	{"a SUPI twice", "pei=" + peiGood + "&supi=" + alice + "&supi=" + alice, optional},
	{"an identifier with a space", "pei=" + peiGood + "&supi=nai-a%20b", optional},
	{"an identifier that is not UTF-8", "pei=" + peiGood + "&supi=nai-%ff", optional},
	{"an identifier that is too long", "pei=" + peiGood + "&supi=nai-" + strings.Repeat("a", 256), optional},
	{"a SUCI", "pei=" + peiGood + "&supi=suci-0-001-01-0000-0-0-0000000001", optional},
	{"a GPSI without digits", "pei=" + peiGood + "&gpsi=msisdn-", optional},
	{"a GPSI of 16 digits", "pei=" + peiGood + "&gpsi=msisdn-1555555010012345", optional},
	{"an external identifier without a domain", "pei=" + peiGood + "&gpsi=extid-meter", optional},
	{"an external identifier with two", "pei=" + peiGood + "&gpsi=extid-a%40b%40c", optional},
	{"features that are no number", "pei=" + peiGood + "&supported-features=all", optional},
	{"empty features", "pei=" + peiGood + "&supported-features=", optional},
	{"too many features", "pei=" + peiGood + "&supported-features=" + strings.Repeat("f", 65), optional},
	{"features twice", "pei=" + peiGood + "&supported-features=1&supported-features=1", optional},
}

func TestWrongQuestionsAreRefusedWithTheirCause(t *testing.T) {
	for _, c := range wrong {
		f := newFront(t)
		got := f.ask("GET", about(c.query))
		if got.String() != c.want || len(f.judge.asked) > 0 {
			t.Errorf("%s: got %s, asked %d; want %s", c.name, got, len(f.judge.asked), c.want)
		}
		if f.counts[eirfront.ResultRefused] != 1 || len(f.counts) != 1 {
			t.Errorf("%s: counted as %v", c.name, f.counts)
		}
	}
}

func TestRequestsThatAreNoQuestion(t *testing.T) {
	good := about("pei=" + peiGood)
	for _, c := range []struct {
		name, method, target string
		headers              []string
		want, header, value  string
	}{
		{"a question is not posted", "POST", good, nil, "Method Not Allowed", "Allow", "GET"},
		{"nor put", "PUT", good, nil, "Method Not Allowed", "Allow", "GET"},
		{"nor deleted", "DELETE", good, nil, "Method Not Allowed", "Allow", "GET"},
		{"nor asked for its head", "HEAD", good, nil, "Method Not Allowed", "Allow", "GET"},
		{"a method that nobody knows", "FROB", good, nil, "Method Not Allowed", "Allow", "GET"},
		{"another resource", "GET", "/n5g-eir-eic/v1/equipment?pei=" + peiGood, nil, "Not Found RESOURCE_URI_STRUCTURE_NOT_FOUND", "", ""},
		{"a resource below", "GET", "/n5g-eir-eic/v1/equipment-status/1", nil, "Not Found RESOURCE_URI_STRUCTURE_NOT_FOUND", "", ""},
		{"the resource's misspelling", "GET", "/n5g-eir-eic/v1/equipement-status?pei=" + peiGood, nil, "Not Found RESOURCE_URI_STRUCTURE_NOT_FOUND", "", ""},
		{"another version", "GET", "/n5g-eir-eic/v2/equipment-status?pei=" + peiGood, nil, "Bad Request INVALID_API", "", ""},
		{"another API", "GET", "/nudm-sdm/v2/x", nil, "Bad Request INVALID_API", "", ""},
		{"nothing", "GET", "/", nil, "Bad Request INVALID_API", "", ""},
		{"a URI that is too long", "GET", good + "&x=" + strings.Repeat("x", 2048), nil, "Request URI Too Long", "", ""},
		{"an answer in XML", "GET", good, []string{"Accept", "application/xml"}, "Not Acceptable", "", ""},
		{"an answer in problems alone", "GET", good, []string{"Accept", "application/problem+json"}, "Not Acceptable", "", ""},
		{"an answer that is unwanted", "GET", good, []string{"Accept", "application/json;q=0"}, "Not Acceptable", "", ""},
		{"an answer that is unwanted, more exactly", "GET", good, []string{"Accept", "application/json; q=0.000"}, "Not Acceptable", "", ""},
		{"an empty Accept", "GET", good, []string{"Accept", ""}, "Not Acceptable", "", ""},
		{"what AMFs accept", "GET", good, []string{"Accept", "application/json,application/problem+json"}, "OK GREYLISTED", "", ""},
		{"accepted in the second line", "GET", good, []string{"Accept", "text/html", "Accept", "Application/*;q=0.5"}, "OK GREYLISTED", "", ""},
		{"anything is accepted", "GET", good, []string{"Accept", "*/*"}, "OK GREYLISTED", "Cache-Control", "no-store"},
	} {
		got := newFront(t).ask(c.method, c.target, c.headers...)
		if got.String() != c.want || c.header != "" && got.header.Get(c.header) != c.value {
			t.Errorf("%s: got %s, %v; want %s", c.name, got, got.header, c.want)
		}
	}
}

// TestAnEventForEachDecision: one when it is made, with what was decided and nobody's name.
func TestAnEventForEachDecision(t *testing.T) {
	f := newFront(t)
	f.ask("GET", about("pei="+peiGood+"&supi="+alice))
	log := f.log.String()
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, `"msg":"judged","front":"5g-eir","id":"`) || !strings.Contains(log, `"answer":"WHITELISTED"`) ||
		strings.Contains(log, peiGood[5:]) || strings.Contains(log, alice[5:]) {
		t.Errorf("the log says %s", log)
	}
	f.ask("GET", about("pei="))
	if f.log.String() != log {
		t.Errorf("the log says of a request that decided nothing %s", f.log.String()[len(log):])
	}
	f.judge.before = time.Nanosecond
	f.ask("GET", about("pei="+peiGood+"&supi="+alice))
	if f.log.String() != log {
		t.Errorf("the log says of a verdict that is told again %s", f.log.String()[len(log):])
	}
}

// TestThePolicySaysWhatAStoreThatFailsMeans, and not a 503, which an AMF may take for leave.
func TestThePolicySaysWhatAStoreThatFailsMeans(t *testing.T) {
	f := newFront(t)
	f.judge.broken = true
	if got := f.ask("GET", about("pei="+peiGood+"&supi="+alice)).String(); got != "OK GREYLISTED" || f.counts[eirfront.ResultTracked] != 1 {
		t.Errorf("got %s, counted %v", got, f.counts)
	}
}

func TestAFaultIsAnsweredAndLoggedWithoutIdentities(t *testing.T) {
	f := newFront(t)
	f.judge.panics = true
	got := f.ask("GET", about("pei="+peiGood+"&supi="+alice))
	if got.String() != "Internal Server Error SYSTEM_FAILURE" || f.counts[eirfront.ResultFailed] != 1 {
		t.Errorf("got %s, counted %v", got, f.counts)
	}
	if log := f.log.String(); !strings.Contains(log, "eirfront_test.(*judge).Appraise") || strings.Contains(log, peiGood[5:]) || strings.Contains(log, alice[5:]) {
		t.Errorf("the log says %s", log)
	}
	f.judge.panics = false
	for range 20 { // more than there are places
		if got := f.ask("GET", about("pei="+peiGood)).String(); got != "OK GREYLISTED" {
			t.Fatalf("after the fault: %s", got)
		}
	}
}

func TestCallersAreLimited(t *testing.T) {
	wait := 1500 * time.Millisecond
	f := newFront(t, func(c *eirfront.Config) { c.Wait = func(*http.Request) time.Duration { return wait } })
	got := f.ask("GET", about("pei="+peiGood))
	if got.String() != "Too Many Requests NF_CONGESTION_RISK" || got.header.Get("Retry-After") != "2" || len(f.judge.asked) > 0 || f.counts[eirfront.ResultLimited] != 1 {
		t.Errorf("got %s, %v", got, got.header)
	}
	wait = 0
	if got := f.ask("GET", about("pei="+peiGood)).String(); got != "OK GREYLISTED" {
		t.Errorf("later: %s", got)
	}
}

func TestOnlySoManyAreJudgedAtOnce(t *testing.T) {
	f := newFront(t, func(c *eirfront.Config) { c.InFlight = 2 })
	f.judge.held, f.judge.enters = make(chan struct{}), make(chan struct{})
	answers := make(chan int)
	for range 2 {
		go func() {
			w := httptest.NewRecorder()
			f.handler.ServeHTTP(w, httptest.NewRequest("GET", about("pei="+peiGood), nil))
			answers <- w.Code
		}()
		<-f.judge.enters
	}
	if got := f.ask("GET", about("pei="+peiGood)); got.String() != "Service Unavailable NF_CONGESTION" || got.header.Get("Retry-After") != "1" {
		t.Errorf("the third: %s, %v", got, got.header)
	}
	if got := f.ask("GET", about("pei=")).String(); got != mandatory {
		t.Errorf("what needs no place: %s", got)
	}
	close(f.judge.held)
	for range 2 {
		if code := <-answers; code != http.StatusOK {
			t.Errorf("the first two: %d", code)
		}
	}
}

func TestNewNeedsWhatItNeeds(t *testing.T) {
	if _, err := eirfront.New(eirfront.Config{}); err == nil {
		t.Error("a front of nothing was made")
	}
}
