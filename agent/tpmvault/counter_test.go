package tpmvault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/agent/provision"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

var bothCounters = []tpmprofile.Counter{tpmprofile.CounterEpoch, tpmprofile.CounterAttestation}

func (u *unit) prepare(c tpmprofile.Counter, variant attest.NVVariant) uint64 {
	u.t.Helper()
	state, value, err := u.factory().PrepareCounter(u.t.Context(), c, variant)
	u.must(err)
	if state != tpmprofile.IndexWritten {
		u.t.Fatalf("the %s counter is %s", c, state)
	}
	return value
}

func TestCountersAreMadeOnce(t *testing.T) {
	for variant, hierarchy := range hierarchies {
		for _, c := range bothCounters {
			t.Run(fmt.Sprintf("%s, variant %d", c, variant), func(t *testing.T) {
				u := newUnit(t)
				if value := u.prepare(c, variant); value != 1 {
					t.Errorf("on a fresh TPM it starts at %d, want 1", value)
				}
				live, err := tpm2.NVReadPublic{NVIndex: c.Index(variant)}.Execute(u.conn)
				u.must(err)
				want, err := c.Name(variant, true)
				u.must(err)
				if string(live.NVName.Buffer) != string(want) {
					t.Errorf("Name: the TPM says %x, computed %x", live.NVName.Buffer, want)
				}
				// Firmware has closed the hierarchy: what exists is still found.
				u.must(tpmtest.ClosePlatform(u.conn))
				u.must(tpmtest.CloseOwner(u.conn))
				if value := u.prepare(c, variant); value != 1 {
					t.Errorf("the second time it is at %d under hierarchy %#x, want 1", value, uint32(hierarchy))
				}
				u.wantClean()
			})
		}
	}
}

// The power may fail between definition and first rise.
func TestCounterThatNeverRoseIsRaised(t *testing.T) {
	for _, c := range bothCounters {
		u := newUnit(t)
		u.tpm.Fault(tpmtest.Refuse(tpm2.TPMCCNVIncrement, tpm2.TPMRCNVRate))
		if _, _, err := u.factory().PrepareCounter(t.Context(), c, attest.NVPlatform); err == nil || !strings.Contains(err.Error(), "wait a minute") {
			t.Errorf("the %s counter whose rise is refused: %v; want an error with a remedy", c, err)
		}
		u.tpm.Fault(nil)
		if value := u.prepare(c, attest.NVPlatform); value != 1 {
			t.Errorf("the %s counter is at %d, want 1", c, value)
		}
	}
}

// A counter starts above every deleted one: on a used TPM the epoch may be high. Other counters that live do not matter.
func TestFirstValueOnAUsedTPM(t *testing.T) {
	u := newUnit(t)
	u.prepare(tpmprofile.CounterAttestation, attest.NVOwner)
	for range 9 {
		u.raise(tpmprofile.CounterAttestation, attest.NVOwner)
	}
	if value := u.prepare(tpmprofile.CounterAttestation, attest.NVPlatform); value != 1 {
		t.Errorf("beside a living counter at 10 another starts at %d, want 1", value)
	}
	u.deleteCounter(tpmprofile.CounterAttestation, attest.NVOwner)
	var notes []string
	options := u.options()
	options.Progress = func(step provision.Step, detail string) error {
		if step == provision.StepCounters {
			notes = append(notes, detail)
		}
		return nil
	}
	_, err := u.tryProvision(options, imei1)
	u.must(err)
	if len(notes) != 2 || !strings.Contains(notes[0], "epoch 11, attestation 1") || !strings.Contains(notes[1], "lower epoch never serve") {
		t.Errorf("the line is told %q; want epoch 11 and what that means", notes)
	}
}

func TestForeignIndexInACountersPlaceRefusesTheUnit(t *testing.T) {
	for variant, hierarchy := range map[attest.NVVariant]string{attest.NVPlatform: "p", attest.NVOwner: "o"} {
		for _, c := range bothCounters {
			u := newUnit(t)
			u.defineOther(c, variant)
			options := u.options()
			options.Variant = variant
			_, err := u.tryProvision(options, imei1)
			remedy := fmt.Sprintf("tpm2_nvundefine -C %s %#x", hierarchy, uint32(c.Index(variant)))
			if !errors.Is(err, provision.ErrRefused) || !strings.Contains(err.Error(), remedy) {
				t.Errorf("another index in the %s counter's place: %v; want %v with %q", c, err, provision.ErrRefused, remedy)
			}
			if live := liveIndex(u.conn, u.oem.Profile(variant, 0).Index()); live.Name.Buffer != nil {
				t.Error("the record was defined all the same")
			}
		}
	}
}

// The owner may clear the TPM, but the epoch does not start over: it is kept in flash, unlike the attestation counter.
func TestOwnersEpochDoesNotFallAtClear(t *testing.T) {
	u := newUnit(t)
	before := u.prepare(tpmprofile.CounterEpoch, attest.NVOwner)
	for range 9 {
		u.raise(tpmprofile.CounterEpoch, attest.NVOwner)
	}
	u.must(tpmtest.Clear(u.conn))
	if after := u.prepare(tpmprofile.CounterEpoch, attest.NVOwner); after <= before+9 {
		t.Errorf("the epoch was %d, and %d after TPM2_Clear", before+9, after)
	}
}
