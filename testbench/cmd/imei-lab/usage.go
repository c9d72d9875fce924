package main

import (
	"fmt"
	"regexp"
)

// wordings are what the library for command lines says, and how that is said here. A command line that nothing fits keeps
// the library's words; a test holds them against each other.
var wordings = []struct {
	library *regexp.Regexp
	ours    string
}{
	{regexp.MustCompile(`(?s)^unknown command "(.*)" for "imei-lab".*$`), `there is no command "$1": want demo, registration, emulate, record, intercept or corpus`},
	{regexp.MustCompile(`^unknown command "(.*)" for "imei-lab .*"$`), `"$1" is one word too many: what it is about is said with flags`},
	{regexp.MustCompile(`^accepts 1 arg\(s\), received \d+$`), `want the name of one file`},
	{regexp.MustCompile(`^required flag\(s\) "(.*)" not set$`), `flags are missing, give them too: "$1"`},
	{regexp.MustCompile(`^if any flags in the group .*; \[(\S+) (\S+)\] were all set$`), `--$1 and --$2 exclude each other: leave one out`},
	{regexp.MustCompile(`^at least one of the flags in the group \[(.*)\] is required$`), `it needs at least one of the flags $1`},
	{regexp.MustCompile(`^unknown flag: (.*)$`), `there is no flag $1`},
	{regexp.MustCompile(`^unknown shorthand flag: .* in (.*)$`), `there is no flag $1`},
	{regexp.MustCompile(`^flag needs an argument: (.*)$`), `$1 wants a value behind it`},
	{regexp.MustCompile(`^invalid argument "(.*)" for "(.*)" flag: .*$`), `$2 does not take "$1"`},
}

// wrongUse says what is wrong with a command line, and where to read on.
func wrongUse(command string, err error) error {
	said := err.Error()
	for _, w := range wordings {
		if w.library.MatchString(said) {
			said = w.library.ReplaceAllString(said, w.ours)
			break
		}
	}
	return fmt.Errorf("%s; %s -h tells more", said, command)
}
