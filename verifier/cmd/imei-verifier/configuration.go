package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"imei-attest/verifier/config"
	"imei-attest/verifier/redact"
)

// configuration is where the settings come from: a file, the environment and flags.
type configuration struct {
	path        string // "" without a file
	environment []string
	flags       map[string]string
}

// read reads it, as it is now.
func (c configuration) read() (*config.Config, error) {
	in := config.Input{Path: c.path, Environment: c.environment, Flags: c.flags}
	if c.path != "" {
		text, err := os.ReadFile(c.path)
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w: imei-verifier config print prints one to start from", err)
		}
		in.Text = text
	}
	return config.Load(in)
}

// given are the flags that stand on the command line.
func given(c *cobra.Command) map[string]string {
	texts := make(map[string]string)
	for _, name := range []string{"trust", "policy", "state", "listen", "admin"} {
		if f := c.Flags().Lookup(name); f.Changed {
			texts[name] = f.Value.String()
		}
	}
	return texts
}

func newConfig() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check and print the service's configuration",
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, errors.New("want config check or config print; --help tells more"))
		},
	}
	c.AddCommand(newConfigCheck(), newConfigPrint())
	return c
}

func newConfigCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Say whether a file is a configuration, and all that is wrong with it",
		Long: `Read a configuration as serve --config would, with the environment, and list all mistakes. Then read the files that it names: the
trust folder, the policy, the list of equipment and the certificates. Nothing is changed and no address is opened.`,
		Example: "  imei-verifier config check /etc/imei-attest/verifier.yaml",
		Args:    one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			now, err := configuration{path: args[0], environment: os.Environ()}.read()
			if err != nil {
				return fail(exitUsage, err)
			}
			if err := checkFiles(now); err != nil {
				return fail(exitUsage, err)
			}
			for _, w := range now.Warnings() {
				fmt.Fprintf(c.ErrOrStderr(), "imei-verifier: warning: %s\n", w)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is a configuration\n", args[0])
			return nil
		},
	}
}

func newConfigPrint() *cobra.Command {
	var effective bool
	c := &cobra.Command{
		Use:   "print [--effective] [FILE]",
		Short: "Print a configuration to start from, or the one that is in effect",
		Long: `Without --effective, print a configuration with every setting at its default. With it, print what serve --config FILE would run with,
and where each value comes from: a line of the file, the environment, or the default. What looks like a secret is masked.`,
		Example: "  imei-verifier config print >verifier.yaml\n  imei-verifier config print --effective verifier.yaml",
		Args:    upToOne("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			from := configuration{flags: map[string]string{"listen": "127.0.0.1:8080", "trust": "trust", "state": "state"}}
			if effective {
				from = configuration{environment: os.Environ()}
			}
			if len(args) > 0 {
				from.path = args[0]
			}
			if len(args) > 0 && !effective {
				return fail(exitUsage, errors.New("a FILE is printed with --effective"))
			}
			now, err := from.read()
			if err != nil {
				return fail(exitUsage, err)
			}
			if effective {
				return now.Effective(c.OutOrStdout(), redact.Text)
			}
			return now.Sample(c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&effective, "effective", false, "print what is in effect, and where it comes from")
	return c
}
