package testbench

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"imei-attest/attest"
	"imei-attest/testbench/registrar"
)

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

// Judge says why the verdict is not what the lie demands; nil if it is.
func (l *Lie) Judge(o *Outcome) error {
	v, e := &o.Verdict, l.want
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
