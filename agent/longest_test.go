package agent_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/modem"
)

// measuringVault notes how much its key is given to sign.
type measuringVault struct {
	*vault
	longest *int
}

func (v measuringVault) Signer(ctx context.Context) attest.Signer {
	return measuringSigner{v.vault.Signer(ctx), v.longest}
}

type measuringSigner struct {
	attest.Signer
	longest *int
}

func (s measuringSigner) Sign(rand io.Reader, content []byte) ([]byte, error) {
	*s.longest = max(*s.longest, len(content))
	return s.Signer.Sign(rand, content)
}

// worst are readings of four slots of which each tells as much as a token carries.
func worst(t *testing.T, slots []imei.IMEI) (all []cardReader) {
	text := strings.Repeat("x", 40) // longer than a claim takes
	methods := modem.MethodVendor<<1 - 1
	for _, slot := range []modem.Slot{
		{IMEI: slots[0], SVN: "99", Methods: methods, Form: imei.FormWrongCheckDigit},
		{Word: string(imei.WordNotIMEI), Text: text[:32], SVN: "99", Methods: methods},
		{Word: text, SVN: "99", Methods: methods},
	} {
		r := reading{Reading: modem.Reading{Manufacturer: text, Model: text, Revision: text, RestartSeen: true,
			Agreement: modem.AgreementConflict, LastAnswer: time.Now().Add(-23 * time.Hour)}}
		for i := range slots {
			slot.Number, slot.IMSI = i+1, card(t, "001010123456789")
			r.Slots = append(r.Slots, slot)
		}
		all = append(all, cardReader{r})
	}
	return all
}

func fourSlots(t *testing.T) (slots []imei.IMEI) {
	for _, body := range []string{"49015420999996", "49015420999997", "49015420999998", "49015420999999"} {
		id, err := imei.FromBody(body)
		if err != nil {
			t.Fatal(err)
		}
		slots = append(slots, id)
	}
	return slots
}

// TestInBandTokensFitASIPMessage: at most 512 bytes, whatever the modem answers, in as many slots as there may be.
func TestInBandTokensFitASIPMessage(t *testing.T) {
	const budget = 512 // bytes
	for slots, measured := range map[int]int{1: 279, 2: 353, 3: 424, 4: 494} {
		provisioned, longest := fourSlots(t)[:slots], 0
		for _, r := range worst(t, provisioned) {
			a, err := agent.New(agent.Config{Reader: r, Vault: newVault(func(c *attest.Credential) { c.Slots = provisioned }), Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			made, err := a.Attest(context.Background(), agent.Request{Nonce: attest.NonceFrom401("challenge"), Registration: true, InBand: true})
			if err != nil {
				t.Fatal(err)
			}
			longest = max(longest, len(made.Token))
		}
		if longest != measured || longest > budget {
			t.Errorf("%d slots: the longest token has %d bytes; want %d, and at most %d", slots, longest, measured, budget)
		}
	}
}

// The longest Sig_structure that an Agent has signed fits one TPM2_Hash: a sequence of two commands more, with which a token of an
// approval with an epoch would take 10 instead of 8, is never needed (TestCommandsPerSignature of tpmvault).
func TestTheLongestTokenFitsOneHash(t *testing.T) {
	const maxDigestBuffer, measured = 1024, 745 // bytes; the former of every PC Client TPM
	slots, longest := fourSlots(t), 0
	for _, r := range worst(t, slots) {
		v := measuringVault{newVault(func(c *attest.Credential) { c.Slots = slots }), &longest}
		attestWith(t, r, v, agent.Request{Nonce: attest.Nonce(make([]byte, 64)), Registration: true, Subscriber: true})
	}
	if longest != measured || longest > maxDigestBuffer {
		t.Errorf("the longest token signs %d bytes; want %d, which agent/README.md says too, and at most %d", longest, measured, maxDigestBuffer)
	}
}
