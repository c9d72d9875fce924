// Package lists reads the operator's list of equipment, a CSV file, and finds what it says of an IMEI. Start with [Load], or with
// [Read]; a [List] is a [verifier.List].
//
// A file with a mistake is no list: half of one would let barred equipment in, or bar honest people. The error lists the mistakes, with
// their lines, and quotes no IMEI. [Guard] says whether one list may take the place of another without somebody's having said so.
package lists

import (
	"cmp"
	"slices"
	"sort"

	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// List is an operator's list. It is not changed once it is read, and safe for use by many goroutines. The zero value lists nothing.
type List struct {
	// Forced: whoever wrote the file says that it may take the place of any other.
	Forced bool
	// Digest is the file's SHA-256, of a list that was loaded.
	Digest [32]byte

	stamp uint64 // of the file
	pairs []pair
	spans [breadths][]span // of IMEIs, ranges and TACs: in order, and apart from each other
	whys  []string         // the operator's words; the first is ""
}

var _ verifier.List = (*List)(nil)

// The breadths and colours as they are kept: by their place among verifier's, the narrowest and the worst first.
const breadths, colours = 4, 3

const (
	ofPairing uint8 = iota
	ofIMEI
	ofRange
	ofTAC
)

const black uint8 = 0

var colourWords, breadthWords = verifier.Colours(), verifier.Breadths()

// entry is what stands in the list of some equipment.
type entry struct {
	why    uint32
	colour uint8
}

// span is the IMEIs from first to last, both included, as numbers of 14 digits.
type span struct {
	first, last uint64
	entry
}

// pair is an IMEI with a subscriber.
type pair struct {
	id         uint64
	subscriber string
	entry
}

// Find returns the entry that counts: of a pairing before that of an IMEI, of a range and of a TAC.
func (l *List) Find(id imei.IMEI, subscriber string) verifier.Listed {
	n := number(id)
	if at, found := sort.Find(len(l.pairs), func(i int) int { return l.pairs[i].order(n, subscriber) }); found {
		return l.listed(l.pairs[at].entry, ofPairing)
	}
	for breadth := ofIMEI; breadth <= ofTAC; breadth++ {
		spans := l.spans[breadth]
		at := sort.Search(len(spans), func(i int) bool { return spans[i].last >= n })
		if at < len(spans) && spans[at].first <= n {
			return l.listed(spans[at].entry, breadth)
		}
	}
	return verifier.Listed{}
}

func (l *List) listed(e entry, breadth uint8) verifier.Listed {
	return verifier.Listed{Colour: colourWords[e.colour], Breadth: breadthWords[breadth], Why: l.whys[e.why]}
}

// order is where an IMEI with a subscriber is, seen from p.
func (p *pair) order(id uint64, subscriber string) int {
	return cmp.Or(cmp.Compare(id, p.id), cmp.Compare(subscriber, p.subscriber))
}

// number is the 14 digits.
func number(id imei.IMEI) (n uint64) {
	for _, digit := range []byte(id.Body()) {
		n = n*10 + uint64(digit-'0')
	}
	return n
}

// Counts are how many entries are in force, by their colour.
type Counts map[verifier.Colour]int

// Total is the number of all entries.
func (c Counts) Total() (all int) {
	for _, n := range c {
		all += n
	}
	return all
}

// Counts counts the entries in force: of two for one IMEI that are as narrow, the worse counts alone.
func (l *List) Counts() Counts {
	c := make(Counts)
	for i := range l.pairs {
		c[colourWords[l.pairs[i].colour]]++
	}
	for _, spans := range l.spans {
		for i := range spans {
			c[colourWords[spans[i].colour]]++
		}
	}
	return c
}

// settle puts what was read in order, so that for each IMEI, and each breadth, the worst is left.
func (l *List) settle() {
	slices.SortFunc(l.pairs, func(a, b pair) int { return cmp.Or(-a.order(b.id, b.subscriber), cmp.Compare(a.colour, b.colour)) })
	l.pairs = slices.Clip(slices.CompactFunc(l.pairs, func(a, b pair) bool { return a.order(b.id, b.subscriber) == 0 }))
	for breadth, spans := range l.spans {
		slices.SortFunc(spans, func(a, b span) int {
			return cmp.Or(cmp.Compare(a.colour, b.colour), cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last))
		})
		l.spans[breadth] = overlay(spans)
	}
}

// overlay is spans, the worst first, without what a worse one covers already.
func overlay(spans []span) (all []span) {
	for colour := black; colour < colours; colour++ {
		end, _ := sort.Find(len(spans), func(i int) int { return cmp.Compare(colour+1, spans[i].colour) })
		if end == 0 {
			continue
		}
		left := beside(all, apart(spans[:end]))
		all, spans = append(all, left...), spans[end:]
		slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	}
	return slices.Clip(all)
}

// apart shortens spans of one colour, in order, so that none begins before the one before it ends.
func apart(spans []span) []span {
	left := spans[:0]
	for _, s := range spans {
		if n := len(left); n > 0 && s.first <= left[n-1].last {
			s.first = left[n-1].last + 1
		}
		if s.first <= s.last {
			left = append(left, s)
		}
	}
	return left
}

// beside is what upper leaves of lower. In both, spans are in order and apart.
func beside(upper, lower []span) (left []span) {
	if len(upper) == 0 {
		return lower
	}
	at := 0
	for _, s := range lower {
		for at < len(upper) && upper[at].last < s.first {
			at++
		}
		for _, u := range upper[at:] {
			if u.first > s.last || s.first > s.last {
				break
			}
			if s.first < u.first {
				left = append(left, span{s.first, u.first - 1, s.entry})
			}
			s.first = u.last + 1
		}
		if s.first <= s.last {
			left = append(left, s)
		}
	}
	return left
}
