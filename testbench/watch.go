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

const checkPath = "/v1/registrations/check"

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
		if r.URL.Path != checkPath || see == nil {
			next.ServeHTTP(rw, r)
			return
		}
		question, err := io.ReadAll(r.Body)
		if err != nil {
			return // who asks is gone
		}
		r.Body = io.NopCloser(bytes.NewReader(question))
		see.See(asker, "verifier", "POST "+checkPath, questionDetails(r.Header.Get("Content-Type"), question)...)
		kept := &keptAnswer{ResponseWriter: rw}
		next.ServeHTTP(kept, r)
		see.See("verifier", asker, kept.line())
	})
}

// form is what scripts ask by and are answered with.
const form = "application/x-www-form-urlencoded"

// questionDetails are what the network knows by itself: the message is the REGISTER that was shown before.
func questionDetails(kind string, body []byte) []string {
	const shown = "message: the REGISTER, %d bytes"
	if kind == form {
		facts, err := url.ParseQuery(string(body))
		message, badMessage := base64.RawURLEncoding.DecodeString(facts.Get("message"))
		if err != nil || badMessage != nil {
			return []string{"not the form that was expected"}
		}
		facts.Del("message")
		return []string{fmt.Sprintf(shown, len(message)), "registration: " + strings.ReplaceAll(facts.Encode(), "&", ", ")}
	}
	var q struct {
		Message      []byte          `json:"message"`
		Registration json.RawMessage `json:"registration"`
	}
	if json.Unmarshal(body, &q) != nil {
		return []string{"not the JSON that was expected"}
	}
	return []string{fmt.Sprintf(shown, len(q.Message)), "registration: " + string(q.Registration)}
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

// line is what a proxy reads of the answer.
func (k *keptAnswer) line() string {
	var a struct {
		Code  json.Number `json:"sip_code"`
		Label string      `json:"label"`
		Tier  string      `json:"tier"` // a form leaves it out
	}
	if k.Header().Get("Content-Type") == form {
		said, _ := url.ParseQuery(k.body.String()) // what cannot be read is shown as it is
		a.Code, a.Label = json.Number(said.Get("sip_code")), said.Get("label")
	} else {
		_ = json.Unmarshal(k.body.Bytes(), &a) // likewise
	}
	switch {
	case a.Code == "":
		return fmt.Sprintf("%d: %s", k.code, strings.TrimSpace(k.body.String()))
	case a.Tier != "":
		a.Label += ", tier " + a.Tier
	}
	return fmt.Sprintf("sip_code %s, label %s", a.Code, a.Label)
}
