package testbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// Lie is a way in which a device is not what its registration says.
type Lie struct {
	Name, What string
	want       expectation
	tell       func(context.Context, *registering) error
}

// expectation is the least that the verifier must find.
type expectation struct {
	status attest.Status
	reason attest.Reason
	tier   attest.Tier // 0 where it says nothing
}

// Lies are what a device can be made to do.
func Lies() []Lie {
	contraindicated := func(r attest.Reason) expectation { return expectation{status: attest.StatusContraindicated, reason: r} }
	warning := func(r attest.Reason) expectation { return expectation{status: attest.StatusWarning, reason: r} }
	return []Lie{
		{"spoofed", "the instance-id shows another phone's IMEI", contraindicated(attest.ReasonRegistrationSpoofed), tellSpoofed},
		{"reprogrammed", "the modem was given another IMEI, which the instance-id shows", contraindicated(attest.ReasonIMEIReprogrammed), tellReprogrammed},
		{"blank", "the modem's IMEI was erased", contraindicated(attest.ReasonIMEIBlank), tellModem("")},
		{"unreadable", "the modem answers 15 letters and digits", warning(attest.ReasonIMEIUnreadable), tellModem(serialNoise)},
		{"missing", "the IMEI of a device that attests, without evidence", warning(attest.ReasonEvidenceMissing), tellMissing},
		{"replayed", "a token of this device that answers an earlier challenge", warning(attest.ReasonNonceExpired), tellReplayed},
		{"copied", "a token with this device's credential, signed by another device", contraindicated(attest.ReasonSignatureInvalid), tellCopied},
	}
}

// LieNamed finds a lie; the name may be empty for the truth.
func LieNamed(name string) (Lie, error) {
	if name == "" {
		return Lie{What: "it tells the truth", tell: func(context.Context, *registering) error { return nil }}, nil
	}
	var names []string
	for _, l := range Lies() {
		if l.Name == name {
			return l, nil
		}
		names = append(names, l.Name)
	}
	return Lie{}, fmt.Errorf("there is no lie %q: want one of %s", name, strings.Join(names, ", "))
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

func tellSpoofed(_ context.Context, r *registering) error {
	r.shown = registrar.InstanceID(otherIMEI)
	return nil
}

func tellReprogrammed(_ context.Context, r *registering) error {
	r.shown, r.inNAS = registrar.InstanceID(otherIMEI), otherIMEI
	r.d.Modem.SetIMEI(otherIMEI.Digits())
	return nil
}

func tellModem(answer string) func(context.Context, *registering) error {
	return func(_ context.Context, r *registering) error {
		r.d.Modem.SetIMEI(answer)
		return nil
	}
}

func tellMissing(_ context.Context, r *registering) error {
	r.mute = true
	return nil
}

// tellReplayed takes a token for a challenge that nobody has open.
func tellReplayed(_ context.Context, r *registering) error {
	r.nonce = attest.NonceFrom401("an earlier challenge")
	return nil
}

func tellCopied(ctx context.Context, r *registering) (err error) {
	thief, err := r.w.NewDevice(ctx, "thief", secondIMEI)
	if err != nil {
		return err
	}
	r.vault, err = newLiarVault(ctx, thief.Vault, r.d.Vault)
	return err
}

// Register lets a new device register under the policy that enforces, and shows each message. The verifier knows the device from an
// attestation of its own.
func (w *World) Register(ctx context.Context, r Registration, see registrar.Observer) (*Outcome, error) {
	lie, err := LieNamed(r.Lie)
	if err != nil {
		return nil, err
	}
	enforce, err := shippedPolicy(policy.Enforce)
	if err != nil {
		return nil, err
	}
	w.judge.SetPolicy(enforce)
	w.Class = r.Class
	d, err := w.NewDevice(ctx, "registering", w.newIMEI())
	if err != nil {
		return nil, err
	}
	if err := w.introduce(ctx, d, see); err != nil {
		return nil, err
	}
	going := &registering{w: w, d: d, see: see, shown: registrar.InstanceID(d.IMEI), inNAS: d.IMEI, vault: d.Vault}
	if err := lie.tell(ctx, going); err != nil {
		return nil, err
	}
	who := registrar.NewSubscriber("001010000000017")
	who.ByPassword = r.Class == 1 || r.Front == FrontKamailio // which is a plain registrar
	home, err := w.openHome(ctx, r.Front, who, see)
	if err != nil {
		return nil, err
	}
	defer home.close()
	out, err := going.run(ctx, home, who)
	if err != nil {
		return nil, err
	}
	want := lie.want
	if r.Lie == "" {
		want = w.expects(r.Class, who.ByPassword)
	}
	if err := errors.Join(want.judge(out), home.obeys(out), w.expectsEquipment(r, out.Equipment)); err != nil {
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
	challenge, err := ue.Start(ctx)
	if err != nil {
		return nil, err
	}
	token, err := r.attest(ctx, challenge)
	if err != nil {
		return nil, err
	}
	var body registrar.Body
	if token != nil {
		body = registrar.Body{Type: attest.EvidenceMediaType, Content: token}
	}
	response, err := ue.Register(ctx, challenge, body)
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

// expects is what an honest device gets.
func (w *World) expects(class uint8, byPassword bool) expectation {
	want := expectation{attest.StatusAffirming, attest.ReasonIMEIConsistent, attest.T3}
	if class < 3 {
		want.tier = attest.T2
	}
	if w.Kind == VaultSoftware {
		want.status, want.reason = attest.StatusWarning, attest.ReasonSoftwareVault
	}
	if byPassword {
		want = expectation{attest.StatusWarning, attest.ReasonClientUnverified, attest.T1}
	}
	return want
}

func (e expectation) judge(o *Outcome) error {
	v := &o.Verdict
	switch {
	case v.Status() != e.status:
		return fmt.Errorf("status %s, expected %s", v.Status(), e.status)
	case !slices.Contains(v.Reasons(), e.reason):
		return fmt.Errorf("reasons %v, expected %s", v.Reasons(), e.reason)
	case e.tier != 0 && v.Tier != e.tier:
		return fmt.Errorf("tier %s, expected %s", v.Tier, e.tier)
	}
	return nil
}
