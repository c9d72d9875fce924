package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imei-attest/attest"
)

const nonceKeyBytes = 32

// nonceRing is the key that mints nonces, and the one before, which still checks those that are open. In the file each is a line of hex;
// the last line of one that was exchanged says how often.
type nonceRing struct {
	current, former []byte // former is nil before the first rotation
	rotations       uint
}

func newNonceKey() ([]byte, error) {
	r, err := nonceRing{}.rotate()
	return r.text(), err
}

// rotate makes a new current key.
func (r nonceRing) rotate() (nonceRing, error) {
	fresh := make([]byte, nonceKeyBytes)
	if _, err := rand.Read(fresh); err != nil {
		return r, err
	}
	if r.current == nil {
		return nonceRing{current: fresh}, nil
	}
	return nonceRing{current: fresh, former: r.current, rotations: r.rotations + 1}, nil
}

func (r nonceRing) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%x\n", r.current)
	if r.former != nil {
		fmt.Fprintf(&b, "%x\n%d\n", r.former, r.rotations)
	}
	return b.Bytes()
}

func parseNonceRing(text []byte) (r nonceRing, err error) {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	bad := fmt.Errorf("want a line of %d hex digits, or two of them and a number", 2*nonceKeyBytes)
	if len(lines) != 1 && len(lines) != 3 {
		return r, bad
	}
	if r.current, err = hex.DecodeString(lines[0]); err != nil || len(r.current) != nonceKeyBytes {
		return nonceRing{}, bad
	}
	if len(lines) == 1 {
		return r, nil
	}
	rotations, err := strconv.ParseUint(lines[2], 10, 31)
	if r.former, _ = hex.DecodeString(lines[1]); err != nil || rotations == 0 || len(r.former) != nonceKeyBytes {
		return nonceRing{}, bad
	}
	if r.rotations = uint(rotations); bytes.Equal(r.current, r.former) {
		return nonceRing{}, errors.New("the key and the one before are the same")
	}
	return r, nil
}

func (r nonceRing) keys() (*attest.NonceKeys, error) {
	return attest.NewNonceKeys(r.rotations, r.current, r.former)
}

// mayRotate refuses to drop a former key that still checks nonces: it does for their life after the file was written.
func (r nonceRing) mayRotate(path string, now time.Time) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	age := now.Sub(info.ModTime())
	if r.former == nil || age < 0 || age >= attest.NonceLife { // a clock that was set back keeps nobody waiting
		return nil
	}
	again := info.ModTime().Add(attest.NonceLife).Truncate(time.Second).Add(time.Second)
	return fmt.Errorf("the key before this one still checks nonces that devices are answering: try again after %s", again.UTC().Format(time.RFC3339))
}

func newKeys() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Exchange the key of nonces",
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, errors.New("want keys rotate; --help tells more"))
		},
	}
	c.AddCommand(newKeysRotate())
	return c
}

func newKeysRotate() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "rotate --state DIR",
		Short: "Make a new key of nonces, and keep the one before",
		Long: `Make a new key that proves that a nonce is ours. A server under way takes it within a second. The one before still checks the
nonces that it made, for two minutes, in which no other rotation is taken.`,
		Example: "  imei-verifier keys rotate --state /var/lib/imei-attest",
		Args:    none,
		RunE: func(c *cobra.Command, _ []string) error {
			path := filepath.Join(dir, nonceKeyFile)
			text, err := readSecret(path)
			if err != nil {
				return fail(exitUsage, fmt.Errorf("%w: is --state the folder of a server that was started once?", err))
			}
			now, err := parseNonceRing(text)
			if err != nil {
				return fail(exitUsage, fmt.Errorf("%s: %w", path, err))
			}
			if err := now.mayRotate(path, wallClock()); err != nil {
				return fail(exitUsage, err)
			}
			next, err := now.rotate()
			if err == nil {
				err = replaceSecret(path, next.text())
			}
			if err != nil {
				return fail(exitFailed, err)
			}
			fmt.Fprintf(c.OutOrStdout(), "the key of nonces was exchanged, for the %d. time\n", next.rotations)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "state", "", "`folder` of the server's own keys")
	required(c, "state")
	return c
}
