package verifier_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
	"imei-attest/verifier/store"
)

var crowdSizes = []int{100, 10_000, 1_000_000}

// crowds are the stores of BenchmarkAppraiseAmong by their number of devices: filled once, because a million take seconds.
var crowds = make(map[int]*crowd)

// crowd is a verifier that has seen many devices, of which a few attest once more.
type crowd struct {
	verifier *verifier.Verifier
	bench    *bench
	nonces   countingReader
	tokens   [][]byte
}

// BenchmarkAppraiseAmong judges warm tokens of the same device while the store keeps more and more others: the cost must not
// depend on how many.
func BenchmarkAppraiseAmong(b *testing.B) {
	for _, devices := range crowdSizes {
		b.Run(fmt.Sprintf("%d", devices), func(b *testing.B) {
			if crowds[devices] == nil {
				crowds[devices] = newCrowd(b, devices)
			}
			c := crowds[devices]
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if i%benchTokens == 0 {
					b.StopTimer()
					c.sign(b)
					b.StartTimer()
				}
				c.bench.judge(b, c.verifier, c.tokens[i%benchTokens])
			}
		})
	}
}

func newCrowd(b testing.TB, devices int) *crowd {
	s := newBench(b, false, false)
	memory := store.NewMemory()
	d := &s.devices[0]
	fill(b, memory, devices-1, d.credential)
	v, err := verifier.New(verifier.Config{Store: memory, Nonces: s.nonces, Trust: s.trust})
	must(b, err)
	c := &crowd{verifier: v, bench: s, nonces: countingReader{n: uint64(devices)}}
	s.judge(b, v, s.token(b, d, c.nonce(b), d.credential, 0))
	return c
}

func (c *crowd) nonce(b testing.TB) attest.Nonce {
	n, err := c.bench.nonces.Mint(&c.nonces, attesttest.Now, attest.DefaultNonceBytes)
	must(b, err)
	return n
}

func (c *crowd) sign(b testing.TB) {
	c.tokens = c.tokens[:0]
	for range benchTokens {
		c.tokens = append(c.tokens, c.bench.token(b, &c.bench.devices[0], c.nonce(b), nil, 0))
	}
}

// fill commits as many other devices as they would be kept: each with Credential, holder, subscriber, lasting answer and sighting.
func fill(b testing.TB, memory *store.Memory, devices int, credential []byte) {
	start := attesttest.Now.Add(-2 * attest.NonceLife)
	for i := range devices {
		before := start.Add(time.Duration(i) * time.Microsecond) // the nonce has expired when the next comes, and is forgotten
		id, err := imei.FromBody(fmt.Sprintf("35693803%06d", i))
		must(b, err)
		key := attest.KeyID{0: 0xff}
		binary.BigEndian.PutUint64(key[8:], uint64(i))
		answer := attest.Result{IssuedAt: before, ValidUntil: before, Submods: []attest.Submod{{Name: "slot1"}}}
		answer.Submods[0].Add(attest.ReasonIMEIConsistent)
		subscriber := strconv.Itoa(i)
		_, err = memory.Commit(context.Background(), verifier.Decision{
			Presentation: verifier.Presentation{Nonce: key[:], Subscriber: subscriber, Signalled: id},
			Expiry:       before, Now: before.Add(-time.Microsecond), Lasting: true,
			Record:   &verifier.Record{Verdict: verifier.Verdict{ID: verifier.DecisionID(key), Result: answer}},
			Device:   &verifier.Device{Key: key, Credential: credential, Holds: []verifier.Hold{{IMEI: id, Is: verifier.Holder{Key: key}}}},
			Sighting: &verifier.Sighting{IMEI: id, Subscriber: subscriber, At: before},
		})
		must(b, err)
	}
}
