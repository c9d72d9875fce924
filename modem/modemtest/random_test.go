//go:build linux

package modemtest_test

import (
	"errors"
	"os"
	"reflect"
	"testing"
	"testing/synctest"

	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

const scriptLines = 60 // a reading with repetitions and resynchronising has fewer

// Whatever happens on the line, a reader tells no IMEI that the modem does not hold, and fails only with the port.
func TestRandomFaultsNeverMakeAnotherIMEI(t *testing.T) {
	seeds := uint64(300)
	if os.Getenv("IMEI_ATTEST_SOAK") == "1" {
		seeds = 20000
	}
	read := 0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			e, err := modemtest.New(modemtest.Config{EchoOff: seed%3 == 0, Faults: modemtest.RandomFaults(seed, scriptLines)})
			if err != nil {
				t.Fatal(err)
			}
			port := e.Pipe()
			defer port.Close()
			r, err := modem.NewReader(port, modem.Config{}).Read(t.Context())
			if err != nil && !errors.Is(err, modem.ErrHangup) {
				t.Errorf("seed %d: Read: %v", seed, err)
			}
			if err != nil {
				return
			}
			told := r.Slots[0].IMEI
			if !told.IsZero() && told.Digits() != genericIMEI {
				t.Errorf("seed %d: read %+v, agreement %v", seed, r.Slots[0], r.Agreement)
			}
			if !told.IsZero() {
				read++
			}
		})
	}
	// A floor: where nothing is read, nothing wrong is.
	if read < int(seeds)/4 {
		t.Errorf("%d readings of %d told an IMEI", read, seeds)
	}
}

func TestRandomFaultsAreTheSameForTheSameSeed(t *testing.T) {
	one, again, other := modemtest.RandomFaults(1, 100), modemtest.RandomFaults(1, 100), modemtest.RandomFaults(2, 100)
	if len(one) < 10 || !reflect.DeepEqual(one, again) || reflect.DeepEqual(one, other) {
		t.Errorf("%d faults; the same again: %v; as of another seed: %v", len(one), reflect.DeepEqual(one, again), reflect.DeepEqual(one, other))
	}
}
