package agent_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

const simIMSI = "001010123456789" // of every emulated card

// cardReader is a reading that was asked for the SIM cards too.
type cardReader struct{ reading }

func (r cardReader) ReadSubscribers(ctx context.Context) (modem.Reading, error) { return r.Read(ctx) }

func card(t testing.TB, digits string) modem.IMSI {
	t.Helper()
	i, err := modem.ParseIMSI(digits)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// TestEachSlotNamesItsOwnSubscriber, and only a token that was asked to.
func TestEachSlotNamesItsOwnSubscriber(t *testing.T) {
	second := attesttest.MustIMEI(attesttest.IMEI2)
	r := cardReader{read(modem.Slot{Number: 1, IMEI: own, IMSI: card(t, "001010000000017")}, modem.Slot{Number: 2, IMEI: second},
		modem.Slot{Number: 3, Word: "timeout", IMSI: card(t, "001010000000038")})}
	slots := []imei.IMEI{own, second, attesttest.MustIMEI(attesttest.OtherIMEI)}
	v := newVault(func(c *attest.Credential) { c.Slots = slots })
	n := attesttest.Nonce()
	want := [][]byte{attest.SubscriberHash(n, "001010000000017"), nil, attest.SubscriberHash(n, "001010000000038")}
	for name, request := range map[string]agent.Request{"asked for": {Subscriber: true}, "not asked for": {}, "in-band": {InBand: true}} {
		for i, o := range attestWith(t, r, v, request).Claims.Observed {
			expected := want[i]
			if !request.Subscriber {
				expected = nil
			}
			if !bytes.Equal(o.Subscriber, expected) {
				t.Errorf("%s, slot %d: %x, want %x", name, i+1, o.Subscriber, expected)
			}
		}
	}
}

// transcript is what an emulator writes down while somebody reads it.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *transcript) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestTheSIMIsReadOnlyWhereItIsNamed drives the real reader over the emulator.
func TestTheSIMIsReadOnlyWhereItIsNamed(t *testing.T) {
	for _, c := range []struct {
		name    string
		config  modemtest.Config
		request agent.Request
		asked   bool
		named   bool
	}{
		{"by the token", modemtest.Config{}, agent.Request{Subscriber: true}, true, true},
		{"a card that wants its PIN", modemtest.Config{PIN: "1234"}, agent.Request{Subscriber: true}, true, false},
		{"no card", modemtest.Config{NoSIM: true}, agent.Request{Subscriber: true}, true, false},
		{"not asked for", modemtest.Config{}, agent.Request{}, false, false},
		{"in-band", modemtest.Config{}, agent.Request{InBand: true, Registration: true}, false, false},
	} {
		var said transcript
		c.config.IMEI, c.config.Transcript = attesttest.IMEI1, &said
		emulator, err := modemtest.New(c.config)
		if err != nil {
			t.Fatal(err)
		}
		port := emulator.Pipe()
		o := attestWith(t, modem.NewReader(port, modem.Config{}), newVault(nil), c.request).Claims.Observed[0]
		if err := port.Close(); err != nil {
			t.Error(err)
		}
		if asked := strings.Contains(said.String(), "AT+CIMI"); asked != c.asked {
			t.Errorf("%s: the SIM was asked %v", c.name, asked)
		}
		if named := bytes.Equal(o.Subscriber, attest.SubscriberHash(attesttest.Nonce(), simIMSI)); named != c.named || !named && o.Subscriber != nil || o.IMEI != own {
			t.Errorf("%s: %+v, want the subscriber named: %v", c.name, o, c.named)
		}
	}
}

func TestATokenThatCannotNameTheSubscriberIsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		reader  agent.Reader
		request agent.Request
		want    string
	}{
		{"in-band", cardReader{read(modem.Slot{Number: 1, IMEI: own})}, agent.Request{Subscriber: true, InBand: true}, "in-band token names no subscriber"},
		{"a reader that does not know how", read(modem.Slot{Number: 1, IMEI: own}), agent.Request{Subscriber: true}, "does not read the SIM card"},
	} {
		a, err := agent.New(agent.Config{Reader: c.reader, Vault: newVault(nil)})
		if err != nil {
			t.Fatal(err)
		}
		c.request.Nonce = attesttest.Nonce()
		if made, err := a.Attest(context.Background(), c.request); err == nil || made != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", c.name, made, err, c.want)
		}
	}
}
