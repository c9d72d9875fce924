package testbench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
		see.See(asker, "verifier", "POST "+checkPath, questionDetails(question)...)
		kept := &keptAnswer{ResponseWriter: rw}
		next.ServeHTTP(kept, r)
		see.See("verifier", asker, kept.line())
	})
}

// questionDetails are what the network knows by itself: the message is the REGISTER that was shown before.
func questionDetails(body []byte) []string {
	var q struct {
		Message      []byte          `json:"message"`
		Registration json.RawMessage `json:"registration"`
	}
	if json.Unmarshal(body, &q) != nil {
		return []string{"not the JSON that was expected"}
	}
	return []string{fmt.Sprintf("message: the REGISTER, %d bytes", len(q.Message)), "registration: " + string(q.Registration)}
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
		Code  int    `json:"sip_code"`
		Label string `json:"label"`
		Tier  string `json:"tier"`
	}
	if json.Unmarshal(k.body.Bytes(), &a) != nil || a.Code == 0 {
		return fmt.Sprintf("%d: %s", k.code, strings.TrimSpace(k.body.String()))
	}
	if a.Tier != "" { // who asks may have left it out
		a.Label += ", tier " + a.Tier
	}
	return fmt.Sprintf("sip_code %d, label %s", a.Code, a.Label)
}
