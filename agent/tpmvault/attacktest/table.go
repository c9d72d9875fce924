package attacktest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// groups are the parts of the table, by what is attacked.
var groups = []struct {
	title   string
	attacks []Attack
}{
	{"the record", recordAttacks},
	{"the device key", keyAttacks},
	{"the boot approvals", bootAttacks},
	{"the counters", counterAttacks},
	{"another TPM", cloneAttacks},
}

// Table has all attacks. An ID stays with its row: a new one goes to the end of the numbers, wherever it stands.
var Table = slices.Concat(recordAttacks, keyAttacks, bootAttacks, counterAttacks, cloneAttacks)

// Markdown is the table for people.
func Markdown() string {
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "\nAgainst %s:\n\n| id | the attacker | swtpm | Microsoft's reference code | the honest vault afterwards |\n|---|---|---|---|---|\n", g.title)
		for _, a := range g.attacks {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", a.ID, a.Action, a.Want, a.simulatorCell(), a.afterCell())
		}
	}
	b.WriteString("\n")
	return b.String()
}

func (a Attack) simulatorCell() string {
	if a.WantSimulator == notTried {
		return "cannot be tried"
	}
	return cmp.Or(a.WantSimulator, "the same")
}

func (a Attack) afterCell() string {
	if a.Restart {
		return a.After + "; signs after a restart"
	}
	return cmp.Or(a.After, signs)
}
