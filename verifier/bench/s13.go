package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"imei-attest/verifier/diameterfront/diameter"
)

// S13Host is the Origin-Host of a client over S13, which the server must list as a peer.
func S13Host(client int) string { return fmt.Sprintf("mme-%d.%s", client, S13Realm) }

// S13Realm is the realm of the clients, and that they ask.
const S13Realm = "bench.example"

// outstanding is how many questions a client over S13 has under way: an MME does not wait for one answer before it asks the next question.
const outstanding = 16

// mme is a client over S13.
type mme struct {
	*client
	host    string
	message diameter.Message
	started [outstanding]time.Time // by the lowest digit of Hop-by-Hop
	devices [outstanding]int
}

// askS13 asks over S13 about devices that have registered; each must be permitted.
func (c *client) askS13(ctx context.Context, number int, until time.Time) (took []time.Duration, err error) {
	if err := c.dial(); err != nil {
		return nil, err
	}
	defer c.conn.Close()
	m := &mme{client: c, host: S13Host(number)}
	c.read = bufio.NewReaderSize(c.conn, 2*diameter.MaxBytes)
	if err := m.introduce(); err != nil {
		return nil, err
	}
	for slot := range uint32(outstanding) {
		if err := m.question(slot); err != nil {
			return nil, err
		}
	}
	for open := outstanding; open > 0; {
		if err := m.flush(); err != nil {
			return nil, err
		}
		for first := true; open > 0 && (first || c.read.Buffered() > 0); first = false {
			slot, err := m.receive()
			if err != nil {
				return nil, fmt.Errorf("device %d: %w", m.devices[slot], err)
			}
			now := time.Now()
			took = append(took, now.Sub(m.started[slot]))
			if ctx.Err() != nil || !now.Before(until) {
				open--
				continue
			}
			if err := m.question(slot); err != nil {
				return nil, err
			}
		}
	}
	return took, nil
}

func (m *mme) flush() error {
	if err := m.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	_, err := m.conn.Write(m.out)
	m.out = m.out[:0]
	return err
}

// introduce exchanges capabilities (RFC 6733 section 5.3).
func (m *mme) introduce() error {
	m.out = diameter.Begin(m.out[:0], diameter.Header{Flags: diameter.Request, Command: diameter.CapabilitiesExchange})
	m.out = diameter.AppendText(diameter.AppendText(m.out, diameter.OriginHost, m.host), diameter.OriginRealm, S13Realm)
	m.out = diameter.AppendAddress(m.out, diameter.HostIPAddress, m.conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr())
	m.out = diameter.AppendText(diameter.AppendUint32(m.out, diameter.VendorID, 0), diameter.ProductName, "bench")
	m.out = diameter.AppendUint32(m.out, diameter.AuthApplicationID, diameter.ApplicationS13)
	diameter.End(m.out, 0)
	if err := m.flush(); err != nil {
		return err
	}
	if err := m.one(); err != nil {
		return err
	}
	if got := value(&m.message, diameter.ResultCodeAVP); got != uint32(diameter.Success) {
		return fmt.Errorf("capabilities are answered with %d", got)
	}
	return nil
}

// question writes one about a device (TS 29.272 clause 7.2.19).
func (m *mme) question(slot uint32) error {
	d, err := m.next()
	if err != nil {
		return err
	}
	begin := len(m.out)
	b := diameter.Begin(m.out, diameter.Header{Flags: diameter.Request | diameter.Proxiable, Command: diameter.MEIdentityCheck, Application: diameter.ApplicationS13,
		HopByHop: slot, EndToEnd: slot})
	b = diameter.AppendText(b, diameter.SessionID, m.host+";1;2")
	b = diameter.AppendUint32(b, diameter.AuthSessionState, diameter.NoStateMaintained)
	b = diameter.AppendText(diameter.AppendText(b, diameter.OriginHost, m.host), diameter.OriginRealm, S13Realm)
	b = diameter.AppendText(b, diameter.DestinationRealm, S13Realm)
	b = diameter.AppendGroup(b, diameter.TerminalInformation, func(b []byte) []byte {
		return diameter.AppendText(diameter.AppendText(b, diameter.IMEI, d.imei.Body()), diameter.SoftwareVersion, "01")
	})
	b = diameter.AppendText(b, diameter.UserName, d.impi()[:len(network)+10])
	diameter.End(b, begin)
	m.out, m.devices[slot], m.started[slot] = b, d.number, time.Now()
	return nil
}

// receive reads an answer, which must permit.
func (m *mme) receive() (slot uint32, err error) {
	if err := m.one(); err != nil {
		return 0, err
	}
	slot = m.message.HopByHop % outstanding
	if got := value(&m.message, diameter.EquipmentStatus); got != 0 || value(&m.message, diameter.ResultCodeAVP) != uint32(diameter.Success) {
		return slot, fmt.Errorf("the Equipment-Status is %d, with the Result-Code %d", int32(got), int32(value(&m.message, diameter.ResultCodeAVP)))
	}
	return slot, nil
}

// one reads one message. A watchdog is none of them: no run is so long without a word.
func (m *mme) one() error {
	const first = 4
	head, err := m.client.read.Peek(first)
	if err != nil {
		return err
	}
	m.answer = append(m.answer[:0], make([]byte, binary.BigEndian.Uint32(head)&0xFFFFFF)...)
	if _, err := io.ReadFull(m.client.read, m.answer); err != nil {
		return err
	}
	return m.message.Decode(m.answer)
}

// value is that of an AVP, all bits where there is none.
func value(m *diameter.Message, id diameter.ID) uint32 {
	if a := diameter.Find(m.AVPs, id); a != nil {
		if n, err := a.Uint32(); err == nil {
			return n
		}
	}
	return 1<<32 - 1
}
