package agent_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imei-attest/agent"
	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/modem"
	"imei-attest/modem/modemtest"
)

// vault is a working vault in memory.
type vault struct {
	credential []byte
	key        *ecdsa.PrivateKey
	described  *ecdsa.PublicKey
	err        error
}

func newVault(change func(*attest.Credential)) *vault {
	c := attesttest.Credential()
	if change != nil {
		change(&c)
	}
	return &vault{credential: attesttest.SignedCredential(c), key: attesttest.DeviceKey, described: &attesttest.DeviceKey.PublicKey}
}

var _ agent.Vault = (*vault)(nil)

func (v *vault) Credential(context.Context) ([]byte, error)         { return v.credential, v.err }
func (v *vault) Signer(context.Context) attest.Signer               { return attesttest.Signer(v.key) }
func (v *vault) Evidence(context.Context, [32]byte) ([]byte, error) { return nil, nil }
func (v *vault) Describe() agent.Description                        { return agent.Description{Key: v.described} }
func (v *vault) Close() error                                       { return nil }

// reading is a reader that has read already.
type reading struct {
	modem.Reading
	err error
}

func (r reading) Read(context.Context) (modem.Reading, error) { return r.Reading, r.err }

func read(slots ...modem.Slot) reading {
	return reading{Reading: modem.Reading{Slots: slots, Agreement: modem.AgreementFull, LastAnswer: time.Now()}}
}

func attestWith(t *testing.T, r agent.Reader, v agent.Vault, request agent.Request) *attest.Evidence {
	t.Helper()
	a, err := agent.New(agent.Config{Reader: r, Vault: v, Now: func() time.Time { return attesttest.Now }})
	if err != nil {
		t.Fatal(err)
	}
	if request.Nonce == nil {
		request.Nonce = attesttest.Nonce()
	}
	made, err := a.Attest(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	e, err := attest.DecodeEvidence(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Verify(&attesttest.DeviceKey.PublicKey); err != nil {
		t.Error(err)
	}
	return e
}

var own = attesttest.MustIMEI(attesttest.IMEI1)

func TestObservedSaysWhatTheModemAnswered(t *testing.T) {
	for _, tt := range []struct {
		name string
		slot modem.Slot
		want attest.Observed
		r    attest.Measurement
	}{
		{"an IMEI", modem.Slot{Number: 1, IMEI: own, SVN: "07", Methods: modem.MethodSNT1 | modem.MethodSNT2},
			attest.Observed{Slot: 1, IMEI: own, SVN: "07", Methods: 3}, attest.MeasuredEqual},
		{"the spare digit", modem.Slot{Number: 1, IMEI: own, Form: imei.FormSpareDigit},
			attest.Observed{Slot: 1, IMEI: own, Flags: attest.FlagSpareDigit}, attest.MeasuredEqual},
		{"a wrong check digit", modem.Slot{Number: 1, IMEI: own, Form: imei.FormWrongCheckDigit, Word: "luhn", Text: "490154203237519"},
			attest.Observed{Slot: 1, IMEI: own, Flags: attest.FlagCheckDigitWrong}, attest.MeasuredEqual},
		{"a module serial", modem.Slot{Number: 1, Word: "not_imei", Text: "2623CKLQ0001234"},
			attest.Observed{Slot: 1, Text: "2623CKLQ0001234"}, attest.MeasuredNotRun},
		{"nothing in the memory", modem.Slot{Number: 1, Word: "blank_imei"}, attest.Observed{Slot: 1}, attest.MeasuredNotRun},
		{"an IMEISV", modem.Slot{Number: 1, Word: "is_imeisv", Text: "4901542032375101", SVN: "01"},
			attest.Observed{Slot: 1, Text: "4901542032375101", SVN: "01"}, attest.MeasuredNotRun},
		{"no answer", modem.Slot{Number: 1, Word: "timeout"}, attest.Observed{Slot: 1, Error: "timeout"}, attest.MeasuredNotRun},
		{"a long error", modem.Slot{Number: 1, Word: "cme:" + strings.Repeat("x", 60)},
			attest.Observed{Slot: 1, Error: "cme:" + strings.Repeat("x", 28)}, attest.MeasuredNotRun},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := attestWith(t, read(tt.slot), newVault(nil), agent.Request{}).Claims
			if got := fmt.Sprintf("%+v", c.Observed); got != fmt.Sprintf("%+v", []attest.Observed{tt.want}) {
				t.Errorf("observed %s, want %+v", got, tt.want)
			}
			if len(c.Measurements) != 1 || c.Measurements[0] != tt.r {
				t.Errorf("measurements %v, want %v", c.Measurements, tt.r)
			}
		})
	}
}

func TestFlagsOfTheWholeReading(t *testing.T) {
	r := read(modem.Slot{Number: 1, IMEI: own})
	r.RestartSeen, r.Agreement = true, modem.AgreementConflict
	c := attestWith(t, r, newVault(nil), agent.Request{}).Claims
	if got, want := c.Observed[0].Flags, attest.FlagRestartSeen|attest.FlagSourcesDisagree; got != want {
		t.Errorf("flags %b, want %b", got, want)
	}
}

func TestAModemThatAnswersNothingHasNoReadingAge(t *testing.T) {
	r := reading{Reading: modem.Reading{Slots: []modem.Slot{{Number: 1, Word: "timeout"}}}}
	if age := attestWith(t, r, newVault(nil), agent.Request{}).Claims.ReadingAge; age != 0 {
		t.Errorf("reading age %v", age)
	}
}

func TestReadingAgeCountsFromTheLastAnswer(t *testing.T) {
	for _, tt := range []struct{ old, want time.Duration }{
		{0, 0},
		{3 * time.Second, 3 * time.Second},
		{2*time.Minute + 1500*time.Microsecond, 2*time.Minute + time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) { // whose clock stands still
			r := read(modem.Slot{Number: 1, IMEI: own})
			r.LastAnswer = time.Now().Add(-tt.old)
			if age := attestWith(t, r, newVault(nil), agent.Request{}).Claims.ReadingAge; age != tt.want {
				t.Errorf("a reading of %v ago has the age %v, want %v", tt.old, age, tt.want)
			}
		})
	}
}

func TestASlotNobodyAskedForIsNotObserved(t *testing.T) {
	v := newVault(func(c *attest.Credential) { c.Slots = append(c.Slots, attesttest.MustIMEI(attesttest.IMEI2)) })
	c := attestWith(t, read(modem.Slot{Number: 1, IMEI: own}), v, agent.Request{}).Claims
	if len(c.Observed) != 2 || c.Observed[1].Error == "" || c.Measurements[1] != attest.MeasuredNotRun {
		t.Errorf("observed %+v, measurements %v", c.Observed, c.Measurements)
	}
}

func TestSlotsAreComparedOneByOne(t *testing.T) {
	imei2, other := attesttest.MustIMEI(attesttest.IMEI2), attesttest.MustIMEI(attesttest.OtherIMEI)
	const equal, different, notRun, noRef = attest.MeasuredEqual, attest.MeasuredDifferent, attest.MeasuredNotRun, attest.MeasuredNoRef
	slot := func(id imei.IMEI, word string) modem.Slot { return modem.Slot{IMEI: id, Word: word} }
	for _, tt := range []struct {
		name        string
		provisioned []imei.IMEI
		slots       []modem.Slot
		want        []attest.Measurement
	}{
		{"both are the provisioned ones", []imei.IMEI{own, imei2}, []modem.Slot{slot(own, ""), slot(imei2, "")}, []attest.Measurement{equal, equal}},
		{"they changed places", []imei.IMEI{own, imei2}, []modem.Slot{slot(imei2, ""), slot(own, "")}, []attest.Measurement{different, different}},
		{"the second is another", []imei.IMEI{own, imei2}, []modem.Slot{slot(own, ""), slot(other, "")}, []attest.Measurement{equal, different}},
		{"the second is empty", []imei.IMEI{own, imei2}, []modem.Slot{slot(own, ""), slot(imei.IMEI{}, "blank_imei")}, []attest.Measurement{equal, notRun}},
		{"a slot beyond the provisioned ones tells an IMEI", []imei.IMEI{own}, []modem.Slot{slot(own, ""), slot(other, "")}, []attest.Measurement{equal, noRef}},
		{"a slot beyond the provisioned ones is empty", []imei.IMEI{own}, []modem.Slot{slot(own, ""), slot(imei.IMEI{}, "blank_imei")}, []attest.Measurement{equal}},
		{"only a slot beyond the provisioned ones tells one", []imei.IMEI{own}, []modem.Slot{slot(imei.IMEI{}, "blank_imei"), slot(own, "")}, []attest.Measurement{notRun, noRef}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVault(func(c *attest.Credential) { c.Slots = tt.provisioned })
			c := attestWith(t, read(tt.slots...), v, agent.Request{}).Claims
			if !slices.Equal(c.Measurements, tt.want) || len(c.Observed) != len(tt.want) {
				t.Errorf("measurements %v of %+v, want %v", c.Measurements, c.Observed, tt.want)
			}
		})
	}
}

func TestInBandLeavesOutWhatDoesNotFit(t *testing.T) {
	r := read(modem.Slot{Number: 1, IMEI: own})
	r.Manufacturer, r.Model = strings.Repeat("m", 60), "M1"
	full := attestWith(t, r, newVault(nil), agent.Request{Registration: true})
	if full.Credential == nil || full.Claims.Modem.Manufacturer != strings.Repeat("m", 32) || !full.Claims.Registration || !full.Claims.IssuedAt.Equal(attesttest.Now) {
		t.Errorf("out-of-band evidence lacks something: %+v", full.Claims)
	}
	inBand := attestWith(t, r, newVault(nil), agent.Request{InBand: true})
	if inBand.Credential != nil || inBand.Claims.Modem != (attest.ModemInfo{}) {
		t.Errorf("in-band evidence carries too much: %+v", inBand.Claims)
	}
}

func TestATextIsNotCutWithinACharacter(t *testing.T) {
	r := read(modem.Slot{Number: 1, Word: "cme:" + strings.Repeat("e", 27) + "é"})
	r.Manufacturer = strings.Repeat("m", 31) + "é"
	c := attestWith(t, r, newVault(nil), agent.Request{}).Claims
	if c.Modem.Manufacturer != strings.Repeat("m", 31) || c.Observed[0].Error != "cme:"+strings.Repeat("e", 27) {
		t.Errorf("%+v, %+v", c.Modem, c.Observed)
	}
}

func TestAttestRefuses(t *testing.T) {
	stranger := newVault(nil)
	stranger.described = &attesttest.Key("stranger").PublicKey
	keyless := newVault(nil)
	keyless.described = nil
	damaged := newVault(nil)
	damaged.credential = damaged.credential[:40]
	empty := newVault(nil)
	empty.err = agent.ErrNotProvisioned
	good := read(modem.Slot{Number: 1, IMEI: own})
	for _, tt := range []struct {
		name   string
		vault  agent.Vault
		reader agent.Reader
		nonce  attest.Nonce
		want   error
		text   string
	}{
		{"a vault whose key is not the credential's", stranger, good, attesttest.Nonce(), agent.ErrKeyMismatch, ""},
		{"a vault without a key", keyless, good, attesttest.Nonce(), agent.ErrKeyMismatch, ""},
		{"a damaged credential", damaged, good, attesttest.Nonce(), nil, "provision the device again"},
		{"an empty vault", empty, good, attesttest.Nonce(), agent.ErrNotProvisioned, ""},
		{"a modem that is gone", newVault(nil), reading{err: modem.ErrHangup}, attesttest.Nonce(), modem.ErrHangup, ""},
		{"a nonce that is too short", newVault(nil), good, attest.Nonce("1234567"), nil, "eat_nonce"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := agent.New(agent.Config{Reader: tt.reader, Vault: tt.vault})
			if err != nil {
				t.Fatal(err)
			}
			made, err := a.Attest(context.Background(), agent.Request{Nonce: tt.nonce})
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v %q", err, tt.want, tt.text)
			}
			if made != nil {
				t.Error("there is an attestation beside the error")
			}
		})
	}
	if _, err := agent.New(agent.Config{}); err == nil {
		t.Error("an agent without modem and vault was made")
	}
}

// TestHostileModemNeverMakesUsClaimAnotherIMEI drives the real reader over the emulator.
func TestHostileModemNeverMakesUsClaimAnotherIMEI(t *testing.T) {
	for _, fault := range []modemtest.Fault{
		{Kind: modemtest.FaultEndless, Command: "*", Text: "\r\n" + attesttest.OtherIMEI + "\r\n"},
		{Kind: modemtest.FaultGarbage, Command: "*", Text: "\r\n+CREG: " + attesttest.OtherIMEI + "\r\n"},
		{Kind: modemtest.FaultDropOK, Command: "+CGSN=1"},
		{Kind: modemtest.FaultSilent, Command: "*"},
		{Kind: modemtest.FaultStale, Command: "+CGSN=1", Delay: 60 * time.Millisecond, Text: "\r\n+CGSN: \"" + attesttest.OtherIMEI + "\"\r\n\r\nOK\r\n"},
	} {
		synctest.Test(t, func(t *testing.T) { // whose time stands still while anybody works
			emulator, err := modemtest.New(modemtest.Config{IMEI: attesttest.IMEI1, Faults: []modemtest.Fault{fault}})
			if err != nil {
				t.Fatal(err)
			}
			port := emulator.Pipe()
			reader := modem.NewReader(port, modem.Config{CommandTimeout: 50 * time.Millisecond, TotalTimeout: 500 * time.Millisecond})
			c := attestWith(t, reader, newVault(nil), agent.Request{}).Claims
			if m := c.Observed[0].IMEI; !m.IsZero() && m != own {
				t.Errorf("fault %+v: observed %v", fault, m)
			}
			if err := port.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
