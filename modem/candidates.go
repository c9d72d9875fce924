package modem

import "slices"

// candidates returns the distinct values that could be what the command asked for, in the order sent. Lines of other
// kinds (echo, result codes, unsolicited) are already gone. ambiguous: one line alone holds two identities.
func candidates(g grammar, lines []string) (values []string, ambiguous bool) {
	if g.ask == askReport {
		return reported(g, lines)
	}
	isReport := slices.ContainsFunc(lines, isLabelled)
	for _, line := range lines {
		value, ok := g.ownValue(line)
		if !ok {
			value = line
		}
		if number, _ := bareValue(value); isReport && !ok && !isLabelled(line) && !isIdentityNumber(number) {
			continue
		}
		values, ambiguous = add(values, value, ambiguous)
	}
	return values, ambiguous
}

// isLabelled finds a line of a report in the answer to any command. Its other lines are then no candidates, unless they are
// answers by themselves: the label may stand in a late answer to another command.
func isLabelled(line string) bool {
	l, _ := cutLabel(line)
	return l == labelIMEI
}

// reported takes the values labelled IMEI out of a report. Without a label a line of digits alone will do.
func reported(g grammar, lines []string) (values []string, ambiguous bool) {
	wanted := labelIMEI
	if g.ask == askIMEISV {
		wanted = labelIMEISV
	}
	labelled := false
	for _, line := range lines {
		if l, value := cutLabel(line); l == wanted {
			labelled = true
			values, ambiguous = add(values, value, ambiguous)
		}
	}
	for _, line := range lines {
		if value, _ := bareValue(line); !labelled && isIdentityNumber(value) {
			values, ambiguous = add(values, value, ambiguous)
		}
	}
	return values, ambiguous
}

func add(values []string, text string, wasAmbiguous bool) ([]string, bool) {
	value, ambiguous := bareValue(text)
	if !slices.Contains(values, value) {
		values = append(values, value)
	}
	return values, ambiguous || wasAmbiguous
}
