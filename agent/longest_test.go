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

// The longest Sig_structure that an Agent has signed fits one TPM2_Hash: a sequence of two commands more, with which a token of an
// approval with an epoch would take 10 instead of 8, is never needed (TestCommandsPerSignature of tpmvault).
func TestTheLongestTokenFitsOneHash(t *testing.T) {
	const maxDigestBuffer, measured = 1024, 613 // bytes; the former of every PC Client TPM
	var slots []imei.IMEI
	for _, body := range []string{"49015420999996", "49015420999997", "49015420999998", "49015420999999"} {
		id, err := imei.FromBody(body)
		if err != nil {
			t.Fatal(err)
		}
		slots = append(slots, id)
	}
	text := strings.Repeat("x", 40) // longer than a claim takes
	all := modem.MethodVendor<<1 - 1
	longest := 0
	for _, slot := range []modem.Slot{
		{IMEI: slots[0], SVN: "99", Methods: all, Form: imei.FormWrongCheckDigit},
		{Word: string(imei.WordNotIMEI), Text: text[:32], SVN: "99", Methods: all},
		{Word: text, SVN: "99", Methods: all},
	} {
		r := reading{Reading: modem.Reading{Manufacturer: text, Model: text, Revision: text, RestartSeen: true,
			Agreement: modem.AgreementConflict, LastAnswer: time.Now().Add(-23 * time.Hour)}}
		for i := range attest.MaxSlots {
			slot.Number = i + 1
			r.Slots = append(r.Slots, slot)
		}
		v := measuringVault{newVault(func(c *attest.Credential) { c.Slots = slots }), &longest}
		attestWith(t, r, v, agent.Request{Nonce: attest.Nonce(make([]byte, 64)), Registration: true})
	}
	if longest != measured || longest > maxDigestBuffer {
		t.Errorf("the longest token signs %d bytes; want %d, which agent/README.md says too, and at most %d", longest, measured, maxDigestBuffer)
	}
}
