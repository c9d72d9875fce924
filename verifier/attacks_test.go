package verifier_test

import (
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
)

const (
	withConsistent = " | " + boundReg
	unspoken       = " | registration none:"
	spoofedReg     = "registration contraindicated: registration-spoofed"
	withTie        = unspoken + " subscriber-bound"
)

// clonesNAS: the modem was given another IMEI after the phone registered, so NAS is shown that, and IMS the phone's.
func (s *scene) clonesNAS(ask func(*phone, subscriber) *verifier.Registration) {
	p, clone := s.phone(), &phone{shows: stranger}
	p.registers(thief)
	s.passes(time.Minute)
	s.present(nil, ask(clone, thief)) // as if the SIM were in another phone
	s.passes(time.Minute)
	p.reregisters(thief)
	s.passes(time.Minute)
	s.present(nil, ask(clone, thief))
}

// attacks are frauds and forgeries; the last answer is what they got, and it does not affirm.
var attacks = []story{
	{title: "a modem that was given another IMEI, which the network is shown", want: "slot1 contraindicated: imei-reprogrammed" + good + withTie, tell: func(s *scene) {
		s.phone().tells(says(stranger)).showing(stranger).registers(thief)
	}},
	{title: "a modem that was given another IMEI, while the network is shown the former one", want: "slot1 contraindicated: imei-tampered" + good + withTie, tell: func(s *scene) {
		s.phone().tells(says(stranger)).registers(thief)
	}},
	{title: "a modem that was given an IMEI of the test range", want: "slot1 contraindicated: imei-reprogrammed imei-test-range" + good + withTie, tell: func(s *scene) {
		s.phone().tells(says(testRange)).showing(testRange).registers(thief)
	}},
	{title: "a modem whose IMEI was erased", want: "slot1 contraindicated: imei-blank" + good + withTie, tell: func(s *scene) {
		s.phone().tells(saysText("")).registers(thief)
	}},
	{title: "a modem whose second slot was given another IMEI, which registers", tell: func(s *scene) {
		s.phone(slots(id1, id2)).tells(says(id1), says(stranger)).showing(stranger).registers(thief)
	}, want: "slot1 affirming: imei-consistent" + good + " | slot2 contraindicated: imei-reprogrammed" + good + withTie},
	{title: "an agent that says the two IMEIs are equal", want: "slot1 contraindicated: imei-tampered measres-contradiction" + good + withTie, tell: func(s *scene) {
		s.phone().tells(says(stranger)).claiming(func(c *attest.Claims) { c.Measurements[0] = attest.MeasuredEqual }).registers(thief)
	}},
	{title: "an agent that says the manufacturer provisioned what the modem tells", want: "slot1 contraindicated: imei-reprogrammed measres-contradiction" + good + withTie, tell: func(s *scene) {
		s.phone().tells(says(stranger)).showing(stranger).claiming(provisioned(stranger), modem(says(stranger))).registers(thief)
	}},
	{title: "a modem that tells the two slots' IMEIs of another phone as its own", want: "slot1 contraindicated: imei-tampered" + good + withTie, tell: func(s *scene) {
		s.phone().tells(says(bobs), says(id1)).registers(thief)
	}},
	{title: "an IMEI that attested, in a slot that the manufacturer left empty", want: "slot1 affirming: imei-consistent" + good + " | slot2 none: not-endorsed" + good + " | registration warning: evidence-missing subscriber-bound", tell: func(s *scene) {
		s.phone().registers(alice)
		s.another("thief's", slots(bobs)).tells(says(bobs), says(id1)).showing(id1).registers(thief)
	}},
	{title: "evidence of a good phone for another IMEI in the instance-id", want: device + spoofedReg + " subscriber-bound", tell: func(s *scene) {
		s.phone().showing(stranger).registers(thief)
	}},
	{title: "another IMEI in IMS than the access network saw", want: device + "registration warning: nas-ims-mismatch imei-consistent subscriber-bound", tell: func(s *scene) {
		s.phone().registers(thief, func(r *verifier.Registration) { r.PEI = "imei-" + stranger.Digits() })
	}},
	{title: "a modem shows a cloned IMEI in NAS, and a good phone beside it registers with IMS", want: device + "registration warning: nas-ims-mismatch imei-consistent subscriber-bound", tell: func(s *scene) {
		p := s.phone()
		s.present(nil, (&phone{shows: stranger}).eir(thief))
		s.passes(time.Second)
		p.registers(thief)
	}},
	{title: "the same by S13, and the phone re-registers", want: device + "registration warning: nas-ims-mismatch imei-consistent subscriber-bound", tell: func(s *scene) {
		p := s.phone()
		s.present(nil, (&phone{shows: stranger}).mme(thief))
		s.passes(time.Second)
		p.registers(thief)
		s.passes(time.Hour)
		p.reregisters(thief)
	}},
	{title: "a good phone registers with IMS, and the 5G-EIR is asked about a cloned IMEI of the same subscriber", want: "registration warning: nas-ims-mismatch not-endorsed", tell: func(s *scene) { s.clonesNAS((*phone).eir) }},
	{title: "a good phone registers with IMS, and an MME asks about a cloned IMEI of the same subscriber", want: "registration warning: nas-ims-mismatch not-endorsed", tell: func(s *scene) { s.clonesNAS((*phone).mme) }},
	{title: "a good phone attaches, and a client with another IMEI registers with IMS", want: "registration warning: nas-ims-mismatch not-endorsed", tell: func(s *scene) {
		p := s.phone()
		s.everywhere(p, thief)
		s.passes(time.Minute)
		p.showing(stranger).registersMute(thief)
	}},
	{title: "the same, and the 5G-EIR is asked about the phone once more", want: device + "registration warning: nas-ims-mismatch imei-consistent subscriber-bound", tell: func(s *scene) {
		p := s.phone()
		s.everywhere(p, thief)
		s.passes(time.Minute)
		p.showing(stranger).registersMute(thief)
		s.passes(time.Second)
		s.present(nil, p.showing(id1).eir(thief))
	}},
	{title: "an IMEI that is written so that nobody can judge it", want: "registration none: urn-malformed", tell: func(s *scene) {
		s.phone().registersMute(thief, func(r *verifier.Registration) { r.InstanceID = "<urn:gsma:imei:490154203237518>" })
	}},
	{title: "an instance-id without an IMEI", want: "registration none: unbound", tell: func(s *scene) {
		s.phone().registersMute(thief, func(r *verifier.Registration) { r.InstanceID = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>" })
	}},

	{title: "a clone that brings no evidence", want: missing + " duplicate-subscriber", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(time.Hour)
		p.registersMute(thief)
	}},
	{title: "a clone that brings no evidence, and says that it re-registers", want: missing + " duplicate-subscriber", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		p.reregisters(thief)
	}},
	{title: "a clone that brings no evidence, a month later", want: missing, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(30 * 24 * time.Hour)
		p.registersMute(thief)
	}},
	{title: "a clone that brings no evidence, after the verifier has forgotten the phone", want: "registration none: not-endorsed", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.forgets()
		p.registersMute(thief)
	}},
	{title: "a clone with the owner's SIM, that registers and brings no evidence", want: device + warnedReg + " subscriber-bound client-unverified stale", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		p.registersMute(alice)
	}},
	{title: "a clone with the owner's SIM, that registers without evidence and then says that it re-registers", want: device + warnedReg + " subscriber-bound client-unverified stale", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		p.registersMute(alice, calling("the clone's"))
		s.passes(time.Minute)
		p.reregisters(alice, calling("the clone's"))
	}},
	{title: "a re-registration that the network did not authenticate by the SIM", want: device + warnedReg + " subscriber-bound client-unverified", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		p.reregisters(alice, func(r *verifier.Registration) { r.Auth, r.IntegrityProtected = "MD5", "no" })
	}},
	{title: "an IMS re-registration on what was attested outside IMS", want: device + warnedReg + " subscriber-unbound client-unverified", tell: func(s *scene) {
		p := s.phone()
		s.present(p.token(s.mint()), &verifier.Registration{IMEI: id1.Digits(), SUPI: "imsi-" + string(alice), Front: verifier.FrontHTTP, CallID: registering(id1).CallID})
		p.reregisters(alice)
	}},
	{title: "a re-registration on a result of a firmware that a session since told to be another", want: missing, tell: func(s *scene) {
		s.trusts(approves("R1.9"))
		p := s.phone().running("R1.9")
		p.registers(alice)
		p.running("unlocked").attests()
		p.reregisters(alice)
	}},
	{title: "a re-registration on a result of a time that has not come", want: missing, tell: func(s *scene) {
		p := s.phone()
		s.now = s.now.Add(30 * 24 * time.Hour)
		p.registers(alice)
		s.now = s.now.Add(-10 * 24 * time.Hour)
		p.reregisters(alice)
	}},
	{title: "a token is shown once more, beside another IMEI in the access network", want: nonceExpired + " | registration warning: nas-ims-mismatch evidence-missing", tell: func(s *scene) {
		p := s.phone()
		r := s.ims(id1, alice)
		token := p.answering(r)
		s.present(token, r)
		other := *r
		other.PEI = "imei-" + stranger.Digits()
		s.present(token, &other)
	}},
	{title: "who sold the phone re-registers with a clone, on an earlier result", want: missing + " duplicate-subscriber", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(time.Hour)
		p.registers(bob)
		p.reregisters(alice)
	}},
	{title: "an EIR query for a clone, without a subscriber", want: missing, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.present(nil, p.eir(""))
	}},
	{title: "an EIR query for a clone", want: missing + " duplicate-subscriber", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.present(nil, p.eir(thief))
	}},
	{title: "another subscriber registers the IMEI of a phone that named its SIM to the verifier", want: missing, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		p.registersMute(thief)
	}},
	{title: "an EIR query, by another subscriber, for a phone that named its SIM", want: missing, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		s.present(nil, p.eir(thief))
	}},
	{title: "an EIR query, without a subscriber, for a phone that named its SIM", want: missing, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		s.present(nil, p.eir(""))
	}},
	{title: "the subscriber whom a phone named registers another phone's IMEI", want: missing, tell: func(s *scene) {
		s.another("bob's", slots(bobs)).with(bob).attests()
		s.phone().with(alice).showing(bobs).attests()
		s.phones[1].registersMute(alice)
	}},
	{title: "a clone with the SIM that the owner's phone named says that it re-registers", want: device + foundReg, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		p.reregisters(alice)
	}},
	{title: "a clone with a SIM that the owner's phone named before it got another, which registered", want: missing + " duplicate-subscriber", tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		s.passes(time.Hour)
		p.registers(aliceNew)
		p.registersMute(alice)
	}},
	{title: "a clone with a SIM that the owner's phone named before another one", want: missing, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		p.with(aliceNew).attests()
		p.registersMute(alice)
	}},
	{title: "a phone that named its SIM and was found reprogrammed since", want: missing, tell: func(s *scene) {
		p := s.phone().with(thief)
		p.attests()
		p.tells(says(stranger))
		p.claims = nil
		p.attests()
		s.present(nil, p.eir(thief))
	}},
	{title: "a phone that was found reprogrammed names its SIM", want: "slot1 contraindicated: imei-tampered" + good + " | registration none: subscriber-claimed", tell: func(s *scene) {
		p := s.phone().with(thief).tells(says(stranger))
		p.attests()
		s.present(nil, p.eir(thief))
	}},
	{title: "a phone that named its SIM and says that it signals another IMEI", want: missing, tell: func(s *scene) {
		p := s.phone().with(thief)
		s.present(p.token(s.mint()), registering(stranger, fromDevice))
		s.present(nil, p.eir(thief))
	}},
	{title: "a phone that named its SIM, and whose board was replaced since", want: missing, tell: func(s *scene) {
		s.phone().with(thief).attests()
		p := s.another("new board", serial(2))
		p.attests()
		s.present(nil, p.eir(thief))
	}},
	{title: "a phone that named its SIM, and whose firmware was revoked since", want: missing, tell: func(s *scene) {
		p := s.phone().running("R1.4").with(thief)
		p.attests()
		s.revokes(func(r *verifier.Revocations) { r.Firmware = revisions("R1", "R1.9") })
		s.present(nil, p.eir(thief))
	}},
	{title: "a device key that was revoked, of a phone that named its SIM", want: missing, tell: func(s *scene) {
		p := s.phone().with(thief)
		p.attests()
		s.revokes(func(r *verifier.Revocations) {
			r.DeviceKeys = map[attest.KeyID]bool{attest.KeyIDOf(&p.key.PublicKey): true}
		})
		s.present(nil, p.eir(thief))
	}},
	{title: "an IMEI that was endorsed a second time, by a phone that names its SIM", want: missing, tell: func(s *scene) {
		s.phone().attests()
		p := s.another("thief's").with(thief)
		p.attests()
		s.present(nil, p.eir(thief))
	}},
	{title: "a forged token that names the thief's SIM for the owner's IMEI", want: missing, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		s.present(forged(s.mint(), p.carried, names(thief)), nil)
		s.present(nil, p.eir(thief))
	}},
	{title: "a phone that was found reprogrammed re-registers without evidence", want: missing, tell: func(s *scene) {
		p := s.phone()
		p.registers(thief)
		p.tells(says(stranger)).attests()
		p.reregisters(thief)
	}},

	{title: "a copied Credential beside the token of another key", want: signatureInvalid + unspoken, tell: func(s *scene) {
		p := s.another("thief's")
		p.carried = s.phone().carried
		p.registers(thief)
	}},
	{title: "a token that names the victim's key, signed by another", want: signatureInvalid + unspoken, tell: func(s *scene) {
		r := s.ims(id1, thief)
		s.present(forged(attest.NonceFrom401(r.Challenge401), s.phone().carried), r)
	}},
	{title: "a Credential that is forged in the manufacturer's name", want: credentialInvalid + unspoken, tell: func(s *scene) {
		p := s.another("thief's")
		p.carried = issued(p.credential, mallory, attest.KeyIDOf(&attesttest.OEMKey.PublicKey))
		p.registers(thief)
	}},
	{title: "a Credential of a manufacturer that nobody knows", want: keyUnknown + unspoken, tell: func(s *scene) {
		p := s.another("thief's")
		p.carried = issued(p.credential, mallory, attest.KeyIDOf(&mallory.PublicKey))
		p.registers(thief)
	}},
	{title: "a manufacturer that endorses a TAC which is not its own", want: credentialInvalid + unspoken, tell: func(s *scene) {
		s.phone(slots(stranger)).registers(thief)
	}},
	{title: "a key in software that a Credential calls a TPM's", want: keyNameMismatch + unspoken, tell: func(s *scene) {
		p := s.phone()
		p.credential.Storage.KeyName = append([]byte{0, 11}, make([]byte, 32)...)
		p.carried = attesttest.SignedCredential(p.credential)
		p.registers(thief)
	}},
	{title: "an IMEI that was endorsed a second time, for another key", want: duplicate + withConsistent, tell: func(s *scene) {
		s.phone().registers(alice)
		s.another("thief's").registers(thief)
	}},
	{title: "the old board, after the repair", want: duplicate + withConsistent, tell: func(s *scene) {
		old := s.phone()
		old.registers(alice)
		s.another("new board", serial(2)).registers(alice)
		old.registers(thief)
	}},
	{title: "a device key that was revoked", want: "slot1 contraindicated: key-revoked" + unspoken, tell: func(s *scene) {
		p := s.phone()
		p.registers(thief)
		s.revokes(func(r *verifier.Revocations) {
			r.DeviceKeys = map[attest.KeyID]bool{attest.KeyIDOf(&p.key.PublicKey): true}
		})
		p.registers(thief)
	}},
	{title: "a device key that was revoked re-registers without evidence", want: missing, tell: func(s *scene) {
		p := s.phone()
		p.registers(thief)
		s.revokes(func(r *verifier.Revocations) {
			r.DeviceKeys = map[attest.KeyID]bool{attest.KeyIDOf(&p.key.PublicKey): true}
		})
		p.reregisters(thief)
	}},
	{title: "a Credential that was revoked", want: "slot1 contraindicated: credential-revoked" + unspoken, tell: func(s *scene) {
		p := s.phone()
		s.revokes(func(r *verifier.Revocations) { r.Credentials = map[[32]byte]bool{attest.DigestOf(p.carried): true} })
		p.registers(thief)
	}},
	{title: "a Credential under a key that the manufacturer lost", want: "slot1 contraindicated: credential-revoked" + unspoken, tell: func(s *scene) {
		s.revokes(func(r *verifier.Revocations) {
			r.CredentialKeys = map[attest.KeyID]bool{attest.KeyIDOf(&attesttest.OEMKey.PublicKey): true}
		})
		s.phone().registers(thief)
	}},
	{title: "a firmware that lets the IMEI be changed, and was revoked", want: "slot1 contraindicated: imei-consistent" + good + " firmware-revoked | " + boundReg, tell: func(s *scene) {
		s.revokes(func(r *verifier.Revocations) { r.Firmware = revisions("R1", "R1.9") })
		s.phone().running("R1.4").registers(thief)
	}},
	{title: "a firmware that was revoked meanwhile re-registers on an earlier result", want: missing, tell: func(s *scene) {
		p := s.phone().running("R1.4")
		p.registers(thief)
		s.revokes(func(r *verifier.Revocations) { r.Firmware = revisions("R1", "R1.9") })
		p.reregisters(thief)
	}},
	{title: "a firmware that was revoked meanwhile, in a token that no longer tells it", want: "slot1 contraindicated: imei-consistent" + good + " firmware-revoked | " + boundReg, tell: func(s *scene) {
		p := s.phone().running("R1.4")
		p.registers(thief)
		s.revokes(func(r *verifier.Revocations) { r.Firmware = revisions("R1", "R1.9") })
		p.running("").registers(thief)
	}},
	{title: "a phone that never tells its firmware, of a model of which some was revoked", want: "slot1 warning: imei-consistent" + good + " firmware-unknown | " + boundReg, tell: func(s *scene) {
		s.revokes(func(r *verifier.Revocations) { r.Firmware = revisions("R1", "R1.9") })
		s.phone().registers(thief)
	}},
	{title: "a token is shown once more after its firmware was revoked", want: nonceExpired + " | " + missing, tell: func(s *scene) {
		p := s.phone().running("R1.4")
		r := s.ims(id1, thief)
		token := p.answering(r)
		s.present(token, r)
		s.revokes(func(r *verifier.Revocations) { r.Firmware = revisions("R1", "R1.9") })
		s.present(token, r)
	}},
	{title: "an earlier Credential, of better storage than the one that replaced it", want: "slot1 warning: imei-consistent software-vault rollback-unknown | " + boundReg, tell: func(s *scene) {
		p := s.phone(serial(1))
		better := p.carried
		p.endorse(serial(2), kind(attest.StorageSoftware))
		p.registers(thief)
		p.carried = better
		p.registers(thief)
	}},
	{title: "a firmware that the manufacturer does not list", want: "slot1 warning: imei-consistent" + good + " firmware-unlisted | " + boundReg, tell: func(s *scene) {
		s.trusts(approves("R1.9"))
		s.phone().running("unlocked").registers(thief)
	}},
	{title: "a model with an open weakness", want: "slot1 warning: imei-consistent" + good + " weakness-open | " + boundReg, tell: func(s *scene) {
		s.weaknesses[firmware{id1.TAC(), "R1.9"}] = attest.ReasonWeaknessOpen
		s.phone().running("R1.9").registers(thief)
	}},
	{title: "a model whose weakness was not remedied in time", want: "slot1 warning: imei-consistent" + good + " weakness-unremedied | " + boundReg, tell: func(s *scene) {
		s.weaknesses[firmware{id1.TAC(), "R1.9"}] = attest.ReasonWeaknessUnremedied
		s.phone().running("R1.9").registers(thief)
	}},
	{title: "an emulated TPM under a manufacturer's anchor", want: "slot1 warning: imei-consistent emulated-vault boot-approved | " + boundReg, tell: func(s *scene) {
		s.phone(kind(attest.StorageTPMEmulated)).registers(thief)
	}},
	{title: "two copies of a key in a file", want: "slot1 warning: imei-consistent software-vault rollback-unknown | " + boundReg, tell: func(s *scene) {
		p := s.phone(kind(attest.StorageSoftware))
		p.registers(alice)
		p.copied().registers(thief)
	}},
	{title: "a TPM whose firmware has a known fault", want: "slot1 warning: imei-consistent" + good + " tpm-firmware-denied | " + boundReg, tell: func(s *scene) {
		p := s.phone(unprotected).proving()
		s.trusts(func(a *verifier.Anchor) { a.DeniedTPMFirmware = []uint64{p.tpm.Firmware} })
		p.registers(thief)
	}},

	{title: "a TPM whose firmware has a known fault, and which proves nothing any more", want: "slot1 warning: imei-consistent" + good + " tpm-firmware-denied | " + boundReg, tell: func(s *scene) {
		p := s.phone(unprotected).proving()
		p.registers(thief)
		s.trusts(func(a *verifier.Anchor) { a.DeniedTPMFirmware = []uint64{p.tpm.Firmware} })
		p.tpm = nil
		p.registers(thief)
	}},
	{title: "a TPM whose state was set back", want: regressed + withConsistent, tell: func(s *scene) {
		p := s.phone(unprotected).proving()
		p.registers(alice)
		old := p.copied()
		p.registers(alice)
		s.passes(time.Minute)
		old.registers(thief)
	}},
	{title: "a TPM whose state was set back, after a day without proofs", want: unknown + withConsistent, tell: func(s *scene) {
		p := s.phone(unprotected).proving()
		p.registers(alice)
		s.passes(25 * time.Hour)
		p.tpm = nil
		p.registers(thief)
	}},
	{title: "the proof of another device's TPM", want: signatureInvalid, tell: func(s *scene) {
		device := newTPM()
		s.present(withProver(device, s.mint(), attesttest.Prove(mallory, device.credential, device.CounterProof)), nil)
	}},
	{title: "a reading of the modem from before it was reprogrammed", want: "slot1 warning: imei-consistent stale" + good + withConsistent, tell: func(s *scene) {
		s.phone().claiming(aged(20 * time.Minute)).registers(thief)
	}},

	{title: "a token that was used is replayed in another registration", want: registrationReused, tell: func(s *scene) {
		p := s.phone()
		token := p.token(s.mint())
		s.present(token, s.ims(id1, alice, unchallenged))
		s.present(token, s.ims(id1, thief, unchallenged))
	}},
	{title: "a token that answered another challenge", want: nonceExpired + " | " + missing, tell: func(s *scene) {
		p := s.phone()
		r := s.ims(id1, alice)
		s.present(p.answering(r), r)
		s.present(p.answering(r), s.ims(id1, thief))
	}},
	{title: "a second token for a nonce that was answered", want: nonceExpired, tell: func(s *scene) {
		p, n := s.phone(), s.mint()
		s.present(p.token(n), nil)
		s.present(p.claiming(aged(time.Second)).token(n), nil)
	}},
	{title: "a token that was kept until its challenge expired", want: nonceExpired + " | " + missing, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		token := p.token(s.mint())
		s.passes(attest.NonceLife)
		s.present(token, s.ims(id1, thief))
	}},
	{title: "a token for another verifier's nonce", want: nonceExpired, tell: func(s *scene) {
		s.present(s.phone().token(own), nil)
	}},
	{title: "a token of which one bit was changed", want: signatureInvalid + unspoken, tell: func(s *scene) {
		r := s.ims(id1, thief)
		token := s.phone().answering(r)
		token[len(token)-1] ^= 1
		s.present(token, r)
	}},
	{title: "a token that was cut off", want: unexpected + " | " + missing, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		r := s.ims(id1, thief)
		token := p.answering(r)
		s.present(token[:len(token)-1], r)
	}},
	{title: "a stolen token that is delivered first", want: noBond + t1, tell: func(s *scene) {
		s.present(s.phone().token(s.mint()), s.ims(id1, thief, unchallenged))
	}},
	{title: "a stolen token that names its subscriber is delivered first", want: differs + t1, tell: func(s *scene) {
		s.phone().claiming(names(alice)).registersBeside(thief)
	}},
	{title: "one phone attests for two subscribers by turns", want: device + warnedReg + " subscriber-bound duplicate-subscriber", tell: func(s *scene) {
		p := s.phone()
		for _, who := range []subscriber{alice, thief, alice, thief} {
			p.registers(who)
			s.passes(time.Hour)
		}
	}},
	{title: "one phone attests for two subscribers at once", want: noBond + " duplicate-subscriber" + t1, tell: func(s *scene) {
		p, open := s.phone(), s.mint()
		s.passes(10 * time.Second)
		p.registers(alice)
		s.present(p.token(open), s.ims(id1, thief, unchallenged))
	}},

	{title: "an app that answers the challenge of a password", want: noBond + t1, tell: func(s *scene) {
		s.phone().registers(thief, func(r *verifier.Registration) { r.Auth = "SHA-256" })
	}},
	{title: "an app that registers over no security association", want: device + warnedReg + " subscriber-bound" + t1, tell: func(s *scene) {
		s.phone().registers(thief, func(r *verifier.Registration) { r.IntegrityProtected = "no" })
	}},
	{title: "an app whose phone has a client of class 2.3, and answers no challenge", want: noBond + t1, tell: func(s *scene) {
		s.phone(func(c *attest.Credential) { c.ClientClass = 3 }).registersBeside(thief)
	}},
	{title: "an app of class 2.1, to which the manufacturer opened the SIM's challenge", want: device + warnedReg + " subscriber-bound" + t1, tell: func(s *scene) {
		s.phone(class(1)).registers(thief)
	}},
	{title: "an app of class 2.1 registers beside the phone's own client, by the phone's SIM", want: device + warnedReg + " subscriber-bound client-unverified stale", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		p.registersMute(alice, calling("the app's"))
	}},
	{title: "a device that says itself that it is in an emergency", want: device + spoofedReg, tell: func(s *scene) {
		s.present(s.phone().token(s.mint()), registering(stranger, emergency, fromDevice))
	}},
	{title: "a device that says itself that an MSC server registers", want: missing, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.present(nil, registering(id1, fromMSC(s), fromDevice))
	}},
	{title: "a sender that is no MSC server", want: missing, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(48 * time.Hour)
		fromMSC(s)
		p.registersMute(thief, func(r *verifier.Registration) { r.Sender = "msc.thief.example" })
	}},
	{title: "a device that names the challenge itself", want: notNow, tell: func(s *scene) {
		s.phone().registers(thief, fromDevice)
	}},
}

// uncaught are those of which a verifier cannot know, with the answer that they get.
var uncaught = []story{
	{title: "an accomplice's good phone signs for a stolen one", want: bound,
		limit: "a real phone reads its modem and signs, and nothing tells where: over a proxied TPM or AT channel, or as root after an approved boot. Permissions on the TPM, the SIM's own challenge and limits on latency narrow it", tell: func(s *scene) {
			s.phone().registers(thief)
		}},
	{title: "a modem whose firmware tells the right IMEI on every channel, and uses another by radio", want: bound,
		limit: "seen only where the access network saw another IMEI", tell: func(s *scene) {
			s.phone().registers(thief)
		}},
	{title: "an interposer on the bus of a discrete TPM lets another system boot", want: bound,
		limit: "the TPM signs for the boot that it was told of", tell: func(s *scene) {
			s.phone(unprotected).proving().registers(thief)
		}},
	{title: "two copies of an emulated TPM whose counters are kept in step, under a laboratory's anchor", want: "slot1 affirming: imei-consistent boot-approved | " + boundReg,
		limit: "each counter is raised above the other's last; who raises one by itself is caught by the next token of the other. No real TPM can be copied", tell: func(s *scene) {
			s.trusts(func(a *verifier.Anchor) { a.StorageKinds = []attest.StorageKind{attest.StorageTPMEmulated} })
			p := s.phone(kind(attest.StorageTPMEmulated), unprotected).proving()
			p.registers(alice)
			twin := p.copied()
			s.passes(25 * time.Hour)
			p.registers(alice)
			twin.tpm.Counter = p.tpm.Counter
			s.passes(25 * time.Hour)
			twin.registers(alice)
		}},
	{title: "a copy that sends no proofs, while the phone proves its counter every day", want: bound,
		limit: "in-band tokens carry no proof", tell: func(s *scene) {
			p := s.phone(unprotected).proving()
			p.attests()
			twin := p.copied()
			twin.tpm = nil
			twin.registers(alice)
		}},
	{title: "a copy that answers, in the phone's place, a nonce that was open when the phone attested", want: affirmed,
		limit: "it may be one that was delivered late; once, within the two minutes of the nonce", tell: func(s *scene) {
			p, open := s.phone(unprotected).proving(), s.mint()
			twin := p.copied()
			s.passes(time.Second)
			p.tpm.Counter++
			p.attests()
			s.present(twin.token(open), nil)
		}},
	{title: "a copy ran ahead: the phone itself is refused", want: regressed,
		limit: "the counter tells that there are two, not which is right; until the phone attests the copy is affirmed", tell: func(s *scene) {
			p := s.phone(unprotected).proving()
			p.attests()
			twin := p.copied()
			s.passes(time.Minute)
			twin.attests()
			twin.attests()
			s.passes(time.Minute)
			p.attests()
		}},
	{title: "an IMEI that was endorsed twice: who attests first holds it, and the other is refused", want: duplicate + withConsistent,
		limit: "the manufacturer settles it by a Credential with a higher serial for the right one", tell: func(s *scene) {
			s.another("thief's").registers(thief)
			s.phone().registers(alice)
		}},
	{title: "a stolen token was delivered first: its owner is refused, once", want: registrationReused,
		limit: "the one that came first looks like the owner's; the next challenge is answered", tell: func(s *scene) {
			token := s.phone().token(s.mint())
			s.present(token, s.ims(id1, thief, unchallenged))
			s.present(token, s.ims(id1, alice, unchallenged))
		}},
	{title: "somebody reaches /v1/appraise and lies about the registration", want: bound,
		limit: "what a network function says is believed: let nobody else reach it", tell: func(s *scene) {
			p := s.phone()
			s.present(p.token(attest.NonceFrom401("chosen by the liar")), registering(id1, by(alice.impi()), func(r *verifier.Registration) {
				r.Auth, r.IntegrityProtected, r.Challenge401, r.ChallengeOutstanding = "AKAv1-MD5", "yes", "chosen by the liar", true
			}))
		}},
}
