//go:build linux

package modemtest_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"testing"
	"testing/synctest"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

const scriptLines = 120 // two readings with repetitions and resynchronising have fewer

// randomCase is one modem with one script of random faults.
type randomCase struct {
	seed    uint64
	profile string
	imeis   []string // by slot
	echoOff bool
}

func (c randomCase) String() string {
	return fmt.Sprintf("profile %s, echo off %v, seed %d", c.profile, c.echoOff, c.seed)
}

// Whatever happens on the line, a reader tells no IMEI that the modem does not hold in that slot, unless it says that the
// answers contradict each other; and it fails only with the port.
func TestRandomFaultsNeverMakeAnotherIMEI(t *testing.T) {
	seeds := uint64(300)
	if os.Getenv("IMEI_ATTEST_SOAK") == "1" {
		seeds = 5000
	}
	const second = "352656105937836"
	for profile, imeis := range map[string][]string{
		"generic": {genericIMEI},
		"mt6261":  {genericIMEI, second},
		"rg650v":  {genericIMEI, second},
	} {
		for _, echoOff := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s echo off %v", profile, echoOff), func(t *testing.T) {
				told := 0
				for seed := range seeds {
					c := randomCase{seed, profile, imeis, echoOff}
					readings, problems := readTwice(t, c)
					told += readings
					for _, problem := range problems {
						t.Errorf("%v: %s", c, problem)
					}
				}
				// A floor: where nothing is read, nothing wrong is.
				if told < int(seeds)/5 {
					t.Errorf("%d readings with %d scripts told an IMEI", told, seeds)
				}
			})
		}
	}
}

// readTwice returns how many readings told an IMEI, and what was wrong: a test that fails within synctest ends there, and
// every seed that fails is worth knowing. After a hang-up there is no second reading.
func readTwice(t *testing.T, c randomCase) (told int, problems []string) {
	synctest.Test(t, func(t *testing.T) {
		config := modemtest.Config{Profile: c.profile, IMEI: c.imeis[0], EchoOff: c.echoOff, Faults: modemtest.RandomFaults(c.seed, scriptLines)}
		if len(c.imeis) > 1 {
			config.IMEI2 = c.imeis[1]
		}
		e, err := modemtest.New(config)
		if err != nil {
			t.Fatal(err)
		}
		port := e.Pipe()
		defer port.Close()
		reader := modem.NewReader(port, modem.Config{})
		for reading := range 2 {
			r, err := reader.Read(t.Context())
			if err != nil {
				if !errors.Is(err, modem.ErrHangup) {
					problems = append(problems, fmt.Sprintf("reading %d: %v", reading+1, err))
				}
				return
			}
			if problem := wrongSlot(c, r); problem != "" {
				problems = append(problems, fmt.Sprintf("reading %d: %s", reading+1, problem))
			}
			if !r.Slots[0].IMEI.IsZero() {
				told++
			}
		}
	})
	return told, problems
}

// wrongSlot says which slot tells an IMEI that the modem does not hold there, "" if none does.
func wrongSlot(c randomCase, r modem.Reading) string {
	for i, slot := range r.Slots {
		if slot.IMEI.IsZero() || r.Agreement == modem.AgreementConflict || i < len(c.imeis) && slot.IMEI.Digits() == c.imeis[i] {
			continue
		}
		return fmt.Sprintf("slot %d tells %s, agreement %v", i+1, slot.IMEI.Digits(), r.Agreement)
	}
	return ""
}

func TestRandomFaultsAreTheSameForTheSameSeed(t *testing.T) {
	one, again, other := modemtest.RandomFaults(1, 100), modemtest.RandomFaults(1, 100), modemtest.RandomFaults(2, 100)
	if len(one) < 10 || !reflect.DeepEqual(one, again) || reflect.DeepEqual(one, other) {
		t.Errorf("%d faults; the same again: %v; as of another seed: %v", len(one), reflect.DeepEqual(one, again), reflect.DeepEqual(one, other))
	}
}
