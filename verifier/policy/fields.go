package policy

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"imei-attest/attest"
	"imei-attest/verifier"
	"imei-attest/verifier/strictyaml"
)

// reader reads a policy.
type reader struct {
	strictyaml.Reader
	now      time.Time
	warnings []string
}

// policy reads the whole file. What it leaves out is as in [verifier.ObservePolicy].
func (r *reader) policy(root *yaml.Node) *verifier.Policy {
	p := verifier.ObservePolicy()
	listed := make(map[attest.Reason]verifier.Action)
	status := strictyaml.OneOf(attest.StatusAffirming, attest.StatusWarning)
	r.Fields(root, "", map[string]strictyaml.Field{
		"name":            strictyaml.Into(&r.Reader, &p.Name, parseName),
		"affirming":       strictyaml.Into(&r.Reader, &p.Affirming, strictyaml.OneOf(verifier.ActionObserve, verifier.ActionAccept)),
		"default":         strictyaml.Into(&r.Reader, &p.Default, strictyaml.OneOf(reasonActions...)),
		"reasons":         r.reasons(listed),
		"contraindicated": strictyaml.Set(&r.Reader, &p.Contraindicated, parseOptIn),
		"ceilings": r.Group(map[string]strictyaml.Field{
			"t1":    strictyaml.Into(&r.Reader, &p.CeilingT1, status),
			"prior": strictyaml.Into(&r.Reader, &p.CeilingPrior, status),
		}),
		"ages": r.Group(map[string]strictyaml.Field{
			"prior":      strictyaml.Into(&r.Reader, &p.Ages.Prior, strictyaml.Duration(maxPrior)),
			"proof":      strictyaml.Into(&r.Reader, &p.Ages.Proof, strictyaml.Duration(maxAge)),
			"reading":    strictyaml.Into(&r.Reader, &p.Ages.Reading, strictyaml.Duration(maxAge)),
			"interleave": strictyaml.Into(&r.Reader, &p.Ages.Interleave, strictyaml.Duration(maxAge)),
		}),
		"msc_servers": strictyaml.Set(&r.Reader, &p.MSCServers, strictyaml.Text),
		"exceptions":  r.exceptions(p),
		"breaker": r.Group(map[string]strictyaml.Field{
			"share":   strictyaml.Into(&r.Reader, &p.Breaker.Share, parseShare),
			"within":  strictyaml.Into(&r.Reader, &p.Breaker.Within, strictyaml.Duration(maxAge)),
			"minimum": strictyaml.Into(&r.Reader, &p.Breaker.Minimum, strictyaml.Count),
		}, "share", "within", "minimum"),
	}, "name")
	p.Actions = actions(listed, p)
	for _, reason := range slices.Sorted(maps.Keys(p.Contraindicated)) {
		if a := p.ReasonAction(reason); a < verifier.ActionDeny {
			r.warnings = append(r.warnings, fmt.Sprintf("contraindicated: %s is told as contraindicated, but its action is %s, so nobody is refused for it: write %s: deny under reasons if you mean to",
				reason, a, reason))
		}
	}
	if p.Breaker.Share > 0 {
		p.Counter = NewBreaker(p.Breaker)
	}
	return p
}

func (r *reader) reasons(listed map[attest.Reason]verifier.Action) strictyaml.Field {
	return func(value *yaml.Node, key string) {
		r.Each(value, key, func(name, value *yaml.Node) {
			reason, err := parseReason(name.Value)
			if err != nil {
				r.Wrong(name.Line, key, "%v", err)
				return
			}
			var a verifier.Action
			strictyaml.Into(&r.Reader, &a, parseAction(reason))(value, strictyaml.Join(key, name.Value))
			listed[reason] = a
		})
	}
}

// actions are those of the listed reasons that do not get the same without being listed. That is never more than a
// reason allows, and nothing where one speaks against nobody: a default of warn would otherwise label every honest device
// for being honest.
func actions(listed map[attest.Reason]verifier.Action, unlisted *verifier.Policy) (all map[attest.Reason]verifier.Action) {
	for reason, a := range listed {
		if a == unlisted.ReasonAction(reason) {
			continue
		}
		if all == nil {
			all = make(map[attest.Reason]verifier.Action)
		}
		all[reason] = a
	}
	return all
}

func (r *reader) exceptions(p *verifier.Policy) strictyaml.Field {
	lines := make(map[verifier.Pairing]int)
	return r.List(func(value *yaml.Node, key string) {
		var pairing verifier.Pairing
		var exception verifier.Exception
		before := len(r.Mistakes)
		r.Fields(value, key, map[string]strictyaml.Field{
			"imei":       strictyaml.Into(&r.Reader, &pairing.IMEI, parseIMEI),
			"subscriber": strictyaml.Into(&r.Reader, &pairing.Subscriber, parseSubscriber),
			"until":      strictyaml.Into(&r.Reader, &exception.Until, parseTime),
			"reason":     strictyaml.Into(&r.Reader, &exception.Reason, strictyaml.Text),
		}, "imei", "subscriber", "until", "reason")
		if len(r.Mistakes) > before {
			return
		}
		if first, twice := lines[pairing]; twice {
			r.Wrong(value.Line, key, "the pairing of %s with this subscriber stands twice, first in line %d: remove one", pairing.IMEI, first)
			return
		}
		lines[pairing] = value.Line
		if p.Exceptions == nil {
			p.Exceptions = make(map[verifier.Pairing]verifier.Exception)
		}
		p.Exceptions[pairing] = exception
		if !r.now.Before(exception.Until) {
			r.warnings = append(r.warnings, fmt.Sprintf("line %d, %s: the exception for %s ended at %s: remove it, or say until when it goes on",
				value.Line, key, pairing.IMEI, exception.Until.Format(time.RFC3339)))
		}
	})
}
