package attest_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"

	"imei-attest/attest"
)

// vector builds a trust vector from entries and values.
func vector(pairs ...attest.Effect) (v attest.TrustVector) {
	for _, p := range pairs {
		v[p.Entry] = p.Value
	}
	return v
}

const (
	none   = attest.StatusNone
	affirm = attest.StatusAffirming
	warn   = attest.StatusWarning
	contra = attest.StatusContraindicated
)

// effects says for each reason what it does: to an empty submod, and to one that was affirmed before.
var effects = func() map[attest.Reason]struct {
	vector          attest.TrustVector
	alone, affirmed attest.Status
} {
	type line = struct {
		vector          attest.TrustVector
		alone, affirmed attest.Status
	}
	identity := func(v attest.Claim) attest.TrustVector {
		return vector(attest.Effect{Entry: attest.InstanceIdentity, Value: v})
	}
	remark, ask := line{alone: none, affirmed: affirm}, line{alone: none, affirmed: none}
	warning, refused := line{alone: warn, affirmed: warn}, line{alone: contra, affirmed: contra}
	stained := line{identity(96), contra, contra}
	entry := func(e attest.Entry, v attest.Claim, alone, affirmed attest.Status) line {
		return line{vector(attest.Effect{Entry: e, Value: v}), alone, affirmed}
	}
	var broken attest.TrustVector
	for e := range broken {
		broken[e] = 99
	}
	return map[attest.Reason]line{
		attest.ReasonIMEIConsistent: {identity(2), affirm, affirm}, attest.ReasonIMEIReprogrammed: stained, attest.ReasonIMEITampered: stained,
		attest.ReasonIMEIBlank: stained, attest.ReasonIMEIZero: stained, attest.ReasonIMEIRepeated: stained, attest.ReasonIMEITestRange: stained,
		attest.ReasonIMEIUnreadable: warning, attest.ReasonIMEIAmbiguous: warning, attest.ReasonIMEINotRead: ask, attest.ReasonIMEISpareDigit: remark, attest.ReasonIMEICheckDigit: remark,
		attest.ReasonSlotsSwapped: remark, attest.ReasonMeasresContradict: warning,

		attest.ReasonNotEndorsed: ask, attest.ReasonKeyUnknown: warning, attest.ReasonCredentialRevoked: stained, attest.ReasonKeyRevoked: stained,
		attest.ReasonCredentialInvalid: stained, attest.ReasonKeyNameMismatch: stained, attest.ReasonSignatureInvalid: {broken, contra, contra},
		attest.ReasonDuplicateKey: stained, attest.ReasonSuperseded: remark,

		attest.ReasonNonceReused: refused, attest.ReasonNonceExpired: ask, attest.ReasonUnexpectedEvidence: {identity(1), none, none},
		attest.ReasonEvidenceMissing: warning, attest.ReasonStale: warning, attest.ReasonStateRegressed: stained,
		attest.ReasonRollbackUnknown: warning, attest.ReasonTPMCleared: remark,

		attest.ReasonRegistrationSpoofed: refused, attest.ReasonNASIMSMismatch: warning, attest.ReasonSubscriberBound: remark,
		attest.ReasonSubscriberClaimed: remark, attest.ReasonSubscriberUnbound: warning, attest.ReasonSubscriberDiffers: warning,
		attest.ReasonDuplicateSubscriber: warning, attest.ReasonEmergency: ask, attest.ReasonUnbound: ask, attest.ReasonURNMalformed: ask,
		attest.ReasonURNNonconformant: remark, attest.ReasonClientUnverified: warning, attest.ReasonSenderMSC: remark,
		attest.ReasonListBlack: refused, attest.ReasonListGrey: warning, attest.ReasonListWhite: remark,

		attest.ReasonBootApproved:   entry(attest.Executables, 3, none, affirm),
		attest.ReasonBootUnmeasured: entry(attest.Executables, 32, warn, warn),
		attest.ReasonEmulatedVault:  entry(attest.Hardware, 32, warn, warn),
		attest.ReasonSoftwareVault:  {vector(attest.Effect{Entry: attest.StorageOpaque, Value: 32}, attest.Effect{Entry: attest.Hardware, Value: 32}), warn, warn},
		attest.ReasonHardwareVault:  {vector(attest.Effect{Entry: attest.StorageOpaque, Value: 2}, attest.Effect{Entry: attest.Hardware, Value: 2}), none, affirm},

		attest.ReasonFirmwareApproved:  entry(attest.Configuration, 2, none, affirm),
		attest.ReasonFirmwareUnlisted:  entry(attest.Configuration, 32, warn, warn),
		attest.ReasonFirmwareRevoked:   entry(attest.Configuration, 96, contra, contra),
		attest.ReasonFirmwareUnknown:   entry(attest.Configuration, 32, warn, warn),
		attest.ReasonTPMFirmwareDenied: entry(attest.Hardware, 32, warn, warn),

		attest.ReasonWeaknessOpen:       entry(attest.Configuration, 32, warn, warn),
		attest.ReasonWeaknessUnremedied: entry(attest.Configuration, 32, warn, warn),
		attest.ReasonWeaknessRemedied:   entry(attest.Configuration, 3, none, affirm),

		attest.ReasonNotJudged: ask,
	}
}()

func TestEffectOfEachReason(t *testing.T) {
	for _, r := range attest.Reasons() {
		want, listed := effects[r]
		if !listed {
			t.Errorf("%s: its effect is not listed here", r)
			continue
		}
		var alone, affirmed attest.Submod
		alone.Add(r)
		affirmed.Add(attest.ReasonIMEIConsistent, r)
		if alone.Vector != want.vector || alone.Status != want.alone {
			t.Errorf("%s alone: got %v %s, want %v %s", r, alone.Vector, alone.Status, want.vector, want.alone)
		}
		if affirmed.Status != want.affirmed {
			t.Errorf("%s beside imei-consistent: got %s, want %s", r, affirmed.Status, want.affirmed)
		}
	}
	if len(effects) != len(attest.Reasons()) {
		t.Errorf("%d effects for %d reasons", len(effects), len(attest.Reasons()))
	}
}

func TestEachReasonIsInTheTable(t *testing.T) {
	declared := reasonConstants(t)
	if listed := attest.Reasons(); !slices.Equal(declared, listed) {
		t.Errorf("declared %q,\nin the table %q", declared, listed)
	}
	for _, r := range declared {
		info := r.Info()
		if !strings.HasSuffix(info.Sentence, ".") || info.Clause == "" {
			t.Errorf("%s: sentence %q, clause %q", r, info.Sentence, info.Clause)
		}
	}
	if info := attest.Reason("new").Info(); info.Floor != attest.StatusNone || info.Sentence == "" {
		t.Errorf("an unknown reason: got %+v, want a sentence and the floor none", info)
	}
}

// The reason is given to every storage that is no TPM, a secure element too: its sentence must not call that a file, or no secure storage.
func TestSoftwareVaultSaysNothingUntrueOfASecureElement(t *testing.T) {
	sentence := attest.ReasonSoftwareVault.Info().Sentence
	for _, untrue := range []string{"file", "software", "secure"} {
		if strings.Contains(sentence, untrue) {
			t.Errorf("%q says %q, of storage of kind other, too", sentence, untrue)
		}
	}
}

// reasonConstants reads the codes of the constants of type Reason from the source.
func reasonConstants(t *testing.T) (codes []attest.Reason) {
	t.Helper()
	for _, file := range sourceFiles(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			name, _ := spec.Type.(*ast.Ident)
			lit, isLit := spec.Values[0].(*ast.BasicLit)
			if name != nil && name.Name == "Reason" && isLit && lit.Kind == token.STRING {
				codes = append(codes, attest.Reason(strings.Trim(lit.Value, `"`)))
			}
			return true
		})
	}
	slices.Sort(codes)
	return codes
}

func TestSubmodOnlyGetsWorse(t *testing.T) {
	all := attest.Reasons()
	for _, first := range all {
		for _, second := range all {
			var s, reversed attest.Submod
			s.Add(first)
			before := s.Status
			affirmed := s.Vector[attest.InstanceIdentity] != attest.ClaimNone
			s.Add(second)
			if affirmed && s.Status.Worse(before) != s.Status {
				t.Errorf("%s then %s: from %s to %s", first, second, before, s.Status)
			}
			reversed.Add(second, first)
			if s.Status != reversed.Status || s.Vector != reversed.Vector {
				t.Errorf("%s and %s: %v %s, in the other order %v %s", first, second, s.Vector, s.Status, reversed.Vector, reversed.Status)
			}
		}
	}
}

func TestWorseValueOfOneTierStays(t *testing.T) {
	for _, order := range [][]attest.Reason{
		{attest.ReasonIMEITampered, attest.ReasonSignatureInvalid}, {attest.ReasonSignatureInvalid, attest.ReasonIMEITampered},
	} {
		var s attest.Submod
		s.Add(order...)
		if got := s.Vector[attest.InstanceIdentity]; got != attest.ClaimCryptoFailed {
			t.Errorf("%v: instance-identity %d, want %d", order, got, attest.ClaimCryptoFailed)
		}
	}
}

func TestAffirmingNeedsInstanceIdentity(t *testing.T) {
	var s attest.Submod
	s.Add(attest.ReasonHardwareVault, attest.ReasonBootApproved, attest.ReasonSubscriberBound)
	if s.Status != attest.StatusNone {
		t.Errorf("without it: got %s, want none", s.Status)
	}
	s.Add(attest.ReasonIMEIConsistent)
	if s.Status != attest.StatusAffirming {
		t.Errorf("with it: got %s, want affirming", s.Status)
	}
	s.Add("unheard-of")
	if s.Status != attest.StatusNone {
		t.Errorf("with a reason that is not in the table: got %s, want none", s.Status)
	}
	s.Add(attest.ReasonIMEIConsistent, attest.ReasonIMEIConsistent)
	if len(s.Reasons) != 5 || !s.Has(attest.ReasonBootApproved) || s.Has(attest.ReasonStale) {
		t.Errorf("got the reasons %v", s.Reasons)
	}
}

func TestResultStatusIsTheWorstOfItsSubmods(t *testing.T) {
	sub := func(name string, reasons ...attest.Reason) attest.Submod {
		s := attest.Submod{Name: name}
		s.Add(reasons...)
		return s
	}
	good := sub("slot1", attest.ReasonIMEIConsistent)
	for _, tt := range []struct {
		name    string
		submods []attest.Submod
		want    attest.Status
	}{
		{"no submod", nil, none},
		{"the zero submod", []attest.Submod{{}}, none},
		{"one good slot", []attest.Submod{good}, affirm},
		{"a good slot and a silent registration", []attest.Submod{good, sub("registration")}, none},
		{"a good slot and a warning", []attest.Submod{good, sub("registration", attest.ReasonSubscriberUnbound)}, warn},
		{"a good slot and a spoofed registration", []attest.Submod{good, sub("registration", attest.ReasonRegistrationSpoofed)}, contra},
		{"a warning and a bad slot", []attest.Submod{sub("slot1", attest.ReasonStale), sub("slot2", attest.ReasonIMEITampered)}, contra},
	} {
		r := attest.Result{Submods: tt.submods}
		if got := r.Status(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	var zero attest.Result
	if zero.Status() != none || zero.Tier != attest.TierNone || zero.Reasons() != nil {
		t.Errorf("the zero value says %+v", zero)
	}
	r := attest.Result{Submods: []attest.Submod{sub(attest.SlotName(1), attest.ReasonIMEIConsistent, attest.ReasonStale), sub(attest.SlotName(2), attest.ReasonStale)}}
	if got := r.Reasons(); !slices.Equal(got, []attest.Reason{attest.ReasonIMEIConsistent, attest.ReasonStale}) || r.Submods[1].Name != "slot2" {
		t.Errorf("got %v", got)
	}
}

func TestNamesOfStatusTierAndEntry(t *testing.T) {
	order := []attest.Status{affirm, none, warn, contra}
	for i, better := range order {
		if attest.ParseStatus(better.String()) != better {
			t.Errorf("%s is not read back", better)
		}
		for _, worse := range order[i:] {
			if better.Worse(worse) != worse || worse.Worse(better) != worse {
				t.Errorf("%s is not worse than %s", worse, better)
			}
		}
	}
	for _, name := range []string{"", "Affirming", "2", "status 7"} {
		if attest.ParseStatus(name) != none {
			t.Errorf("%q is a status", name)
		}
	}
	got := []string{attest.Status(7).String(), attest.TierNone.String(), attest.T1.String(), attest.T3.String(), attest.Tier(9).String(),
		attest.InstanceIdentity.String(), attest.SourcedData.String(), attest.MeasuredEqual.String(), attest.MeasuredNoRef.String(),
		attest.Measurement(0).String(), attest.Measurement(5).String()}
	if want := []string{"status 7", "none", "T1", "T3", "none", "instance-identity", "sourced-data", "equal", "no-reference", "none", "none"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A policy that takes a warning for more makes the submod contraindicated, whatever is added later.
func TestARaisedReasonStays(t *testing.T) {
	var s attest.Submod
	s.Add(attest.ReasonIMEIConsistent, attest.ReasonSubscriberDiffers)
	s.Raise()
	s.Add(attest.ReasonSubscriberBound)
	if s.Status != contra {
		t.Errorf("got %s, want %s", s.Status, contra)
	}
}
