package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// A proxy's script can neither read nor safely write JSON, and has many registrations to ask about at once. It asks with a form on each line
// (WHATWG URL, application/x-www-form-urlencoded), the REGISTER as it was received and what the network itself knows of it, and is answered
// with a form on each line.

// mostInBatch bounds the registrations of one question, which are judged side by side.
const mostInBatch = 64

func (a *api) checkBatch(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r, typeText) {
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	forms := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	if len(forms) > mostInBatch {
		refuse(w, http.StatusBadRequest, "there are %d lines, each a registration: at most %d are judged at once", len(forms), mostInBatch)
		return
	}
	a.Batch(len(forms))
	answers := make([]string, len(forms))
	var all sync.WaitGroup
	for i, form := range forms {
		all.Go(func() { answers[i] = a.answerForm(r, strings.TrimSuffix(form, "\r")) })
	}
	all.Wait()
	write(w, http.StatusOK, typeText, []byte(strings.Join(answers, "\n")+"\n"))
}

// answerForm is what a proxy needs to act. Nothing is signed: who wants the whole answer asks for it by its identifier. Whatever is wrong with
// one registration stays with it.
func (a *api) answerForm(r *http.Request, form string) (answer string) {
	defer func() {
		if cause := recover(); cause != nil {
			logFault(r, a.Log, cause)
			answer = unjudged(http.StatusInternalServerError, aFault)
		}
	}()
	q, err := readForm(form)
	if err != nil {
		return unjudged(http.StatusBadRequest, err.Error())
	}
	v, err := a.decide(r, a.input(&q))
	if err != nil {
		a.Log.DebugContext(r.Context(), "no judgement", "error", err)
		return unjudged(http.StatusServiceUnavailable, nothingDecided)
	}
	return "id=" + v.ID.String() + "&sip_code=" + strconv.Itoa(v.Answer.SIPCode) + "&label=" + url.QueryEscape(v.Answer.Label)
}

// unjudged has the status and the detail that the registration would have got in a question of its own. Not every script takes + for a space.
func unjudged(status int, detail string) string {
	return "status=" + strconv.Itoa(status) + "&detail=" + strings.ReplaceAll(url.QueryEscape(detail), "+", "%20")
}
