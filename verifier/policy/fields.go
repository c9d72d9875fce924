package policy

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// policy reads the whole file. What it leaves out is as in [verifier.ObservePolicy].
func (r *reader) policy(root *yaml.Node) *verifier.Policy {
	p := verifier.ObservePolicy()
	listed := make(map[attest.Reason]verifier.Action)
	status := oneOf(attest.StatusAffirming, attest.StatusWarning)
	r.fields(root, "", map[string]field{
		"name":            into(r, &p.Name, parseName),
		"affirming":       into(r, &p.Affirming, oneOf(verifier.ActionObserve, verifier.ActionAccept)),
		"default":         into(r, &p.Default, oneOf(reasonActions...)),
		"reasons":         r.reasons(listed),
		"contraindicated": set(r, &p.Contraindicated, parseOptIn),
		"ceilings": r.group(map[string]field{
			"t1":    into(r, &p.CeilingT1, status),
			"prior": into(r, &p.CeilingPrior, status),
		}),
		"ages": r.group(map[string]field{
			"prior":      into(r, &p.Ages.Prior, age(maxPrior)),
			"proof":      into(r, &p.Ages.Proof, age(maxAge)),
			"reading":    into(r, &p.Ages.Reading, age(maxAge)),
			"interleave": into(r, &p.Ages.Interleave, age(maxAge)),
		}),
		"msc_servers": set(r, &p.MSCServers, parseText),
		"exceptions":  r.exceptions(p),
		"breaker": r.group(map[string]field{
			"share":   into(r, &p.Breaker.Share, parseShare),
			"within":  into(r, &p.Breaker.Within, age(maxAge)),
			"minimum": into(r, &p.Breaker.Minimum, parseCount),
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

func (r *reader) reasons(listed map[attest.Reason]verifier.Action) field {
	return func(value *yaml.Node, key string) {
		r.each(value, key, func(name, value *yaml.Node) {
			reason, err := parseReason(name.Value)
			if err != nil {
				r.wrong(name.Line, key, "%v", err)
				return
			}
			var a verifier.Action
			into(r, &a, parseAction(reason))(value, join(key, name.Value))
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

func (r *reader) exceptions(p *verifier.Policy) field {
	lines := make(map[verifier.Pairing]int)
	return r.list(func(value *yaml.Node, key string) {
		var pairing verifier.Pairing
		var exception verifier.Exception
		before := len(r.mistakes)
		r.fields(value, key, map[string]field{
			"imei":       into(r, &pairing.IMEI, parseIMEI),
			"subscriber": into(r, &pairing.Subscriber, parseText),
			"until":      into(r, &exception.Until, parseTime),
			"reason":     into(r, &exception.Reason, parseText),
		}, "imei", "subscriber", "until", "reason")
		if len(r.mistakes) > before {
			return
		}
		if first, twice := lines[pairing]; twice {
			r.wrong(value.Line, key, "the pairing of %s with this subscriber stands twice, first in line %d: remove one", pairing.IMEI, first)
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
