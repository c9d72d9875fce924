package verifier_test

import (
	"slices"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
)

// provocations: what gives each reason, and what is close to it and does not.
var provocations = []struct {
	reason  attest.Reason
	by      string
	provoke func(*scene)
	not     string
	spare   func(*scene)
}{
	{attest.ReasonIMEIConsistent, "the provisioned IMEI in the modem", func(s *scene) { s.phone().attests() },
		"the other slot's", func(s *scene) { s.phone().tells(says(id2)).attests() }},
	{attest.ReasonIMEIReprogrammed, "another IMEI, which is shown", func(s *scene) { s.phone().tells(says(stranger)).showing(stranger).registers(thief) },
		"another IMEI, while the right one is shown", func(s *scene) { s.phone().tells(says(stranger)).registers(thief) }},
	{attest.ReasonIMEITampered, "another IMEI, while the right one is shown", func(s *scene) { s.phone().tells(says(stranger)).registers(thief) },
		"the right IMEI, while another is shown", func(s *scene) { s.phone().showing(stranger).registers(thief) }},
	{attest.ReasonIMEIBlank, "an empty answer", func(s *scene) { s.phone().tells(saysText("")).attests() },
		"an error", func(s *scene) { s.phone().tells(saysNothing("error")).attests() }},
	{attest.ReasonIMEIZero, "15 zeros", func(s *scene) { s.phone().tells(saysText("000000000000000")).attests() },
		"13 zeros and another digit", func(s *scene) { s.phone().tells(saysText("000000000000012")).attests() }},
	{attest.ReasonIMEIRepeated, "15 ones", func(s *scene) { s.phone().tells(saysText("111111111111111")).attests() },
		"13 ones and another digit", func(s *scene) { s.phone().tells(saysText("111111111111122")).attests() }},
	{attest.ReasonIMEITestRange, "a test IMEI that is not the provisioned one", func(s *scene) { s.phone().tells(says(testRange)).attests() },
		"one that is", func(s *scene) {
			s.trusts(func(a *verifier.Anchor) { a.TACs = nil })
			s.phone(slots(testRange)).attests()
		}},
	{attest.ReasonIMEIUnreadable, "14 digits of text", func(s *scene) { s.phone().tells(saysText("49015420323751")).attests() },
		"no answer", func(s *scene) { s.phone().tells(saysNothing("timeout")).attests() }},
	{attest.ReasonIMEINotRead, "a busy port", func(s *scene) { s.phone().tells(saysNothing("busy")).attests() },
		"letters", func(s *scene) { s.phone().tells(saysText("UNKNOWN")).attests() }},
	{attest.ReasonIMEIAmbiguous, "two commands that disagree", func(s *scene) { s.phone().tells(flagged(id1, attest.FlagSourcesDisagree)).attests() },
		"a restart between them", func(s *scene) { s.phone().tells(flagged(id1, attest.FlagRestartSeen)).attests() }},
	{attest.ReasonIMEISpareDigit, "0 as the last digit", func(s *scene) { s.phone().tells(flagged(id1, attest.FlagSpareDigit)).attests() },
		"a wrong last digit", func(s *scene) { s.phone().tells(flagged(id1, attest.FlagCheckDigitWrong)).attests() }},
	{attest.ReasonIMEICheckDigit, "a wrong last digit", func(s *scene) { s.phone().tells(flagged(id1, attest.FlagCheckDigitWrong)).attests() },
		"0 as the last digit", func(s *scene) { s.phone().tells(flagged(id1, attest.FlagSpareDigit)).attests() }},
	{attest.ReasonSlotsSwapped, "each slot's IMEI in the other", func(s *scene) { s.phone(slots(id1, id2)).tells(says(id2), says(id1)).attests() },
		"one IMEI in both", func(s *scene) { s.phone(slots(id1, id2)).tells(says(id2), says(id2)).attests() }},
	{attest.ReasonMeasresContradict, "an agent that calls equal what differs", func(s *scene) {
		s.phone().tells(says(id2)).claiming(func(c *attest.Claims) { c.Measurements[0] = attest.MeasuredEqual }).attests()
	}, "one that calls it different", func(s *scene) { s.phone().tells(says(id2)).attests() }},

	{attest.ReasonNotEndorsed, "an IMEI that nobody endorsed", func(s *scene) { s.phone().showing(stranger).registersMute(alice) },
		"one that attested", func(s *scene) {
			p := s.phone()
			p.registers(alice)
			p.registersMute(bob)
		}},
	{attest.ReasonKeyUnknown, "a manufacturer that is not trusted", func(s *scene) {
		p := s.phone()
		p.carried = issued(p.credential, mallory, attest.KeyIDOf(&mallory.PublicKey))
		p.attests()
	}, "a forgery in the name of one that is", func(s *scene) {
		p := s.phone()
		p.carried = issued(p.credential, mallory, attest.KeyIDOf(&attesttest.OEMKey.PublicKey))
		p.attests()
	}},
	{attest.ReasonCredentialRevoked, "a Credential that was revoked", func(s *scene) {
		p := s.phone()
		s.revokes(func(r *verifier.Revocations) { r.Credentials = map[[32]byte]bool{attest.DigestOf(p.carried): true} })
		p.attests()
	}, "the one that replaces it", func(s *scene) {
		p := s.phone()
		s.revokes(func(r *verifier.Revocations) { r.Credentials = map[[32]byte]bool{attest.DigestOf(p.carried): true} })
		p.endorse(serial(2))
		p.attests()
	}},
	{attest.ReasonKeyRevoked, "a device key that was revoked", func(s *scene) {
		p := s.phone()
		s.revokes(func(r *verifier.Revocations) {
			r.DeviceKeys = map[attest.KeyID]bool{attest.KeyIDOf(&p.key.PublicKey): true}
		})
		p.attests()
	}, "another of the same model", func(s *scene) {
		p := s.phone()
		s.revokes(func(r *verifier.Revocations) {
			r.DeviceKeys = map[attest.KeyID]bool{attest.KeyIDOf(&p.key.PublicKey): true}
		})
		s.another("second", slots(bobs)).attests()
	}},
	{attest.ReasonCredentialInvalid, "a TAC that is not the manufacturer's", func(s *scene) { s.phone(slots(stranger)).attests() },
		"another IMEI of its TAC", func(s *scene) { s.phone(slots(bobs)).attests() }},
	{attest.ReasonKeyNameMismatch, "the Name of another key", func(s *scene) {
		p := s.phone()
		p.credential.Storage.KeyName = s.another("second").credential.Storage.KeyName
		p.carried = attesttest.SignedCredential(p.credential)
		p.attests()
	}, "no Name, in a file", func(s *scene) { s.phone(kind(attest.StorageSoftware)).attests() }},
	{attest.ReasonSignatureInvalid, "one bit of the signature", func(s *scene) {
		token := s.phone().token(s.mint())
		token[len(token)-1] ^= 1
		s.present(token, nil)
	}, "one byte less", func(s *scene) {
		token := s.phone().token(s.mint())
		s.present(token[:len(token)-1], nil)
	}},
	{attest.ReasonDuplicateKey, "a second key under the same serial", func(s *scene) {
		s.phone().attests()
		s.another("second").attests()
	}, "under the next", func(s *scene) {
		s.phone().attests()
		s.another("second", serial(2)).attests()
	}},
	{attest.ReasonSuperseded, "a second key under the next serial", func(s *scene) {
		s.phone().attests()
		s.another("second", serial(2)).attests()
	}, "the same key under the next", func(s *scene) {
		p := s.phone()
		p.attests()
		p.endorse(serial(2))
		p.attests()
	}},

	{attest.ReasonNonceReused, "a token for another subscriber", func(s *scene) {
		token := s.phone().token(s.mint())
		s.present(token, registering(id1, by(alice.impi())))
		s.present(token, registering(id1, by(thief.impi())))
	}, "the same token for the same one", func(s *scene) {
		token := s.phone().token(s.mint())
		s.present(token, registering(id1, by(alice.impi())))
		s.present(token, registering(id1, by(alice.impi())))
	}},
	{attest.ReasonNonceExpired, "a nonce at its expiry", func(s *scene) {
		token := s.phone().token(s.mint())
		s.passes(attest.NonceLife)
		s.present(token, nil)
	}, "a nonce just before", func(s *scene) {
		token := s.phone().token(s.mint())
		s.passes(attest.NonceLife - time.Nanosecond)
		s.present(token, nil)
	}},
	{attest.ReasonUnexpectedEvidence, "a Credential in the place of evidence", func(s *scene) { s.present(s.phone().carried, nil) },
		"evidence that names another key", func(s *scene) { s.present(forged(s.mint(), s.phone().carried), nil) }},
	{attest.ReasonEvidenceMissing, "no evidence of a device that attested", func(s *scene) {
		p := s.phone()
		p.attests()
		p.registersMute(alice)
	}, "by an MSC server", func(s *scene) {
		p := s.phone()
		p.attests()
		p.registersMute(alice, fromMSC(s))
	}},
	{attest.ReasonStale, "a reading of 15 minutes and a millisecond", func(s *scene) { s.phone().claiming(aged(15*time.Minute + time.Millisecond)).attests() },
		"one of 15 minutes", func(s *scene) { s.phone().claiming(aged(15 * time.Minute)).attests() }},
	{attest.ReasonStateRegressed, "a counter that stays", func(s *scene) {
		p := s.phone(unprotected).proving()
		p.attests()
		p.tpm.Counter--
		p.attests()
	}, "a counter that rises by one", func(s *scene) {
		p := s.phone(unprotected).proving()
		p.attests()
		p.attests()
	}},
	{attest.ReasonRollbackUnknown, "no proof, and no word of the manufacturer", func(s *scene) { s.phone(unprotected).attests() },
		"a proof", func(s *scene) { s.phone(unprotected).proving().attests() }},
	{attest.ReasonTPMCleared, "a clock and resets that begin anew", func(s *scene) {
		p := s.phone(unprotected).proving()
		p.attests()
		p.tpm.ResetCount, p.tpm.Clock = 0, 0
		p.attests()
	}, "a clock that begins anew after a reset", func(s *scene) {
		p := s.phone(unprotected).proving()
		p.attests()
		p.tpm.ResetCount, p.tpm.Clock = p.tpm.ResetCount+1, 0
		p.attests()
	}},

	{attest.ReasonRegistrationSpoofed, "an IMEI of no slot", func(s *scene) { s.phone().showing(bobs).registers(thief) },
		"the second slot's", func(s *scene) { s.phone(slots(id1, id2)).showing(id2).registers(alice) }},
	{attest.ReasonNASIMSMismatch, "a PEI of another IMEI", func(s *scene) {
		s.phone().registers(thief, func(r *verifier.Registration) { r.PEI = "imei-" + bobs.Digits() })
	}, "the IMEISV of the same", func(s *scene) {
		s.phone().registers(alice, func(r *verifier.Registration) { r.PEI = "imeisv-" + id1.Body() + "99" })
	}},
	{attest.ReasonSubscriberBound, "the answer to the SIM's own challenge", func(s *scene) { s.phone().registers(alice) },
		"to a password's", func(s *scene) { s.phone().registers(alice, func(r *verifier.Registration) { r.Auth = "MD5" }) }},
	{attest.ReasonSubscriberClaimed, "the IMSI that registers", func(s *scene) { s.phone().claiming(names(alice)).registersBeside(alice) },
		"that IMSI, where the operator does not know it", func(s *scene) { s.phone().claiming(names(alice)).registersBeside(alice, by("alice@example.com")) }},
	{attest.ReasonSubscriberUnbound, "no IMSI", func(s *scene) { s.phone().registersBeside(alice) },
		"no subscriber", func(s *scene) { s.present(s.phone().token(s.mint()), registering(id1)) }},
	{attest.ReasonSubscriberDiffers, "another IMSI", func(s *scene) { s.phone().claiming(names(bob)).registersBeside(alice) },
		"another IMSI beside the answer to the SIM's challenge", func(s *scene) { s.phone().claiming(names(bob)).registers(alice) }},
	{attest.ReasonDuplicateSubscriber, "two subscribers by turns within a day", func(s *scene) {
		p := s.phone()
		for _, who := range []subscriber{alice, bob, alice} {
			p.registers(who)
			s.passes(time.Hour)
		}
	}, "one after the other", func(s *scene) {
		p := s.phone()
		for _, who := range []subscriber{alice, alice, bob} {
			p.registers(who)
			s.passes(time.Hour)
		}
	}},
	{attest.ReasonClientUnverified, "no security association", func(s *scene) {
		s.phone().registers(alice, func(r *verifier.Registration) { r.IntegrityProtected = "no" })
	}, "TLS, under AKA version 2", func(s *scene) {
		s.phone().registers(alice, func(r *verifier.Registration) { r.Auth, r.IntegrityProtected = "AKAv2-SHA-256", "tls-connected" })
	}},
	{attest.ReasonSenderMSC, "an MSC server that the policy names", func(s *scene) { s.phone().registersMute(alice, fromMSC(s)) },
		"one that it does not name", func(s *scene) {
			fromMSC(s)
			s.phone().registersMute(alice, func(r *verifier.Registration) { r.Sender = "msc.other.example" })
		}},
	{attest.ReasonEmergency, "an emergency that the network saw", func(s *scene) { s.phone().registers(alice, emergency) },
		"one that the device claims", func(s *scene) { s.phone().registers(alice, emergency, fromDevice) }},
	{attest.ReasonUnbound, "a UUID", func(s *scene) { s.present(nil, showing("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6")) },
		"a UUID beside a PEI", func(s *scene) {
			s.present(nil, &verifier.Registration{InstanceID: "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", PEI: "imei-" + id1.Digits()})
		}},
	{attest.ReasonURNMalformed, "a URN without dashes", func(s *scene) { s.present(nil, showing("urn:gsma:imei:490154203237518")) },
		"a URN with a check digit", func(s *scene) { s.present(nil, showing("urn:gsma:imei:49015420-323751-8")) }},
	{attest.ReasonURNNonconformant, "a URN with a check digit", func(s *scene) { s.present(nil, showing("urn:gsma:imei:49015420-323751-8")) },
		"a URN with the spare digit", func(s *scene) { s.present(nil, showing("urn:gsma:imei:49015420-323751-0")) }},

	{attest.ReasonListBlack, "a black IMEI", func(s *scene) {
		s.lists("black," + stranger.Digits() + ",,stolen")
		s.phone().showing(stranger).registersMute(thief)
	}, "the next IMEI, and a white pairing", func(s *scene) {
		s.lists("black,"+stranger.Digits()+",,stolen", "white,"+stranger.Digits()+","+string(alice)+",found", "black,"+next(stranger)+",,")
		s.phone().showing(stranger).registersMute(alice)
	}},
	{attest.ReasonListGrey, "a grey range", func(s *scene) {
		s.lists("grey," + id1.Body() + "-" + next(id1) + ",,")
		s.phone().registers(alice)
	}, "the range that begins after it", func(s *scene) {
		s.lists("grey," + next(id1) + "-" + next(id1) + ",,")
		s.phone().registers(alice)
	}},
	{attest.ReasonListWhite, "a white TAC", func(s *scene) {
		s.lists("white," + string(stranger.TAC()) + ",,")
		s.phone().showing(stranger).registersMute(alice)
	}, "one that the device alone says it is of", func(s *scene) {
		s.lists("white," + string(id1.TAC()) + ",,")
		s.phone().registers(alice, fromDevice)
	}},

	{attest.ReasonBootApproved, "a measured boot", func(s *scene) { s.phone().attests() },
		"an unmeasured one", func(s *scene) { s.phone(unmeasured).attests() }},
	{attest.ReasonBootUnmeasured, "an unmeasured boot", func(s *scene) { s.phone(unmeasured).attests() },
		"a file, which binds no boot", func(s *scene) { s.phone(unmeasured, kind(attest.StorageSoftware)).attests() }},
	{attest.ReasonEmulatedVault, "an emulated TPM", func(s *scene) { s.phone(kind(attest.StorageTPMEmulated)).attests() },
		"one under a laboratory's anchor", func(s *scene) {
			s.trusts(func(a *verifier.Anchor) { a.StorageKinds = []attest.StorageKind{attest.StorageTPMEmulated} })
			s.phone(kind(attest.StorageTPMEmulated)).attests()
		}},
	{attest.ReasonSoftwareVault, "a key in a file", func(s *scene) { s.phone(kind(attest.StorageSoftware)).attests() },
		"a key in a TPM of firmware", func(s *scene) { s.phone(kind(attest.StorageTPMFirmware)).attests() }},
	{attest.ReasonHardwareVault, "a TPM of firmware", func(s *scene) { s.phone(kind(attest.StorageTPMFirmware)).attests() },
		"an emulated one", func(s *scene) { s.phone(kind(attest.StorageTPMEmulated)).attests() }},

	{attest.ReasonFirmwareApproved, "a firmware that is listed", func(s *scene) {
		s.trusts(approves("R1.9"))
		s.phone().running("R1.9").attests()
	}, "the next one", func(s *scene) {
		s.trusts(approves("R1.9"))
		s.phone().running("R1.10").attests()
	}},
	{attest.ReasonFirmwareUnlisted, "a firmware that is not listed", func(s *scene) {
		s.trusts(approves("R1.9"))
		s.phone().running("R1.10").attests()
	}, "of a model that is not listed", func(s *scene) {
		s.trusts(approves("R1.9"))
		s.phone(func(c *attest.Credential) { c.HWModel = []byte("other") }).running("R1.10").attests()
	}},
	{attest.ReasonFirmwareRevoked, "the last firmware of a range", func(s *scene) {
		s.revokes(func(r *verifier.Revocations) { r.Firmware = revisions("R1", "R1.9") })
		s.phone().running("R1.9").attests()
	}, "the next one", func(s *scene) {
		s.revokes(func(r *verifier.Revocations) { r.Firmware = revisions("R1", "R1.9") })
		s.phone().running("R1.10").attests()
	}},
	{attest.ReasonFirmwareUnknown, "a modem that never told its firmware, of a model of which some is revoked", func(s *scene) {
		s.revokes(func(r *verifier.Revocations) { r.Firmware = revisions("R1", "R1.9") })
		s.phone().attests()
	}, "one that told another before", func(s *scene) {
		s.revokes(func(r *verifier.Revocations) { r.Firmware = revisions("R1", "R1.9") })
		p := s.phone().running("R2")
		p.attests()
		p.running("").attests()
	}},
	{attest.ReasonTPMFirmwareDenied, "a TPM's firmware that is denied", func(s *scene) {
		s.trusts(func(a *verifier.Anchor) { a.DeniedTPMFirmware = []uint64{attesttest.Proof().Firmware} })
		s.phone(unprotected).proving().attests()
	}, "the next one", func(s *scene) {
		s.trusts(func(a *verifier.Anchor) { a.DeniedTPMFirmware = []uint64{attesttest.Proof().Firmware - 1} })
		s.phone(unprotected).proving().attests()
	}},

	{attest.ReasonWeaknessOpen, "a firmware with an open case", func(s *scene) {
		s.weaknesses[firmware{id1.TAC(), "R1.9"}] = attest.ReasonWeaknessOpen
		s.phone().running("R1.9").attests()
	}, "the next firmware", func(s *scene) {
		s.weaknesses[firmware{id1.TAC(), "R1.9"}] = attest.ReasonWeaknessOpen
		s.phone().running("R1.10").attests()
	}},
	{attest.ReasonWeaknessUnremedied, "a firmware that was not mended in time", func(s *scene) {
		s.weaknesses[firmware{id1.TAC(), "R1.9"}] = attest.ReasonWeaknessUnremedied
		s.phone().running("R1.9").attests()
	}, "the firmware of another TAC", func(s *scene) {
		s.weaknesses[firmware{id2.TAC(), "R1.9"}] = attest.ReasonWeaknessUnremedied
		s.phone().running("R1.9").attests()
	}},
	{attest.ReasonWeaknessRemedied, "a firmware that was mended", func(s *scene) {
		s.weaknesses[firmware{id1.TAC(), "R2"}] = attest.ReasonWeaknessRemedied
		s.phone().running("R2").attests()
	}, "a modem that does not tell its firmware", func(s *scene) {
		s.weaknesses[firmware{id1.TAC(), "R2"}] = attest.ReasonWeaknessRemedied
		s.phone().attests()
	}},

	{attest.ReasonNotJudged, "a store that is down", func(s *scene) {
		p := s.phone()
		s.storeFails(func() { p.registers(alice) })
	}, "one that works again", func(s *scene) {
		p := s.phone()
		s.storeFails(func() { p.registers(alice) })
		p.registers(alice)
	}},
}

// TestEveryReasonIsProvoked, from the token to the result, and is spared what is close to it.
func TestEveryReasonIsProvoked(t *testing.T) {
	last := func(t *testing.T, tell func(*scene)) attest.Result {
		s := newScene(t, verifier.ObservePolicy())
		tell(s)
		return s.last().Result
	}
	provoked := make(map[attest.Reason]bool)
	for _, c := range provocations {
		provoked[c.reason] = true
		t.Run(string(c.reason), func(t *testing.T) {
			given := last(t, c.provoke)
			if !slices.Contains(given.Reasons(), c.reason) || given.Status().Worse(c.reason.Info().Floor) != given.Status() {
				t.Errorf("%s: %s", c.by, summary(given))
			}
			if spared := last(t, c.spare); len(spared.Submods) == 0 || slices.Contains(spared.Reasons(), c.reason) {
				t.Errorf("%s: %s", c.not, summary(spared))
			}
		})
	}
	for _, reason := range attest.Reasons() {
		if !provoked[reason] {
			t.Errorf("%s is provoked by no row", reason)
		}
	}
}

// TestObserve: the day-one policy refuses nobody, and its label names the reason that decided.
func TestObserve(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		token        []byte
		registration *verifier.Registration
		label        string
	}{
		{l.token(credential()), nil, "affirming:imei-consistent"},
		{l.token(credential()), registering(stranger), "contraindicated:registration-spoofed"},
		{l.token(credential(kind(attest.StorageSoftware))), registering(id1), "warning:software-vault"},
		{l.token(credential()), showing("urn:uuid:0"), "none:unbound"},
		{l.token(dual, provisioned(id1, id2), modem(says(id1), saysNothing("timeout"))), registering(id1), "none:imei-not-read"},
		{[]byte{}, registering(id1), "warning:evidence-missing"},
		{[]byte{}, registering(stranger), "none:unexpected-evidence"},
		{answering(own, credential()), nil, "none:nonce-expired"},
		{nil, registering(id1, emergency), "none:emergency"},
		{nil, registering(id1, expiring(0)), "none"},
	} {
		verdict := l.decide(verifier.Input{Evidence: c.token, Registration: c.registration, Now: l.now})
		want := verifier.Answer{Action: "observe", SIPCode: 200, EIRStatus: "GREYLISTED", S13Status: 2, Label: c.label}
		if got := verdict.Answer; got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", summary(verdict.Result), got, want)
		}
	}
}

func TestAVerifierLacksNothing(t *testing.T) {
	if v, err := verifier.New(verifier.Config{}); err == nil {
		t.Errorf("New without store, keys and trust: %v", v)
	}
}
