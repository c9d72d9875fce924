package diameterfront_test

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"imei-attest/verifier/diameterfront"
	"imei-attest/verifier/redact"
)

// BenchmarkQuestion is one question of many under way on a connection, about a device whose answer stands: codec, connection, decision,
// and its line in the log.
func BenchmarkQuestion(b *testing.B) {
	f := serve(b, withCustomers(b, "enforce"), func(c *diameterfront.Config) {
		c.InFlight = 256
		c.Log = slog.New(redact.NewHandler(slog.NewJSONHandler(io.Discard, nil)))
		c.Observer = diameterfront.Observer{}
	})
	c := f.dial()
	c.ask(capabilities(mme))
	must(b, c.SetDeadline(time.Now().Add(time.Hour)))
	asked := question(honest.Body(), alice)
	const together = 64
	many := make([]byte, 0, together*len(asked))
	for range together {
		many = append(many, asked...)
	}
	answerBytes := func() int {
		m := c.ask(asked)
		if status(m) != 0 {
			b.Fatalf("got %d", status(m))
		}
		return len(m.Append(nil))
	}()
	answers := make([]byte, together*answerBytes)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += together {
		c.send(many)
		if _, err := io.ReadFull(c, answers); err != nil {
			b.Fatal(err)
		}
	}
}
