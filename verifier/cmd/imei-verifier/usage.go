package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imei-attest/verifier/strictyaml"
)

// What is wrong with a command line is told here, in the words of the manual, before cobra does.

// none refuses arguments.
func none(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments but flags, and was given %q: --help tells more", c.CommandPath(), args[0])
	}
	return nil
}

// one demands a single argument, and says which.
func one(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes one argument, %s, and was given %d", c.CommandPath(), what, len(args))
		}
		return nil
	}
}

// upToOne takes an argument or none.
func upToOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("%s takes at most one argument, %s, and was given %d", c.CommandPath(), what, len(args))
		}
		return nil
	}
}

// required are the flags that a command cannot do without.
func required(c *cobra.Command, names ...string) {
	for _, name := range names {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // a misspelt name
		}
	}
}

// inOurWords has a command, and those under it, say what is wanted.
func inOurWords(c *cobra.Command) {
	if !c.HasSubCommands() {
		arguments := c.Args
		if arguments == nil {
			arguments = none
		}
		c.Args = func(c *cobra.Command, args []string) error {
			if err := arguments(c, args); err != nil {
				return err
			}
			return complete(c)
		}
		return
	}
	c.Args = noCommand
	for _, sub := range c.Commands() {
		inOurWords(sub)
	}
}

// noCommand refuses a word that is none of the commands.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return fmt.Errorf("unknown command %q of %s%s", args[0], c.CommandPath(), strictyaml.Meant(args[0], names))
}

// complete refuses a command line that lacks flags.
func complete(c *cobra.Command) error {
	var missing []string
	for _, name := range flagNames(c) {
		flag := c.Flags().Lookup(name)
		if _, wanted := flag.Annotations[cobra.BashCompOneRequiredFlag]; wanted && !flag.Changed {
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s needs %s: --help tells more", c.CommandPath(), strings.Join(missing, ", "))
}

// unknownFlag says which flag was probably meant.
func unknownFlag(c *cobra.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return fmt.Errorf("%s: %w: --help tells more", c.CommandPath(), err)
	}
	if near := strictyaml.Closest(name, flagNames(c)); near != "" {
		return fmt.Errorf("%s has no flag --%s: did you mean --%s?", c.CommandPath(), name, near)
	}
	return fmt.Errorf("%s has no flag --%s: --help tells which it has", c.CommandPath(), name)
}

var flagName = regexp.MustCompile(`(?m)^ +(?:-., )?--([a-z0-9-]+)`)

// flagNames are those that a command has, without the hyphens.
func flagNames(c *cobra.Command) (names []string) {
	for _, m := range flagName.FindAllStringSubmatch(c.Flags().FlagUsages(), -1) {
		names = append(names, m[1])
	}
	return slices.Compact(names)
}

// newHelp is cobra's, but a command that there is not is no yes.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		Args:  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = noCommand(about, rest)
			}
			if err != nil {
				return err
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
