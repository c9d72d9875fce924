package testbench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/testbench/registrar"
	"imei-attest/verifier"
	"imei-attest/verifier/policy"
)

// Registration is one of a new device with IMS, by hand: where, by which client, and how it lies.
type Registration struct {
	Front Front
	// Class of the client, 1 to 3: 2.1, 2.2 and 2.3 of the 3GPP discussion paper. One of class 2.1 reaches no USIM.
	Class uint8
	Lie   string // the name of one of [Lies], empty for none
}

// Outcome is what came of a registration.
type Outcome struct {
	Answer     *registrar.Response // to the UE
	Server     int                 // what the SIP application server answered to the S-CSCF; 0 where there is none
	TokenBytes int                 // 0 when no token was sent
	Verdict    verifier.Verdict
	Equipment  *Equipment // what the access network was told then; nil where it does not ask
	Problem    string     // what is not as it must be, empty if all is
}

// registering is a registration under way.
type registering struct {
	w     *World
	d     *Device // whose IMEI registers
	see   registrar.Observer
	shown string       // in +sip.instance
	inNAS imei.IMEI    // what the modem shows the access network
	vault agent.Vault  // that signs
	nonce attest.Nonce // that the token answers; nil for the one of its challenge
	mute  bool         // no token is sent
}

// Register lets a new device register under the policy that enforces, and shows each message. The verifier knows the device from an
// attestation of its own.
func (w *World) Register(ctx context.Context, r Registration, see registrar.Observer) (out *Outcome, err error) {
	lie, err := LieNamed(r.Lie)
	if err != nil {
		return nil, err
	}
	enforce, err := shippedPolicy(policy.Enforce)
	if err != nil {
		return nil, err
	}
	w.judge.SetPolicy(enforce)
	w.class = r.Class
	d, err := w.NewDevice(ctx, "registering", w.newIMEI())
	if err != nil {
		return nil, err
	}
	who := registrar.NewSubscriber("001010000000017")
	who.ByPassword = r.Class == 1
	home, err := w.openHome(ctx, r.Front, who, see)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, home.close()) }()
	if err := w.introduce(ctx, d, see); err != nil {
		return nil, err
	}
	going := &registering{w: w, d: d, see: see, shown: registrar.InstanceID(d.IMEI), inNAS: d.IMEI, vault: d.Vault}
	if err := lie.tell(ctx, going); err != nil {
		return nil, err
	}
	if out, err = going.run(ctx, home, who); err != nil {
		return nil, err
	}
	if r.Lie == "" {
		lie.want = w.expects(r.Class, who.ByPassword)
	}
	if err := errors.Join(lie.Judge(out), home.obeys(out), w.expectsEquipment(r, out.Equipment)); err != nil {
		out.Problem = err.Error()
	}
	return out, nil
}

func shippedPolicy(name string) (*verifier.Policy, error) {
	text, _ := policy.Shipped(name)
	p, _, err := policy.Parse(text, time.Now())
	return p, err
}

// introduce lets the device attest by itself, so that the verifier has its Credential: that does not fit a REGISTER.
func (w *World) introduce(ctx context.Context, d *Device, see registrar.Observer) error {
	session, err := w.Transport.NewSession(ctx)
	if err != nil {
		return err
	}
	token, err := d.Attest(ctx, session.Nonce)
	if err != nil {
		return err
	}
	verdict, err := w.Transport.Submit(ctx, session, token, "")
	if err == nil {
		see.See("agent", "verifier", fmt.Sprintf("POST session: a token with the Credential, %d bytes", len(token)))
		see.See("verifier", "agent", "200 "+verdict.Status.String())
	}
	return err
}

// run is the common course: challenge, attest, register.
func (r *registering) run(ctx context.Context, h *home, who registrar.Subscriber) (*Outcome, error) {
	ue, err := registrar.NewUE(ctx, h.network, h.proxy, who, r.shown, r.see)
	if err != nil {
		return nil, err
	}
	defer ue.Close()
	ue.Next = h.next
	challenge, err := ue.Start(ctx)
	if err != nil {
		return nil, err
	}
	r.w.forgetDecisions()
	token, response, err := r.answer(ctx, h, ue, challenge)
	if err != nil {
		return nil, err
	}
	out := &Outcome{Answer: response, TokenBytes: len(token)}
	if out.Verdict, err = h.verdict(ctx); err == nil {
		out.Server, err = h.server(ctx)
	}
	if err == nil && h.nas != nil {
		out.Equipment, err = h.nas(ctx, r)
	}
	return out, err
}

// answer answers the challenge, and those that come anew before the verifier is asked.
func (r *registering) answer(ctx context.Context, h *home, ue *registrar.UE, c *registrar.Challenge) (token []byte, response *registrar.Response, err error) {
	for {
		if token, err = r.attest(ctx, c); err != nil {
			return nil, nil, err
		}
		var body registrar.Body
		if token != nil {
			body = registrar.Body{Type: attest.EvidenceMediaType, Content: token}
		}
		if response, err = ue.Register(ctx, c, body); err != nil || response.Code != http.StatusUnauthorized || len(r.w.decided) > 0 {
			return token, response, err
		}
		if c, err = ue.TakeIn(ctx, response); err != nil {
			return nil, nil, err
		}
	}
}

// attest is the agent's part. A client that reaches the phone's registration function has its challenge answered; another gets what anybody
// gets who asks the agent, a token for a nonce of the verifier.
func (r *registering) attest(ctx context.Context, c *registrar.Challenge) ([]byte, error) {
	if r.mute {
		return nil, nil
	}
	request := agent.Request{Nonce: r.nonce, Registration: true}
	asked := "a token for a nonce of the verifier"
	switch {
	case strings.HasPrefix(c.Algorithm, "AKA"):
		request.InBand, asked = true, "a token for the nonce of the 401"
		if r.nonce == nil {
			request.Nonce = attest.NonceFrom401(c.Nonce)
		}
	case r.nonce == nil:
		var err error
		if request.Nonce, err = r.w.Nonce(ctx); err != nil {
			return nil, err
		}
	}
	r.see.See("UE", "agent", asked)
	a, err := r.d.answer(ctx, r.vault, request)
	if err != nil {
		return nil, err
	}
	r.see.See("agent", "UE", fmt.Sprintf("a token of %d bytes", len(a.Token)), "provisioned "+a.Provisioned[0].Digits(), "the modem says "+saidBy(a))
	return a.Token, nil
}

func saidBy(a *agent.Attestation) string {
	if slots := a.Reading.Slots; len(slots) > 0 && !slots[0].IMEI.IsZero() {
		return slots[0].IMEI.Digits()
	}
	return "no IMEI"
}
