package provision

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// Vaults is what a [Batch] needs of the place where the units come by.
type Vaults interface {
	// Next has the vault of a unit made ready and returns its name.
	Next(ctx context.Context, u LineUnit) (spec string, err error)
	// Identify returns what tells the vault at a name from any other, whatever is provisioned in it.
	Identify(ctx context.Context, spec string) (id string, err error)
	// Provision finishes the vault at a name, as [TPM] or [Software] does.
	Provision(ctx context.Context, spec string, u Unit, progress Progress) (*Result, error)
}

// ErrLine is wrapped by what [Vaults] return when the fault is the line's and the next unit would meet it too: it ends the run.
var ErrLine = errors.New("the line stopped")

// Batch provisions the units of a list, one after the other. Interrupted anywhere and run again with the same journal
// it goes on; no IMEI gets into two vaults and no vault gets two units.
type Batch struct {
	Journal *Journal
	Units   []LineUnit
	Vaults  Vaults
	Now     func() time.Time
	Scrap   []int // rows whose vaults the operator gives up
	// StopAfter is how many failures end the run; 0 means that none does.
	StopAfter int
	// Keep is given each finished Credential before the journal calls the unit done; nil is allowed.
	Keep func(*attest.SignedCredential) error
	// Step is told each step after it is in the journal; nil is allowed.
	Step func(u LineUnit, step Step, detail string)
	// Ended is told how each unit came out, with the error of one that failed; nil is allowed.
	Ended func(u LineUnit, o Outcome, err error)
}

// Outcome is how a run leaves a unit.
type Outcome string

// The outcomes.
const (
	Finished Outcome = "finished" // in this run
	Before   Outcome = "before"   // finished in an earlier run
	Scrapped Outcome = "scrapped" // waits for a row with a higher serial
	Failed   Outcome = "failed"
)

// Summary is what a run did. Units that are in no count were not reached.
type Summary struct {
	Count        map[Outcome]int
	FirstFailure error
}

// Run provisions the units that are not finished. Its error means that the line stopped; a unit that fails is no
// error but counted.
func (b *Batch) Run(ctx context.Context) (Summary, error) {
	s := Summary{Count: make(map[Outcome]int)}
	if err := b.check(); err != nil {
		return s, err
	}
	if err := b.scrap(); err != nil {
		return s, err
	}
	for _, u := range b.Units {
		o, err := b.one(ctx, u)
		if stops(ctx, err) {
			return s, err
		}
		s.Count[o]++
		if s.FirstFailure == nil {
			s.FirstFailure = err
		}
		if b.Ended != nil {
			b.Ended(u, o, err)
		}
		if b.StopAfter > 0 && s.Count[Failed] == b.StopAfter {
			break
		}
	}
	return s, nil
}

// stops tells an error that is not the unit's.
func stops(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, ErrLine) || errors.As(err, new(*JournalError)))
}

// check compares the whole list with the journal before anything is done.
func (b *Batch) check() error {
	var mistakes []string
	for _, u := range b.Units {
		if err := b.checkUnit(u); err != nil {
			mistakes = append(mistakes, fmt.Sprintf("line %d: %v", u.Line, err))
		}
	}
	for _, row := range b.Scrap {
		if row < 1 || row > len(b.Units) || len(b.given(b.Units[row-1])) == 0 {
			mistakes = append(mistakes, fmt.Sprintf("row %d: nothing was begun for it, so there is nothing to scrap", row))
		}
	}
	if len(mistakes) > 0 {
		return fmt.Errorf("%w and the journal do not fit, nothing was begun:\n  %s", ErrUnits, strings.Join(mistakes, "\n  "))
	}
	return nil
}

// checkUnit demands that a Credential replaces only those of scrapped vaults, with a higher serial.
func (b *Batch) checkUnit(u LineUnit) error {
	own := b.Journal.state(u)
	for _, s := range b.Journal.sharing(u) {
		switch {
		case s == own:
		case !s.scrapped && !slices.Contains(b.Scrap, u.Row):
			return fmt.Errorf("%s: a vault has a Credential with an IMEI of this row already, serial %d; "+
				"if that vault is lost, give it up with --scrap %d", slotsText(u.Slots), s.serial, u.Row)
		case s.serial >= u.Serial:
			return fmt.Errorf("%s: an IMEI of this row was scrapped with serial %d: the serial must be above that", slotsText(u.Slots), s.serial)
		}
	}
	return nil
}

// given lists what --scrap of a row gives up: attempts under its very serial, and Credentials with its IMEIs.
func (b *Batch) given(u LineUnit) []*unitState {
	live := slices.DeleteFunc(b.Journal.sharing(u), func(s *unitState) bool { return s.scrapped })
	if own := b.Journal.state(u); own != nil && !own.signed && own.spec != "" {
		live = append(live, own)
	}
	return live
}

func (b *Batch) scrap() error {
	for _, row := range b.Scrap {
		if own := b.Journal.state(b.Units[row-1]); own != nil && own.done && !own.scrapped {
			return fmt.Errorf("%w: row %d is finished with serial %d; to replace a device that is lost, raise its serial first, then scrap it once",
				ErrUnits, row, own.serial)
		}
	}
	for _, row := range b.Scrap {
		u := b.Units[row-1]
		for _, s := range b.given(u) {
			line := b.Journal.line(u, stepScrap, b.Now())
			line.Tags, line.Serial = s.tags, s.serial // those of an older row, perhaps
			if err := b.Journal.add(line); err != nil {
				return err
			}
			detail := "its IMEI is free: no Credential was signed for that vault"
			if s.signed {
				detail = fmt.Sprintf("its IMEI is burnt up to serial %d", s.serial)
			}
			b.tell(u, stepScrap, detail)
		}
	}
	return nil
}

func (b *Batch) tell(u LineUnit, step Step, detail string) {
	if b.Step != nil {
		b.Step(u, step, detail)
	}
}

func (b *Batch) one(ctx context.Context, u LineUnit) (Outcome, error) {
	if s := b.Journal.state(u); s != nil && s.done {
		return Before, nil
	} else if s != nil && s.scrapped {
		return Scrapped, nil
	}
	err := b.attempt(ctx, u)
	if err == nil {
		return Finished, nil
	}
	if stops(ctx, err) {
		return Failed, err
	}
	line := b.Journal.line(u, stepFail, b.Now())
	line.Detail = imei.RedactAll(err.Error())
	if err := b.Journal.add(line); err != nil {
		return Failed, err
	}
	return Failed, err
}

func (b *Batch) attempt(ctx context.Context, u LineUnit) error {
	spec, vault, err := b.vault(ctx, u)
	if err != nil {
		return err
	}
	if other := b.Journal.owner(vault, u); other != nil {
		return fmt.Errorf("%w: the vault at %s is that of row %d with serial %d, and may hold its Credential: put the next unit in", ErrRefused, spec, other.row, other.serial)
	}
	line := b.Journal.line(u, stepBegin, b.Now())
	line.Spec, line.Vault = spec, vault
	if err := b.Journal.add(line); err != nil {
		return err
	}
	b.tell(u, stepBegin, spec)
	result, err := b.provision(ctx, u, spec)
	if err != nil {
		return err
	}
	return b.finish(u, result.Credential)
}

// vault is the one that the unit was begun on, or the next.
func (b *Batch) vault(ctx context.Context, u LineUnit) (spec, id string, err error) {
	s := b.Journal.state(u)
	if s != nil && s.spec != "" && (s.signed || !s.failed) {
		id, err := b.Vaults.Identify(ctx, s.spec)
		if err == nil && id == s.vault {
			return s.spec, id, nil
		}
		if s.signed {
			return "", "", lostVault(u, s, err)
		}
	}
	if spec, err = b.Vaults.Next(ctx, u); err != nil {
		return "", "", err
	}
	id, err = b.Vaults.Identify(ctx, spec)
	return spec, id, err
}

func lostVault(u LineUnit, s *unitState, err error) error {
	if err == nil {
		err = fmt.Errorf("%w: another vault is there", ErrRefused)
	}
	return fmt.Errorf("a Credential was signed for the vault that was at %s, and may be in it: %w; bring that vault back there, or, if it is lost, give it up with --scrap %d",
		s.spec, err, u.Row)
}

// provision has each step written down. What cannot be written down must not be done.
func (b *Batch) provision(ctx context.Context, u LineUnit, spec string) (*Result, error) {
	return b.Vaults.Provision(ctx, spec, u.Unit, func(step Step, detail string) error {
		if err := b.Journal.add(b.Journal.line(u, step, b.Now())); err != nil {
			return err
		}
		b.tell(u, step, detail)
		return nil
	})
}

func (b *Batch) finish(u LineUnit, c *attest.SignedCredential) error {
	if c.Serial != u.Serial {
		return fmt.Errorf("%w: it holds a Credential with these IMEIs and serial %d from elsewhere, and this row has serial %d; "+
			"take another unit, give this one up with --scrap %d and raise the serial", ErrRefused, c.Serial, u.Serial, u.Row)
	}
	if b.Keep != nil {
		if err := b.Keep(c); err != nil {
			return err
		}
	}
	digest := attest.DigestOf(c.Raw)
	line := b.Journal.line(u, stepDone, b.Now())
	line.Digest = hex.EncodeToString(digest[:])
	if err := b.Journal.add(line); err != nil {
		return err
	}
	b.tell(u, stepDone, "credential "+line.Digest[:16])
	return nil
}
