package lists

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"imei-attest/verifier"
)

// Delta is what a list changes that takes the place of another. It names nobody.
type Delta struct {
	Was     Counts `json:"was"`
	Added   Counts `json:"added"`
	Removed Counts `json:"removed"`
	// Recoloured are those that stay, by the colour that they get; Reworded those that get another reason.
	Recoloured Counts `json:"recoloured"`
	Reworded   Counts `json:"reworded"`
	Is         Counts `json:"is"`
}

// Compare tells two lists apart, entry by entry.
func Compare(was, is *List) Delta {
	d := Delta{Was: was.Counts(), Added: make(Counts), Removed: make(Counts), Recoloured: make(Counts), Reworded: make(Counts), Is: is.Counts()}
	note := func(before, after *entry) {
		switch {
		case before == nil:
			d.Added[colourWords[after.colour]]++
		case after == nil:
			d.Removed[colourWords[before.colour]]++
		case before.colour != after.colour:
			d.Recoloured[colourWords[after.colour]]++
		case was.whys[before.why] != is.whys[after.why]:
			d.Reworded[colourWords[after.colour]]++
		}
	}
	walk(was.pairs, is.pairs, func(a, b *pair) int { return -a.order(b.id, b.subscriber) },
		func(p *pair) *entry { return &p.entry }, note)
	for breadth := range was.spans {
		walk(was.spans[breadth], is.spans[breadth], func(a, b *span) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last)) },
			func(s *span) *entry { return &s.entry }, note)
	}
	return d
}

// walk goes through two lists in order, and gives what stands at the same place in both, or in one.
func walk[E any](was, is []E, order func(a, b *E) int, of func(*E) *entry, each func(was, is *entry)) {
	for len(was) > 0 || len(is) > 0 {
		way := 0
		switch {
		case len(was) == 0:
			way = 1
		case len(is) == 0:
			way = -1
		default:
			way = order(&was[0], &is[0])
		}
		var before, after *entry
		if way <= 0 {
			before, was = of(&was[0]), was[1:]
		}
		if way >= 0 {
			after, is = of(&is[0]), is[1:]
		}
		each(before, after)
	}
}

// Write writes the delta for people.
func (d Delta) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\t")
	for _, colour := range verifier.Colours() {
		fmt.Fprintf(t, "%s\t", colour)
	}
	fmt.Fprintln(t)
	for _, row := range []struct {
		name  string
		count Counts
	}{{"before", d.Was}, {"added", d.Added}, {"removed", d.Removed}, {"other status", d.Recoloured}, {"other reason", d.Reworded}, {"after", d.Is}} {
		fmt.Fprintf(t, "%s\t", row.name)
		for _, colour := range verifier.Colours() {
			fmt.Fprintf(t, "%d\t", row.count[colour])
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
