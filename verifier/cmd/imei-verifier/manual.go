package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// page is the manual, which tests hold against the program.
//
//go:embed README.md
var page string

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:     "man",
		Short:   "Print the manual for man(1)",
		Example: "  imei-verifier man >/usr/local/share/man/man1/imei-verifier.1",
		Args:    none,
		RunE:    func(c *cobra.Command, _ []string) error { return writeMan(c.OutOrStdout(), page) },
	}
}

// writeMan turns the manual's Markdown into man(7): headings, paragraphs, tables and examples are all that it has.
func writeMan(w io.Writer, markdown string) error {
	var b strings.Builder
	b.WriteString(".TH IMEI-VERIFIER 1\n")
	between := true // paragraphs
	for line := range strings.Lines(markdown) {
		line = strings.TrimRight(line, "\n")
		heading, isHeading := strings.CutPrefix(line, "## ")
		switch {
		case strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "|---"):
		case isHeading:
			fmt.Fprintf(&b, ".SH %s\n", roff(heading))
		case line == "":
			between = true
			continue
		case strings.HasPrefix(line, "    "):
			fmt.Fprintf(&b, ".nf\n%s\n.fi\n", escape(line))
		case strings.HasPrefix(line, "| "):
			b.WriteString(row(line))
		default:
			if between {
				b.WriteString(".PP\n")
			}
			b.WriteString(roff(line) + "\n")
		}
		between = false
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// row is a row of a table: what it is about, and then the rest indented.
func row(line string) string {
	about, rest, _ := strings.Cut(strings.Trim(line, "| "), " | ")
	rest = strings.Trim(strings.ReplaceAll(rest, " | ", ". "), "| ")
	if rest == "" || rest == "meaning" {
		return ""
	}
	return fmt.Sprintf(".TP\n%s\n%s\n", roff(about), roff(rest))
}

// roff sets what is between backquotes or double stars in bold, and of links the text.
func roff(text string) string {
	text = escape(strings.NewReplacer("**", "`", "&nbsp;", "").Replace(links(text)))
	for open := true; strings.Contains(text, "`"); open = !open {
		font := `\fR`
		if open {
			font = `\fB`
		}
		text = strings.Replace(text, "`", font, 1)
	}
	return text
}

// links leaves out where a link goes.
func links(text string) string {
	for {
		before, after, found := strings.Cut(text, "](")
		_, rest, ends := strings.Cut(after, ")")
		at := strings.LastIndex(before, "[")
		if !found || !ends || at < 0 {
			return text
		}
		text = before[:at] + before[at+1:] + rest
	}
}

// escape keeps what man(7) would take for its own.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "Print what a shell completes commands and flags by",
		Example:   "  imei-verifier completion bash >/etc/bash_completion.d/imei-verifier",
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      one("bash, zsh or fish"),
		RunE: func(c *cobra.Command, args []string) error {
			root, w := c.Root(), c.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			}
			return fail(exitUsage, errors.New("want bash, zsh or fish"))
		},
	}
}
