package diameter

// Grammar says which AVPs a command or a group takes, and how often (RFC 6733 section 3.2).
type Grammar []Rule

// Rule is about one AVP.
type Rule struct {
	ID
	Min, Max int    // how often; a Max of 0 is any number
	Example  string // of a value, for the answer that one is missing: zeros of the least length (RFC 6733 section 7.1.5)
}

// Check holds AVPs against the grammar. One that the grammar does not name is refused if it is mandatory, and else ignored
// (RFC 6733 section 4.1). The error is an [*Error].
func (g Grammar) Check(avps []AVP) error {
	const most = 32 // rules of a grammar
	var seen [most]int
	for i := range avps {
		a := &avps[i]
		at := g.find(a.ID)
		if at < 0 {
			if a.Flags&Mandatory != 0 {
				return &Error{Code: AVPUnsupported, Failed: a.Append(nil), Problem: "an AVP is not known here, and must be (RFC 6733 section 4.1)"}
			}
			continue
		}
		if seen[at]++; g[at].Max > 0 && seen[at] > g[at].Max {
			return &Error{Code: AVPOccursTooManyTimes, Failed: a.Append(nil), Problem: "an AVP stands there too often (RFC 6733 section 3.2)"}
		}
	}
	for i, r := range g {
		if seen[i] < r.Min {
			return r.missing()
		}
	}
	return nil
}

func (g Grammar) find(id ID) int {
	for i := range g {
		if g[i].ID == id {
			return i
		}
	}
	return -1
}

func (r Rule) missing() error {
	return &Error{Code: MissingAVP, Failed: AppendText(nil, r.ID, r.Example), Problem: "an AVP is missing (RFC 6733 section 3.2)"}
}

// Find returns the first of an AVP, nil if there is none.
func Find(avps []AVP, id ID) *AVP {
	for i := range avps {
		if avps[i].ID == id {
			return &avps[i]
		}
	}
	return nil
}
