package sqlite_test

import (
	"crypto/ecdsa"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier/store/sqlite"
)

func verify(s *sqlite.Store, kept ...[]byte) (sqlite.Chain, error) {
	return s.Verify(ctx, []*ecdsa.PublicKey{&verifierKey.PublicKey}, kept, nil)
}

// chained is a store with five entries, of which the fourth is an event, and a checkpoint of the last.
func chained(t *testing.T) (c sqlite.Config, checkpoint []byte) {
	t.Helper()
	c = config(t)
	s := open(t, c)
	for n := byte(1); n <= 3; n++ {
		commit(t, s, decision(n))
	}
	if err := s.Audit(ctx, sqlite.Event{At: attesttest.Now, Kind: sqlite.TrustChanged, Text: "generation 2"}); err != nil {
		t.Fatal(err)
	}
	commit(t, s, decision(4))
	closeStore(t, s)
	s = open(t, c)
	checkpoint, err := s.Checkpoint(ctx)
	if err != nil || checkpoint == nil {
		t.Fatalf("no checkpoint: %v", err)
	}
	if chain, err := verify(s, checkpoint); err != nil || chain.First != 1 || chain.Last != 5 || chain.Unsigned != 0 {
		t.Fatalf("as written: %+v, %v", chain, err)
	}
	closeStore(t, s)
	return c, checkpoint
}

func TestTheAuditChainTellsWhereItBreaks(t *testing.T) {
	for _, test := range []struct {
		name       string
		statements []string
		entry      uint64
		problem    string
	}{
		{"an entry's content is altered", []string{`UPDATE audit SET digest = x'00' WHERE seq = 2`}, 2, "altered"},
		{"an entry's time is altered", []string{`UPDATE audit SET at = at + 1 WHERE seq = 3`}, 3, "altered"},
		{"an event's text is altered", []string{`UPDATE audit SET text = 'generation 3' WHERE seq = 4`}, 4, "text"},
		{"a decision gets a text", []string{`UPDATE audit SET text = 'x' WHERE seq = 3`}, 3, "text"},
		{"a decision becomes an event", []string{`UPDATE audit SET kind = 2 WHERE seq = 3`}, 3, "altered"},
		{"an entry is taken away", []string{`DELETE FROM audit WHERE seq = 3`}, 3, "missing"},
		{"the first entry is taken away", []string{`DELETE FROM audit WHERE seq = 1`}, 1, "missing"},
		{"an entry is taken away and the others move up", []string{`DELETE FROM audit WHERE seq = 3`, `UPDATE audit SET seq = seq - 1 WHERE seq > 3`}, 3, "another's place"},
		{"two entries change places", []string{`UPDATE audit SET seq = 99 WHERE seq = 2`, `UPDATE audit SET seq = 2 WHERE seq = 3`, `UPDATE audit SET seq = 3 WHERE seq = 99`}, 2, "another's place"},
		{"the last entry is taken away", []string{`DELETE FROM audit WHERE seq = 5`}, 5, "signed checkpoint is of entry 5"},
		{"all entries are taken away", []string{`DELETE FROM audit`}, 1, "missing"},
		{"a checkpoint is altered", []string{`UPDATE checkpoints SET signed = substr(signed, 1, length(signed) - 1) || x'00'`}, 5, "does not verify"},
		{"a checkpoint is cut off", []string{`UPDATE checkpoints SET signed = substr(signed, 1, 9)`}, 5, "cannot be read"},
		{"a checkpoint is moved", []string{`UPDATE checkpoints SET seq = 4`}, 4, "is entry 5's"},
		{"the end is cut off with its checkpoint, and one was kept", []string{`DELETE FROM audit WHERE seq = 5`, `DELETE FROM checkpoints`}, 5, "signed checkpoint is of entry 5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, checkpoint := chained(t)
			change(t, c.Path, test.statements...)
			c.ReadOnly = true
			_, err := verify(open(t, c), checkpoint)
			var broken *sqlite.ChainError
			if !errors.As(err, &broken) || broken.Entry != test.entry || !strings.Contains(broken.Problem, test.problem) {
				t.Errorf("%v, want entry %d: %s", err, test.entry, test.problem)
			}
		})
	}
}

// TestAChainWrittenAnewIsNoticed: whoever can write the file can compute hashes, and cannot sign.
func TestAChainWrittenAnewIsNoticed(t *testing.T) {
	_, checkpoint := chained(t)
	c := config(t)
	s := open(t, c)
	for n := byte(11); n <= 16; n++ {
		d := decision(1)
		d.Presentation.Nonce[0], d.Record.Verdict.ID[0], d.Device = n, n, nil
		commit(t, s, d)
	}
	if _, err := verify(s); err != nil {
		t.Fatalf("a chain by itself: %v", err)
	}
	if _, err := verify(s, checkpoint); err == nil || !strings.Contains(err.Error(), "entry 5: a signed checkpoint tells another hash") {
		t.Errorf("against a kept checkpoint: %v", err)
	}
	if _, err := s.Verify(ctx, nil, [][]byte{checkpoint}, nil); err == nil || !strings.Contains(err.Error(), "does not verify") {
		t.Errorf("without the verifier's key: %v", err)
	}
}

// TestABeginningThatNoSweepTookIsNoticed: a checkpoint tells the hash to begin from, and the chain must say that it was swept.
func TestABeginningThatNoSweepTookIsNoticed(t *testing.T) {
	c, _ := chained(t)
	s := open(t, c)
	commit(t, s, decision(6))
	closeStore(t, s)
	change(t, c.Path, `DELETE FROM audit WHERE seq <= 5`)
	s = open(t, c)
	if _, err := verify(s); err == nil || !strings.Contains(err.Error(), "entry 5: it and those before it are missing, and no entry says") {
		t.Errorf("%v", err)
	}
}

// brokenSigner is a key that is out of reach, as in an HSM that restarts.
type brokenSigner struct{ attest.Signer }

var errUnreachable = errors.New("the key is out of reach")

func (brokenSigner) Sign(io.Reader, []byte) ([]byte, error) { return nil, errUnreachable }

func TestDecisionsDoNotWaitForACheckpoint(t *testing.T) {
	c := config(t)
	c.Signer = brokenSigner{c.Signer}
	s := open(t, c)
	for n := byte(1); n <= 3; n++ {
		d := decision(n)
		d.Now = d.Now.Add(time.Duration(n) * time.Hour)
		d.Expiry = d.Now.Add(attest.NonceLife)
		commit(t, s, d)
	}
	if chain, err := verify(s); err != nil || chain.Unsigned != 3 {
		t.Errorf("%+v, %v; want three entries that are not signed", chain, err)
	}
	if err := s.Close(); !errors.Is(err, errUnreachable) {
		t.Errorf("Close: %v", err)
	}
}
