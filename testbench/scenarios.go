package testbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmtest"
	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// Made-up identities: no person's device has them.
var (
	otherIMEI   = mustIMEI("356938035643809")
	secondIMEI  = mustIMEI("868719076603444")
	serialNoise = "2623CKLQ0001234" // a module serial of 15 letters and digits
)

// newIMEI is made up for one more device: the scenarios do not share one, as two devices in the field do not.
func (w *World) newIMEI() imei.IMEI {
	id, err := imei.FromBody(fmt.Sprintf("49015420%06d", 323751+w.serials))
	if err != nil {
		panic(err) // 14 digits, not all alike
	}
	return id
}

func mustIMEI(digits string) imei.IMEI {
	id, err := imei.Parse(digits)
	if err != nil {
		panic(err) // a constant of this file
	}
	return id
}

// Scenario is one act of the demonstration: what happens, and what the verifier must make of it.
type Scenario struct {
	Name   string
	Status attest.Status
	// Reasons: the verdict must carry one of them; empty where no verdict is expected.
	Reasons []attest.Reason
	// NeedsTPM: it shows what a TPM does, and says nothing without one.
	NeedsTPM bool
	// VaultRefuses: there must be no token, because the vault does not sign.
	VaultRefuses bool
	Play         func(ctx context.Context, w *World) (*Act, error)
}

// Act is what came of a scenario.
type Act struct {
	Start      time.Time // when the device was asked, its making left out
	Token      []byte    // nil when none was made
	Verdict    *Verdict
	VaultError error
}

// Scenarios returns the demonstration for a kind of vault: without a TPM nothing is affirmed.
func Scenarios(kind VaultKind) []Scenario {
	genuine := Scenario{Name: "genuine", Status: attest.StatusAffirming, Reasons: []attest.Reason{attest.ReasonIMEIConsistent}, Play: playGenuine}
	if kind == VaultSoftware {
		genuine.Status, genuine.Reasons = attest.StatusWarning, []attest.Reason{attest.ReasonSoftwareVault}
	}
	one := func(r ...attest.Reason) []attest.Reason { return r }
	return []Scenario{
		genuine,
		{Name: "reprogrammed modem, registration shows the new IMEI", Status: attest.StatusContraindicated, Reasons: one(attest.ReasonIMEIReprogrammed), Play: playReprogrammed},
		{Name: "good device, another IMEI in the instance-id", Status: attest.StatusContraindicated, Reasons: one(attest.ReasonRegistrationSpoofed), Play: playSpoofed},
		{Name: "replayed token", Status: attest.StatusContraindicated, Reasons: one(attest.ReasonNonceReused), Play: playReplay},
		{Name: "modem with blank IMEI", Status: attest.StatusContraindicated, Reasons: one(attest.ReasonIMEIBlank), Play: playModem("blank", "")},
		{Name: "modem answering 15 letters and digits", Status: attest.StatusWarning, Reasons: one(attest.ReasonIMEIUnreadable), Play: playModem("letters", serialNoise)},
		{Name: "credential copied to a second TPM (lying agent)", Status: attest.StatusContraindicated, Reasons: one(attest.ReasonSignatureInvalid, attest.ReasonKeyNameMismatch), NeedsTPM: true, Play: playCopied},
		{Name: "boot state changed", Status: attest.StatusNone, NeedsTPM: true, VaultRefuses: true, Play: playBootChanged},
		{Name: "software vault", Status: attest.StatusWarning, Reasons: one(attest.ReasonSoftwareVault), Play: playSoftware},
		{Name: "emergency registration", Status: attest.StatusNone, Reasons: one(attest.ReasonEmergency), Play: playEmergency},
	}
}

// Judge says why an act is not what its scenario demands; nil if it is.
func (s *Scenario) Judge(a *Act) error {
	switch {
	case s.VaultRefuses && !errors.Is(a.VaultError, tpmvault.ErrBootState):
		return fmt.Errorf("the vault should have refused because of the boot state, but: %w", cmpError(a.VaultError))
	case s.VaultRefuses:
		return nil
	case a.VaultError != nil:
		return fmt.Errorf("the vault refused: %w", a.VaultError)
	case a.Verdict.Status != s.Status:
		return fmt.Errorf("status %s, expected %s", a.Verdict.Status, s.Status)
	}
	for _, r := range s.Reasons {
		if slices.Contains(a.Verdict.Reasons, r) {
			return nil
		}
	}
	return fmt.Errorf("reasons %v, expected one of %v", a.Verdict.Reasons, s.Reasons)
}

func cmpError(err error) error {
	if err == nil {
		return errors.New("it signed")
	}
	return err
}

// shows is a registration that shows an IMEI.
func shows(id imei.IMEI) verifier.Registration {
	return verifier.Registration{InstanceID: "<" + id.URN() + ">", Front: verifier.FrontHTTP}
}

// attestAndAsk is the common course: challenge, attest, register.
func (w *World) attestAndAsk(ctx context.Context, d *Device, registration verifier.Registration) (*Act, error) {
	start := time.Now()
	nonce, err := w.Nonce(ctx)
	if err != nil {
		return nil, err
	}
	token, err := d.Attest(ctx, nonce)
	if err != nil {
		return nil, err
	}
	verdict, err := w.Ask(ctx, token, registration)
	return &Act{Start: start, Token: token, Verdict: verdict}, err
}

func playGenuine(ctx context.Context, w *World) (*Act, error) {
	d, err := w.NewDevice(ctx, "genuine", w.newIMEI())
	if err != nil {
		return nil, err
	}
	return w.attestAndAsk(ctx, d, shows(d.IMEI))
}

func playReprogrammed(ctx context.Context, w *World) (*Act, error) {
	d, err := w.NewDevice(ctx, "reprogrammed", w.newIMEI())
	if err != nil {
		return nil, err
	}
	d.Modem.SetIMEI(otherIMEI.Digits())
	return w.attestAndAsk(ctx, d, shows(otherIMEI))
}

func playSpoofed(ctx context.Context, w *World) (*Act, error) {
	d, err := w.NewDevice(ctx, "spoofed", w.newIMEI())
	if err != nil {
		return nil, err
	}
	return w.attestAndAsk(ctx, d, shows(otherIMEI))
}

// playReplay presents an honest device's token a second time, for a registration of somebody else's.
func playReplay(ctx context.Context, w *World) (*Act, error) {
	d, err := w.NewDevice(ctx, "replayed", w.newIMEI())
	if err != nil {
		return nil, err
	}
	act, err := w.attestAndAsk(ctx, d, shows(d.IMEI))
	if err != nil {
		return nil, err
	}
	stolen := shows(d.IMEI)
	stolen.IMPI = "thief@ims.mnc001.mcc001.3gppnetwork.org"
	act.Verdict, err = w.Ask(ctx, act.Token, stolen)
	return act, err
}

func playModem(name, answer string) func(context.Context, *World) (*Act, error) {
	return func(ctx context.Context, w *World) (*Act, error) {
		d, err := w.NewDevice(ctx, name, w.newIMEI())
		if err != nil {
			return nil, err
		}
		d.Modem.SetIMEI(answer)
		return w.attestAndAsk(ctx, d, shows(d.IMEI))
	}
}

// playCopied: the thief's device has a TPM of its own, provisioned by the same manufacturer, and a modem that tells the
// victim's IMEI. Its agent lies about key and Credential.
func playCopied(ctx context.Context, w *World) (*Act, error) {
	victim, err := w.NewDevice(ctx, "victim", w.newIMEI())
	if err != nil {
		return nil, err
	}
	thief, err := w.NewDevice(ctx, "thief", secondIMEI)
	if err != nil {
		return nil, err
	}
	thief.Modem.SetIMEI(victim.IMEI.Digits())
	if thief.Vault, err = newLiarVault(ctx, thief.Vault, victim.Vault); err != nil {
		return nil, err
	}
	return w.attestAndAsk(ctx, thief, shows(victim.IMEI))
}

// playBootChanged measures something unapproved into a register, as another boot loader would.
func playBootChanged(ctx context.Context, w *World) (*Act, error) {
	const bootLoader = 4
	d, err := w.NewDevice(ctx, "boot-changed", w.newIMEI())
	if err != nil {
		return nil, err
	}
	if err := tpmtest.PCRExtend(d.TPM, bootLoader, [32]byte{1}); err != nil {
		return nil, err
	}
	start := time.Now()
	nonce, err := w.Nonce(ctx)
	if err != nil {
		return nil, err
	}
	token, err := d.Attest(ctx, nonce)
	return &Act{Start: start, Token: token, VaultError: err}, nil
}

func playSoftware(ctx context.Context, w *World) (*Act, error) {
	d, err := w.NewDeviceWith(ctx, "software", w.newIMEI(), VaultSoftware)
	if err != nil {
		return nil, err
	}
	return w.attestAndAsk(ctx, d, shows(d.IMEI))
}

func playEmergency(ctx context.Context, w *World) (*Act, error) {
	registration := shows(otherIMEI)
	registration.Emergency = true
	start := time.Now()
	verdict, err := w.Ask(ctx, nil, registration)
	return &Act{Start: start, Verdict: verdict}, err
}
