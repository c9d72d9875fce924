package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/verifier/policy"
	"imei-attest/verifier/strictyaml"
)

func newPolicy() *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Check and explain what becomes of each finding",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, errors.New("want a command, policy check, explain, show or try; policy --help tells more"))
		},
	}
	c.AddCommand(newPolicyCheck(), newPolicyExplain(), newPolicyShow(), newPolicyTry())
	return c
}

func newPolicyCheck() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "check FILE",
		Short:   "Say whether a file is a policy, and everything that is wrong with it",
		Example: "  imei-verifier policy check policy.yaml",
		Args:    one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if asJSON {
				return checkJSON(c.OutOrStdout(), args[0])
			}
			return check(c.OutOrStdout(), args[0])
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func check(stdout io.Writer, path string) error {
	p, warnings, err := policy.Load(path, time.Now())
	if err != nil {
		return fail(exitUsage, err)
	}
	fmt.Fprintf(stdout, "policy   %s\nSHA-256  %x\n", p.Name, p.Digest)
	for _, w := range warnings {
		fmt.Fprintf(stdout, "warning  %s\n", w)
	}
	return nil
}

// checked is the JSON form of a check.
type checked struct {
	Valid    bool                 `json:"valid"`
	Name     string               `json:"name,omitempty"`
	Digest   string               `json:"sha256,omitempty"`
	Warnings []string             `json:"warnings"`
	Mistakes []strictyaml.Mistake `json:"mistakes"`
}

func checkJSON(stdout io.Writer, path string) error {
	p, warnings, err := policy.Load(path, time.Now())
	result := checked{Warnings: append([]string{}, warnings...), Mistakes: []strictyaml.Mistake{}}
	var bad *strictyaml.Error
	switch {
	case errors.As(err, &bad):
		result.Mistakes = bad.Mistakes
	case err != nil:
		return fail(exitUsage, err)
	default:
		result.Valid, result.Name, result.Digest = true, p.Name, hex.EncodeToString(p.Digest[:])
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(result); err != nil {
		return fail(exitFailed, err)
	}
	if !result.Valid {
		return fail(exitUsage, nil)
	}
	return nil
}

func newPolicyExplain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [FILE]",
		Short: "Print what a policy does about each finding, and where it is weaker or stricter than enforce",
		Long: `Print what a policy does about each finding, what the fronts then answer, and where it is weaker or stricter than
the shipped policy enforce. Without FILE, explain the default, observe.`,
		Args: upToOne("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			p := policy.Default()
			if len(args) == 1 {
				var err error
				if p, err = loadPolicy(args[0], c.ErrOrStderr()); err != nil {
					return fail(exitUsage, err)
				}
			}
			if _, err := io.WriteString(c.OutOrStdout(), policy.Explain(p)); err != nil {
				return fail(exitFailed, err)
			}
			return nil
		},
	}
}

func newPolicyShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show " + policy.Observe + "|" + policy.Enforce,
		Short:   "Print a shipped policy, to start from",
		Example: "  imei-verifier policy show enforce >policy.yaml",
		Args:    one(policy.Observe + " or " + policy.Enforce),
		RunE: func(c *cobra.Command, args []string) error {
			text, found := policy.Shipped(args[0])
			if !found {
				return fail(exitUsage, fmt.Errorf("no policy %q is shipped: want %s or %s", args[0], policy.Observe, policy.Enforce))
			}
			if _, err := c.OutOrStdout().Write(text); err != nil {
				return fail(exitFailed, err)
			}
			return nil
		},
	}
}
