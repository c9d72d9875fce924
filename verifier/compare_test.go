package verifier_test

import (
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
	"imei-attest/verifier"
)

// P is what the manufacturer provisioned, M what the modem answers, S what the network is shown.
func TestComparison(t *testing.T) { runRows(t, comparisons) }

var (
	testRange = must14("00100112345678")
	dual      = credential(slots(id1, id2))
)

func must14(digits string) imei.IMEI {
	id, err := imei.FromBody(digits)
	if err != nil {
		panic(err)
	}
	return id
}

var comparisons = []row{
	{"P = M = S is affirmed", nil, nil, registering(id1),
		"slot1 affirming: imei-consistent" + good + " | registration affirming: imei-consistent"},
	{"P = M without a registration is affirmed", nil, nil, nil,
		"slot1 affirming: imei-consistent" + good},
	{"S = M that is not P is reprogrammed", nil, claims(modem(says(stranger))), registering(stranger),
		"slot1 contraindicated: imei-reprogrammed" + good + " | registration none:"},
	{"S = P that is not M is tampered", nil, claims(modem(says(stranger))), registering(id1),
		"slot1 contraindicated: imei-tampered" + good + " | registration none:"},
	{"M that is not P without a registration is tampered", nil, claims(modem(says(stranger))), nil,
		"slot1 contraindicated: imei-tampered" + good},
	{"S in no slot is spoofed and does not stain the device", nil, nil, registering(stranger),
		"slot1 affirming: imei-consistent" + good + " | registration contraindicated: registration-spoofed"},
	{"S, M and P all different is both", nil, claims(modem(says(id2))), registering(stranger),
		"slot1 contraindicated: imei-reprogrammed" + good + " | registration contraindicated: registration-spoofed"},
	{"the device's own statement of S can worsen the result", nil, nil, registering(stranger, fromDevice),
		"slot1 affirming: imei-consistent" + good + " | registration contraindicated: registration-spoofed"},

	{"an empty answer is blank", nil, claims(modem(saysText(""))), nil, "slot1 contraindicated: imei-blank" + good},
	{"erased memory is blank", nil, claims(modem(saysText("FFFFFFFFFFFFFFF"))), nil, "slot1 contraindicated: imei-blank" + good},
	{"the agent's word for blank is blank", nil, claims(modem(saysNothing("blank_imei"))), nil, "slot1 contraindicated: imei-blank" + good},
	{"zeros are zero", nil, claims(modem(saysText("000000000000000"))), nil, "slot1 contraindicated: imei-zero" + good},
	{"the agent's word for zeros is zero", nil, claims(modem(saysNothing("zero_imei"))), nil, "slot1 contraindicated: imei-zero" + good},
	{"one digit repeated is a placeholder", nil, claims(modem(saysText("111111111111111"))), nil, "slot1 contraindicated: imei-repeated" + good},
	{"the agent's word for repeated digits is a placeholder", nil, claims(modem(saysNothing("repeated_digits"))), nil,
		"slot1 contraindicated: imei-repeated" + good},
	{"a test range that is not P is named", nil, claims(modem(says(testRange))), nil,
		"slot1 contraindicated: imei-tampered imei-test-range" + good},
	{"a test range that S shows is named", nil, claims(modem(says(testRange))), registering(testRange),
		"slot1 contraindicated: imei-reprogrammed imei-test-range" + good + " | registration none:"},
	{"blank is the device's affair even if S is P", nil, claims(modem(saysText(""))), registering(id1),
		"slot1 contraindicated: imei-blank" + good + " | registration none:"},
	{"S in no slot is spoofed even if M is blank", nil, claims(modem(saysText(""))), registering(stranger),
		"slot1 contraindicated: imei-blank" + good + " | registration contraindicated: registration-spoofed"},

	{"a module serial is unreadable", nil, claims(modem(saysText("MPA21DK12003456"))), nil, "slot1 warning: imei-unreadable" + good},
	{"letters are unreadable", nil, claims(modem(saysText("UNKNOWN"))), nil, "slot1 warning: imei-unreadable" + good},
	{"14 digits are unreadable", nil, claims(modem(saysText("49015420323751"))), nil, "slot1 warning: imei-unreadable" + good},
	{"an IMEISV in the place of an IMEI is unreadable", nil, claims(modem(saysText("4901542032375101"))), nil,
		"slot1 warning: imei-unreadable" + good},
	{"a text with a wrong check digit is unreadable", nil, claims(modem(saysText("490154203237511"))), nil,
		"slot1 warning: imei-unreadable" + good},
	{"a control character is unreadable", nil, claims(modem(saysText("\x00\x01"))), nil, "slot1 warning: imei-unreadable" + good},

	{"a time-out asks again", nil, claims(modem(saysNothing("timeout"))), nil, "slot1 none: imei-not-read" + good},
	{"a modem error asks again", nil, claims(modem(saysNothing("cme:14"))), nil, "slot1 none: imei-not-read" + good},
	{"an unknown error word asks again", nil, claims(modem(saysNothing("zero_imei "))), nil, "slot1 none: imei-not-read" + good},
	{"not read is the device's affair even if S is P", nil, claims(modem(saysNothing("timeout"))), registering(id1),
		"slot1 none: imei-not-read" + good + " | registration none:"},

	{"a modem that tells different IMEIs is not affirmed", nil, claims(modem(attest.Observed{IMEI: id1, Flags: attest.FlagSourcesDisagree})), nil,
		"slot1 warning: imei-consistent imei-ambiguous" + good},
	{"and neither is its registration", nil, claims(modem(attest.Observed{IMEI: id1, Flags: attest.FlagSourcesDisagree})), registering(id1),
		"slot1 warning: imei-consistent imei-ambiguous" + good + " | registration warning: imei-ambiguous"},
	{"a modem that restarted meanwhile is affirmed", nil, claims(modem(attest.Observed{IMEI: id1, Flags: attest.FlagRestartSeen})), nil,
		"slot1 affirming: imei-consistent" + good},
	{"a spare digit is a remark", nil, claims(modem(attest.Observed{IMEI: id1, Flags: attest.FlagSpareDigit})), nil,
		"slot1 affirming: imei-consistent imei-spare-digit" + good},
	{"a wrong check digit is a remark", nil, claims(modem(attest.Observed{IMEI: id1, Flags: attest.FlagCheckDigitWrong})), nil,
		"slot1 affirming: imei-consistent imei-check-digit" + good},
	{"a remark does not excuse other digits", nil, claims(modem(attest.Observed{IMEI: id2, Flags: attest.FlagSpareDigit})), nil,
		"slot1 contraindicated: imei-tampered imei-spare-digit" + good},

	{"two slots in order are affirmed", dual, claims(provisioned(id1, id2), modem(says(id1), says(id2))), registering(id2),
		"slot1 affirming: imei-consistent" + good + " | slot2 affirming: imei-consistent" + good + " | registration affirming: imei-consistent"},
	{"swapped slots are a remark", dual, claims(provisioned(id1, id2), modem(says(id2), says(id1))), registering(id1),
		"slot1 affirming: imei-consistent slots-swapped" + good + " | slot2 affirming: imei-consistent slots-swapped" + good +
			" | registration affirming: imei-consistent"},
	{"half of a swap is a remark where the other slot was not read", dual, claims(provisioned(id1, id2), modem(says(id2), saysNothing("timeout"))), registering(id2),
		"slot1 affirming: imei-consistent slots-swapped" + good + " | slot2 none: imei-not-read" + good + " | registration affirming: imei-consistent"},
	{"nor is S a lie that would be in the slot that was not read", dual, claims(provisioned(id1, id2), modem(says(id2), saysNothing("timeout"))), registering(id1),
		"slot1 affirming: imei-consistent slots-swapped" + good + " | slot2 none: imei-not-read" + good + " | registration none:"},
	{"half of a swap excuses no lie in the other slot", dual, claims(provisioned(id1, id2), modem(says(id2), says(stranger))), registering(stranger),
		"slot1 affirming: imei-consistent slots-swapped" + good + " | slot2 contraindicated: imei-reprogrammed" + good + " | registration none:"},
	{"the second IMEI in both slots is not a swap", dual, claims(provisioned(id1, id2), modem(says(id2), says(id2))), nil,
		"slot1 contraindicated: imei-tampered" + good + " | slot2 affirming: imei-consistent" + good},
	{"one IMEI in both slots is not a swap", dual, claims(provisioned(id1, id2), modem(says(id1), says(id1))), nil,
		"slot1 affirming: imei-consistent" + good + " | slot2 contraindicated: imei-tampered" + good},
	{"a lie in one slot does not stain the registration of the other", dual,
		claims(provisioned(id1, id2), modem(says(id1), says(stranger))), registering(id1),
		"slot1 affirming: imei-consistent" + good + " | slot2 contraindicated: imei-tampered" + good + " | registration affirming: imei-consistent"},
	{"S shown by a reprogrammed second slot is reprogrammed", dual,
		claims(provisioned(id1, id2), modem(says(id1), says(stranger))), registering(stranger),
		"slot1 affirming: imei-consistent" + good + " | slot2 contraindicated: imei-reprogrammed" + good + " | registration none:"},
	{"a slot that was not provisioned is nobody's lie", nil, claims(modem(says(id1), says(id2))), registering(id1),
		"slot1 affirming: imei-consistent" + good + " | registration affirming: imei-consistent"},
	{"a slot that was not provisioned may register, unendorsed", nil, claims(modem(says(id1), says(id2))), registering(id2),
		"slot1 affirming: imei-consistent" + good + " | slot2 none: not-endorsed" + good + " | registration none: not-endorsed"},
	{"a provisioned slot that nobody observed is not read", dual, claims(provisioned(id1, id2), modem(says(id1))), nil,
		"slot1 affirming: imei-consistent" + good + " | slot2 warning: imei-not-read measres-contradiction" + good},

	{"an agent that says equal of different is faulty", nil,
		claims(modem(says(stranger)), func(c *attest.Claims) { c.Measurements[0] = attest.MeasuredEqual }), nil,
		"slot1 contraindicated: imei-tampered measres-contradiction" + good},
	{"an agent that says different of equal is faulty", nil,
		claims(func(c *attest.Claims) { c.Measurements[0] = attest.MeasuredDifferent }), nil,
		"slot1 warning: imei-consistent measres-contradiction" + good},

	{"a reading of 15 minutes is fresh", nil, claims(aged(15 * time.Minute)), nil, "slot1 affirming: imei-consistent" + good},
	{"an older reading is stale", nil, claims(aged(15*time.Minute + time.Millisecond)), nil, "slot1 warning: imei-consistent stale" + good},
}

func aged(d time.Duration) func(*attest.Claims) {
	return func(c *attest.Claims) { c.ReadingAge = d }
}

// TestVault is step 9, per storage kind.
func TestVault(t *testing.T) { runRows(t, vaults) }

func unmeasured(c *attest.Credential) { c.Storage.Boot = attest.BootUnmeasured }

var vaults = []row{
	{"a discrete TPM with measured boot is affirmed", credential(), nil, nil, "slot1 affirming: imei-consistent hardware-vault boot-approved"},
	{"a firmware TPM with measured boot is affirmed", credential(kind(attest.StorageTPMFirmware)), nil, nil,
		"slot1 affirming: imei-consistent hardware-vault boot-approved"},
	{"a TPM created by the owner is affirmed", credential(func(c *attest.Credential) { c.Storage.NV = attest.NVOwner }), nil, nil,
		"slot1 affirming: imei-consistent hardware-vault boot-approved"},
	{"a boot that is not measured is a warning", credential(unmeasured), nil, nil,
		"slot1 warning: imei-consistent hardware-vault boot-unmeasured"},
	{"an emulated TPM is a warning under an anchor for operators", credential(kind(attest.StorageTPMEmulated)), nil, nil,
		"slot1 warning: imei-consistent emulated-vault boot-approved"},
	{"a file is a warning and binds no boot", credential(kind(attest.StorageSoftware)), nil, nil, "slot1 warning: imei-consistent software-vault rollback-unknown"},
	{"other storage counts as a file", credential(kind(attest.StorageOther)), nil, nil, "slot1 warning: imei-consistent software-vault rollback-unknown"},
	{"the vault is every slot's", credential(kind(attest.StorageSoftware), slots(id1, id2)),
		claims(provisioned(id1, id2), modem(says(id1), says(stranger))), nil,
		"slot1 warning: imei-consistent software-vault rollback-unknown | slot2 contraindicated: imei-tampered software-vault rollback-unknown"},
}

func TestALaboratoryAnchorLiftsTheEmulation(t *testing.T) {
	l, a := newLab(t), anchor()
	a.StorageKinds = append(a.StorageKinds, attest.StorageTPMEmulated)
	l.SetTrust(trusting(a))
	const want = "slot1 affirming: imei-consistent boot-approved"
	if got := l.judge(l.token(credential(kind(attest.StorageTPMEmulated))), nil); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestVectorOfAGoodAndABadDevice sees what a Relying Party reads in the vector.
func TestVectorOfAGoodAndABadDevice(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		name  string
		token []byte
		want  attest.TrustVector
	}{
		{"good", l.token(credential()), attest.TrustVector{attest.InstanceIdentity: 2, attest.Executables: 3, attest.Hardware: 2, attest.StorageOpaque: 2}},
		{"reprogrammed, in a file", l.token(credential(kind(attest.StorageSoftware)), modem(says(stranger))),
			attest.TrustVector{attest.InstanceIdentity: 96, attest.Hardware: 32, attest.StorageOpaque: 32}},
		{"signed by another", forged(l.mint(), credential()), attest.TrustVector{99, 99, 99, 99, 99, 99, 99, 99}},
	} {
		result := l.ask(verifier.Input{Evidence: c.token, Now: l.now})
		if got := result.Submods[0].Vector; got != c.want {
			t.Errorf("%s: vector %v, want %v", c.name, got, c.want)
		}
	}
}
