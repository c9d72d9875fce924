package main

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/attest"
	"imei-attest/verifier/store/sqlite"
)

func newAudit() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Account for what the server did: verify, checkpoint",
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, errors.New("want verify or checkpoint; --help tells more"))
		},
	}
	c.AddCommand(newAuditVerify(), newAuditCheckpoint())
	return c
}

// proof is the audit verify command.
type proof struct {
	care
	checkpoints, keys []string
}

func newAuditVerify() *cobra.Command {
	var p proof
	c := p.command(&cobra.Command{
		Use:   "verify --state DIR [--checkpoint FILE]... [--key FILE]... [--json]",
		Short: "Follow the audit chain",
		Long: `Follow the audit chain link by link and check its signed checkpoints. The exit code is 0 if it is as it was written, and 1 if not:
then the message names the first entry that is not. Whoever can write the store could cut off its end, with the checkpoints in it:
keep checkpoints elsewhere, and name them here. The server may run meanwhile.`,
		Example: "  imei-verifier audit verify --state state/ --checkpoint kept/2026-11-29.cose",
	}, p.run)
	c.Flags().StringArrayVar(&p.checkpoints, "checkpoint", nil, "`file` that audit checkpoint wrote; may be given more than once")
	c.Flags().StringArrayVar(&p.keys, "key", nil, "`file` with an earlier key of this verifier, result.key or the public key in PEM; may be given more than once")
	return c
}

func (p *proof) run(c *cobra.Command) error {
	keys, err := p.readKeys()
	if err != nil {
		return err
	}
	var kept [][]byte
	for _, path := range p.checkpoints {
		signed, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("--checkpoint: %w", err)
		}
		if _, err := attest.DecodeCheckpoint(signed); err != nil {
			return fmt.Errorf("--checkpoint: %s is no checkpoint: name a file that imei-verifier audit checkpoint wrote", path)
		}
		kept = append(kept, signed)
	}
	store, err := p.reading(c.Context())
	if err != nil {
		return err
	}
	shown := &progress{w: c.ErrOrStderr(), on: isTerminal(c.ErrOrStderr()), what: "entries"}
	chain, err := store.Verify(c.Context(), keys, kept, shown.step)
	shown.end()
	err = errors.Join(err, store.Close())
	var broken *sqlite.ChainError
	if err != nil && !errors.As(err, &broken) {
		return err
	}
	return p.report(c, chain, broken)
}

// report prints what was found; a chain that breaks ends the program with 1.
func (p *proof) report(c *cobra.Command, chain sqlite.Chain, broken *sqlite.ChainError) error {
	found := struct {
		Sound bool `json:"sound"`
		sqlite.Chain
		BreaksAt uint64 `json:"breaks_at,omitempty"`
		Problem  string `json:"problem,omitempty"`
	}{Sound: broken == nil, Chain: chain}
	text := fmt.Sprintf("entries %d to %d are as they were written, the last of %s; %d checkpoints verify, %d entries came after the last of them\n",
		chain.First, chain.Last, chain.LastAt.Format(time.RFC3339), chain.Checkpoints, chain.Unsigned)
	if chain.Last == 0 {
		text = "there are no entries yet\n"
	}
	if broken != nil {
		found.BreaksAt, found.Problem, text = broken.Entry, broken.Problem, broken.Error()+"\n"
	}
	if err := p.print(c.OutOrStdout(), found, text); err != nil || broken == nil {
		return err
	}
	return fail(exitNo, nil)
}

func (p *proof) readKeys() (keys []*ecdsa.PublicKey, err error) {
	for _, path := range append([]string{filepath.Join(p.state, resultKeyFile)}, p.keys...) {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("the verifier's key: %w", err)
		}
		key, err := parsePublic(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// parsePublic takes a result.key, or the public key alone.
func parsePublic(content []byte) (*ecdsa.PublicKey, error) {
	if private, err := parseResultKey(content); err == nil {
		return &private.PublicKey, nil
	}
	if block, _ := pem.Decode(content); block != nil {
		if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if public, ok := key.(*ecdsa.PublicKey); ok {
				return public, nil
			}
		}
	}
	return nil, errors.New("want an ECDSA key in PEM")
}

func newAuditCheckpoint() *cobra.Command {
	var s care
	c := &cobra.Command{
		Use:   "checkpoint --state DIR >FILE",
		Short: "Print the last signed checkpoint, to keep it elsewhere",
		Long: `Write the last signed checkpoint of the audit chain to standard output: a COSE_Sign1 message. The server signs one each minute in
which something happened, and when it stops. It may run meanwhile.`,
		Example: "  imei-verifier audit checkpoint --state state/ >kept/2026-11-30.cose",
		Args:    none,
		RunE: func(c *cobra.Command, _ []string) error {
			store, err := s.reading(c.Context())
			if err != nil {
				return storeFailure(err)
			}
			signed, err := store.Checkpoint(c.Context())
			if err = errors.Join(err, store.Close()); err != nil {
				return storeFailure(err)
			}
			if signed == nil {
				return fail(exitUndecided, errors.New("no checkpoint was signed yet"))
			}
			_, err = c.OutOrStdout().Write(signed)
			return err
		},
	}
	c.Flags().StringVar(&s.state, "state", "", "`folder` of the server's state")
	required(c, "state")
	return c
}
