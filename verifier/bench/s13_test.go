package bench_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"imei-attest/verifier/bench"
	"imei-attest/verifier/diameterfront/diameter"
)

// answering is a server of S13 that gives every question the same answer, and capabilities another.
func answering(t *testing.T, capabilities, questions func([]byte) []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					head, err := r.Peek(4)
					if err != nil {
						return
					}
					asked := make([]byte, binary.BigEndian.Uint32(head)&0xFFFFFF)
					if _, err := io.ReadFull(r, asked); err != nil {
						return
					}
					h := diameter.ReadHeader(asked)
					answer := diameter.Begin(nil, h.Answer(diameter.Success))
					if h.Command == diameter.CapabilitiesExchange {
						answer = capabilities(answer)
					} else {
						answer = questions(answer)
					}
					diameter.End(answer, 0)
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func values(pairs ...any) func([]byte) []byte {
	return func(to []byte) []byte {
		for i := 0; i < len(pairs); i += 2 {
			to = diameter.AppendUint32(to, pairs[i].(diameter.ID), uint32(pairs[i+1].(int)))
		}
		return to
	}
}

// TestALoadOverS13TakesNoAnswerForAnother: what is not permitted ends the measurement, so that no figure counts it.
func TestALoadOverS13TakesNoAnswerForAnother(t *testing.T) {
	welcome := values(diameter.ResultCodeAVP, 2001)
	for _, c := range []struct {
		name         string
		capabilities func([]byte) []byte
		questions    func([]byte) []byte
		want         string // "" for figures
	}{
		{"all are permitted", welcome, values(diameter.ResultCodeAVP, 2001, diameter.EquipmentStatus, 0), ""},
		{"a device that is tracked", welcome, values(diameter.ResultCodeAVP, 2001, diameter.EquipmentStatus, 2), "the Equipment-Status is 2, with the Result-Code 2001"},
		{"a device that is unknown", welcome, values(diameter.ExperimentalCode, 5422), "the Equipment-Status is -1, with the Result-Code -1"},
		{"a question that is refused", welcome, values(diameter.ResultCodeAVP, 3004), "with the Result-Code 3004"},
		{"a permission with an error", welcome, values(diameter.ResultCodeAVP, 5012, diameter.EquipmentStatus, 0), "with the Result-Code 5012"},
		{"an answer that is none", welcome, func(to []byte) []byte { return append(to, 0, 0, 0, 0) }, "the length of an AVP does not fit"},
		{"a client that is not listed", values(diameter.ResultCodeAVP, 3010), welcome, "capabilities are answered with 3010"},
	} {
		t.Run(c.name, func(t *testing.T) {
			load := bench.Load{Address: answering(t, c.capabilities, c.questions), Secret: secret(1), Devices: 10, Clients: 2, Time: 50 * time.Millisecond, S13: true}
			got, err := run(t, &load)
			if c.want == "" {
				if err != nil || got.Answers < 2*16 || got.Latency.Max <= 0 {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v; want %q", got, err, c.want)
			}
		})
	}
}
