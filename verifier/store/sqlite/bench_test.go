package sqlite_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/store/sqlite"
)

// crowd are devices that attest again and again under profile B: each decision takes a nonce, raises the device's counter if it stands
// where it stood, and is recorded and audited.
type crowd struct {
	states []atomic.Uint64
	next   atomic.Uint64
}

func (c *crowd) decide(n uint64) verifier.Decision {
	device := n % uint64(len(c.states))
	was := c.states[device].Add(1) - 1
	var key attest.KeyID
	binary.BigEndian.PutUint64(key[8:], device+1)
	id, _ := imei.FromBody(fmt.Sprintf("35693803%06d", device))
	holder := verifier.Holder{Key: key, Issuer: "tag:example,2026:oem", Serial: 1}
	d := verifier.Decision{Now: attesttest.Now.Add(time.Duration(n) * time.Millisecond), Record: benchRecord(n, key)}
	d.Expiry = d.Now.Add(attest.NonceLife)
	d.Presentation.Nonce = binary.BigEndian.AppendUint64([]byte("a nonce of 33 bytes has "), n*0x9e3779b97f4a7c15)
	d.Device = &verifier.Device{Key: key, Generation: 1, Holds: []verifier.Hold{{IMEI: id, Was: holder, Is: holder}},
		State: &verifier.StateChange{Was: state(was), Is: state(was + 1)}}
	if was == 0 {
		d.Device.Holds[0].Was, d.Device.State.Was = verifier.Holder{}, verifier.State{}
		d.Device.Credential = make([]byte, 500)
	}
	return d
}

func state(counter uint64) verifier.State {
	return verifier.State{Counter: counter, ResetCount: 1, Clock: counter, Binding: [32]byte{byte(counter)}, Seen: attesttest.Now}
}

// benchRecord is as long as that of an honest device.
func benchRecord(n uint64, key attest.KeyID) *verifier.Record {
	r := &verifier.Record{Policy: "observe", Facts: verifier.Facts{Now: attesttest.Now.Add(time.Duration(n) * time.Millisecond)}, Rules: verifier.ObservePolicy().Rules}
	binary.BigEndian.PutUint64(r.Verdict.ID[:], n)
	r.Verdict.Submods = []attest.Submod{{Name: "slot1"}}
	r.Verdict.Submods[0].Add(attest.ReasonIMEIConsistent, attest.ReasonHardwareVault, attest.ReasonBootApproved)
	p := state(n)
	r.Facts.Evidence = &verifier.Verified{Nonce: make(attest.Nonce, 33), Issuer: "tag:example,2026:oem", Model: "model", Key: key, Proved: &p, Kept: p,
		Minted: attesttest.Now, Slots: []verifier.SlotFact{{Holder: verifier.Holder{Key: key, Issuer: "tag:example,2026:oem", Serial: 1}}}}
	return r
}

func newCrowd(b *testing.B, s *sqlite.Store, devices int) *crowd {
	c := &crowd{states: make([]atomic.Uint64, devices)}
	c.run(b, s, 256, devices)
	return c
}

// run commits many decisions by some callers at once and returns how long each took.
func (c *crowd) run(b *testing.B, s *sqlite.Store, callers, decisions int) []time.Duration {
	took := make([]time.Duration, decisions)
	var at atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := at.Add(1) - 1; i < int64(decisions); i = at.Add(1) - 1 {
				begun := time.Now()
				d := c.decide(c.next.Add(1) - 1)
				recall(b, s, &d)
				done, err := s.Commit(context.Background(), d)
				if err != nil || done.Repeat || done.Replay || done.Closed || done.Conflict {
					b.Errorf("%+v, %v", done, err)
					return
				}
				took[i] = time.Since(begun)
			}
		})
	}
	wg.Wait()
	return took
}

// recall reads what a judgement reads.
func recall(b *testing.B, s *sqlite.Store, d *verifier.Decision) {
	_, found, err := s.Credential(context.Background(), d.Device.Key)
	state, stateErr := s.State(context.Background(), d.Device.Key)
	holder, holderErr := s.Holder(context.Background(), d.Device.Holds[0].IMEI)
	if err := errors.Join(err, stateErr, holderErr); err != nil || found != (d.Device.Credential == nil) || !state.Same(d.Device.State.Was) || holder != d.Device.Holds[0].Was {
		b.Errorf("found %v, %+v, %+v, %v", found, state, holder, err)
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkToken measures what a token of a device that was seen before costs in the store, among many devices in turns: reading its
// Credential, state and holder, and a durable decision. The CPU is that of the whole process.
func BenchmarkToken(b *testing.B) {
	for _, devices := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("devices=%d", devices), func(b *testing.B) {
			s := open(b, config(b))
			c := newCrowd(b, s, devices)
			for _, callers := range []int{1, 8, 64, 256} {
				b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { c.measure(b, s, callers) })
			}
			logStats(b, s)
		})
	}
}

func (c *crowd) measure(b *testing.B, s *sqlite.Store, callers int) {
	before := cpu()
	b.ResetTimer()
	took := c.run(b, s, callers, b.N)
	b.StopTimer()
	for name, share := range map[string]float64{"p50-us": .5, "p99-us": .99} {
		b.ReportMetric(float64(quantile(took, share).Microseconds()), name)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
}

func logStats(b *testing.B, s *sqlite.Store) {
	stats, err := s.Stats(context.Background())
	must(b, err)
	for _, t := range stats.Tables {
		b.Logf("%s: %d rows, %.0f bytes each", t.Name, t.Rows, float64(t.Bytes)/float64(max(1, t.Rows)))
	}
	status, err := os.ReadFile("/proc/self/status")
	must(b, err)
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") {
			b.Log(strings.TrimSpace(line))
		}
	}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func quantile(all []time.Duration, share float64) time.Duration {
	slices.Sort(all)
	return all[int(share*float64(len(all)-1))]
}
