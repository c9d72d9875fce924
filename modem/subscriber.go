package modem

import (
	"context"
	"strings"
)

// ownCard reads the IMSI of the card in a modem with one slot. With several it tells that of the card in use, and nobody knows which.
const ownCard = "AT+CIMI"

// ReadSubscribers is [Reader.Read], and asks for the IMSI of the card in each slot when the identity is known. A card that wants its
// PIN, one that is busy, none, and a modem of several slots whose profile has no form for it, leave the IMSI out and change nothing else.
func (r *Reader) ReadSubscribers(ctx context.Context) (Reading, error) { return r.read(ctx, true) }

// askSubscribers asks last, so that no late IMSI is taken for an identity.
func (p *pass) askSubscribers(ctx context.Context, reading *Reading) {
	for i, command := range p.cardForms(reading) {
		if command == "" || p.channel.lost || p.isOver(ctx) {
			continue
		}
		reading.Slots[i].IMSI = p.askIMSI(ctx, command)
	}
}

// cardForms are the commands for the slots in order; "" where none is known.
func (p *pass) cardForms(r *Reading) []string {
	isUnclear := p.mixedUp || p.unknown != "" || r.Agreement == AgreementConflict || r.LastAnswer.IsZero()
	switch forms := p.profile().Cards; {
	case isUnclear:
		return nil
	case len(forms) >= len(r.Slots):
		return forms[:len(r.Slots)]
	case len(r.Slots) == 1:
		return []string{ownCard}
	}
	return nil
}

// askIMSI believes an answer only if its echo or the model behind it proves whose it is. Whatever goes wrong, the identity is read already.
func (p *pass) askIMSI(ctx context.Context, command string) IMSI {
	a, late, err := p.channel.ask(ctx, command)
	if err != nil || late || a.Word != "" || p.isIdentity(a.IMSI) || !a.echoed && !p.isFenced(ctx) {
		return IMSI{}
	}
	return a.IMSI
}

// isFenced asks for the model once more: it must be what it was.
func (p *pass) isFenced(ctx context.Context) bool {
	a, late, err := p.channel.ask(ctx, modelCommand)
	return err == nil && !late && p.fence != nil && a.Word == p.fence.Word && a.Text == p.fence.Text
}

// isIdentity: a number that the modem told as its own is nobody's IMSI.
func (p *pass) isIdentity(i IMSI) bool {
	for _, a := range p.answers {
		if body := bodyOf(a).Body(); body != "" && strings.HasPrefix(i.digits, body) {
			return true
		}
	}
	return false
}
