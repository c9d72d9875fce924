package testbench

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"imei-attest/testbench/registrar"
)

// The verifier's routes for registrations: one in JSON, and many, a form on each line.
const (
	checkPath = "/v1/registrations/check"
	batchPath = "/v1/registrations/batch"
)

// watch shows the questions about registrations that come to the verifier over HTTP.
type watch struct {
	mutex sync.Mutex
	asker string // who asks
	see   registrar.Observer
}

// as names who asks from now on, and who is told.
func (w *watch) as(asker string, see registrar.Observer) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.asker, w.see = asker, see
}

func (w *watch) over(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mutex.Lock()
		asker, see := w.asker, w.see
		w.mutex.Unlock()
		read, known := readers[r.URL.Path]
		if !known || see == nil {
			next.ServeHTTP(rw, r)
			return
		}
		question, err := io.ReadAll(r.Body)
		if err != nil {
			return // who asks is gone
		}
		r.Body = io.NopCloser(bytes.NewReader(question))
		see.See(asker, "verifier", "POST "+r.URL.Path, read.question(question)...)
		kept := &keptAnswer{ResponseWriter: rw, code: http.StatusOK}
		next.ServeHTTP(kept, r)
		if kept.code != http.StatusOK {
			see.See("verifier", asker, fmt.Sprintf("%d: %s", kept.code, bytes.TrimSpace(kept.body.Bytes())))
			return
		}
		see.See("verifier", asker, read.answer(kept.body.Bytes()))
	})
}

// readers are by route. A question's details are what the network knows by itself: the message is the REGISTER that was shown before. Of an
// answer a proxy reads the code and the label.
var readers = map[string]struct {
	question func([]byte) []string
	answer   func([]byte) string
}{
	checkPath: {jsonDetails, jsonAnswer},
	batchPath: {linesDetails, linesAnswer},
}

func details(message []byte, registration string) []string {
	return []string{fmt.Sprintf("message: the REGISTER, %d bytes", len(message)), "registration: " + registration}
}

func jsonDetails(question []byte) []string {
	var q struct {
		Message      []byte          `json:"message"`
		Registration json.RawMessage `json:"registration"`
	}
	if json.Unmarshal(question, &q) != nil {
		return []string{"not the JSON that was expected"}
	}
	return details(q.Message, string(q.Registration))
}

func jsonAnswer(answer []byte) string {
	var a struct {
		Code  int    `json:"sip_code"`
		Label string `json:"label"`
		Tier  string `json:"tier"`
	}
	if json.Unmarshal(answer, &a) != nil {
		return "not the JSON that was expected"
	}
	if a.Tier != "" {
		a.Label += ", tier " + a.Tier
	}
	return fmt.Sprintf("sip_code %d, label %s", a.Code, a.Label)
}

func linesDetails(question []byte) (all []string) {
	for line := range strings.Lines(string(question)) {
		facts, err := url.ParseQuery(strings.TrimSpace(line))
		message, badMessage := base64.RawURLEncoding.DecodeString(facts.Get("message"))
		if err != nil || badMessage != nil {
			return []string{"not the form that was expected"}
		}
		facts.Del("message")
		all = append(all, details(message, strings.ReplaceAll(facts.Encode(), "&", ", "))...)
	}
	return all
}

func linesAnswer(answer []byte) string {
	var all []string
	for line := range strings.Lines(string(answer)) {
		line = strings.TrimSpace(line)
		if said, err := url.ParseQuery(line); err == nil && said.Has("sip_code") {
			line = fmt.Sprintf("sip_code %s, label %s", said.Get("sip_code"), said.Get("label"))
		}
		all = append(all, line) // what was not judged is shown as it is
	}
	return strings.Join(all, "; ")
}

type keptAnswer struct {
	http.ResponseWriter
	code int
	body bytes.Buffer
}

func (k *keptAnswer) WriteHeader(code int) {
	k.code = code
	k.ResponseWriter.WriteHeader(code)
}

func (k *keptAnswer) Write(p []byte) (int, error) {
	k.body.Write(p)
	return k.ResponseWriter.Write(p)
}
