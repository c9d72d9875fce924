package verifier

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imei-attest/attest"
)

// ErrReplay means that a decision, made again, comes out otherwise: it was altered, or this program judges otherwise.
var ErrReplay = errors.New("made again, the decision comes out otherwise")

// Replay makes the decision again from its facts. The error is [ErrReplay], with what differs, unless the result is the same, byte for
// byte, and the answer is one that follows from it. What the policy made of each reason is not in the record: of the action is checked
// that a policy may take it on this result, and that the rest of the answer is that action's.
func (r *Record) Replay() error {
	type decided struct {
		attest.Result
		Answer Answer `json:"answer"`
	}
	was, err := json.Marshal(decided{r.Verdict.Result, r.Verdict.Answer})
	if err != nil {
		return err
	}
	again := judge(&r.Facts, &r.Rules).result()
	is, err := json.Marshal(decided{again, r.answer(&again)})
	if err != nil {
		return err
	}
	if !bytes.Equal(was, is) {
		return fmt.Errorf("%w:%s", ErrReplay, differences(was, is))
	}
	return nil
}

// answer is what the recorded action gives on a result, as far as a policy may take it.
func (r *Record) answer(result *attest.Result) Answer {
	recorded := &r.Verdict.Answer
	action, _ := ParseAction(recorded.Action)
	if r.Excepted {
		action = min(action, ActionWarn)
	}
	action = min(action, mostOn(result))
	if action == ActionAccept && result.Status() != attest.StatusAffirming {
		action = ActionObserve
	}
	answer := action.Answer(result)
	switch because := recorded.Because; {
	case because == "exception" && r.Excepted && action == ActionWarn, because == "breaker" && action == ActionObserve:
		answer.Because = because
	}
	if s := r.Facts.Shown; s != nil && s.Front.isNAS() && !s.Subscribed {
		answer.permitNobody()
	}
	return answer
}

// mostOn is the strictest that any policy may make of a result.
func mostOn(r *attest.Result) Action {
	most := ActionObserve
	if r.Status() == attest.StatusAffirming {
		most = ActionAccept
	}
	for _, reason := range r.Reasons() {
		most = max(most, limitOf(reason))
	}
	return most
}

// Under is what a policy makes of the same facts. Exceptions of that policy are not looked at, because the record names nobody: where
// one applied it applies again. Of subscribers who attested more than 30 days before, the record need not know.
func (r *Record) Under(p *Policy) Verdict {
	v := Verdict{ID: r.Verdict.ID, Result: judge(&r.Facts, &p.Rules).result()}
	action := p.ActionOn(&v.Result)
	if r.Excepted {
		action = min(action, ActionWarn)
	}
	v.Answer = action.Answer(&v.Result)
	return v
}

// differences tells two decisions in JSON apart, a line for each member that is not the same.
func differences(was, is []byte) string {
	recorded, again := members(was), members(is)
	var b strings.Builder
	all := maps.Clone(recorded)
	maps.Copy(all, again)
	for _, at := range slices.Sorted(maps.Keys(all)) {
		if recorded[at] != again[at] {
			fmt.Fprintf(&b, "\n  %s: recorded %s, made again %s", at, orNothing(recorded[at]), orNothing(again[at]))
		}
	}
	return b.String()
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// members are the values of a JSON text that have no members of their own, by where they stand.
func members(text []byte) map[string]string {
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	_ = decoder.Decode(&tree) // Marshal wrote it
	found := make(map[string]string)
	var visit func(at string, value any)
	visit = func(at string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, member := range value {
				visit(strings.TrimPrefix(at+"."+name, "."), member)
			}
		case []any:
			for i, item := range value {
				visit(fmt.Sprintf("%s[%d]", at, i+1), item)
			}
		default:
			found[at] = fmt.Sprint(value)
		}
	}
	visit("", tree)
	return found
}
