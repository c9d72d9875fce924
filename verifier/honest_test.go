package verifier_test

import (
	"crypto/ecdsa"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/verifier"
	"imei-attest/verifier/policy"
)

const (
	bothSlots = "slot1 affirming: imei-consistent" + good + " | slot2 affirming: imei-consistent" + good + " | "
	boundReg  = "registration affirming: imei-consistent subscriber-bound"
	warnedReg = "registration warning: imei-consistent"
	// foundReg is an IMS registration without evidence that is found by the subscriber whom the device named; askedReg is a query of an EIR.
	foundReg = warnedReg + " subscriber-claimed client-unverified stale"
	askedReg = "registration affirming: imei-consistent subscriber-claimed"
)

// honest are everyday lives. What an honest person is told is never contraindicated, and the last answer is as the row says.
var honest = []story{
	{title: "a new phone registers for the first time", want: bound, tell: func(s *scene) {
		s.phone().registers(alice)
	}},
	{title: "a new SIM in the phone", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(time.Hour)
		p.registers(aliceNew)
	}},
	{title: "a new eSIM profile, while the agent still names the former one", want: differs + t1, tell: func(s *scene) {
		p := s.phone().claiming(names(alice))
		p.registersBeside(alice)
		s.passes(time.Hour)
		p.registersBeside(aliceNew)
	}},
	{title: "two SIMs by turns in one phone within a day", want: device + warnedReg + " subscriber-bound duplicate-subscriber", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(2 * time.Hour)
		p.registers(aliceNew)
		s.passes(8 * time.Hour)
		p.registers(alice)
	}},
	{title: "two SIMs by turns in one phone, some days apart", want: bound, tell: func(s *scene) {
		p := s.phone()
		for _, who := range []subscriber{alice, aliceNew, alice} {
			p.registers(who)
			s.passes(48 * time.Hour)
		}
	}},
	{title: "the second slot registers", want: bothSlots + boundReg, tell: func(s *scene) {
		p := s.phone(slots(id1, id2))
		p.registers(alice)
		p.showing(id2).registers(bob)
	}},
	{title: "a dual-SIM phone of a family plan, both slots all day", want: bothSlots + boundReg, tell: func(s *scene) {
		p := s.phone(slots(id1, id2))
		for range 3 {
			p.showing(id1).registers(alice)
			s.passes(time.Hour)
			p.showing(id2).registers(bob)
			s.passes(time.Hour)
		}
	}},
	{title: "slots that the modem swapped", tell: func(s *scene) {
		p := s.phone(slots(id1, id2))
		p.registers(alice)
		p.tells(says(id2), says(id1)).registers(alice)
	}, want: "slot1 affirming: imei-consistent slots-swapped" + good + " | slot2 affirming: imei-consistent slots-swapped" + good + " | " + boundReg},
	{title: "slots that the modem swapped, one of which did not answer", tell: func(s *scene) {
		p := s.phone(slots(id1, id2))
		p.registers(alice)
		p.tells(says(id2), saysNothing("timeout")).showing(id2).registers(alice)
	}, want: "slot1 affirming: imei-consistent slots-swapped" + good + " | slot2 none: imei-not-read" + good + " | " + boundReg},
	{title: "a modem with a slot that the manufacturer left empty", want: bound, tell: func(s *scene) {
		s.phone().tells(says(id1), says(id2)).registers(alice)
	}},
	{title: "one registration that reaches the verifier by an IMPI of the ISIM and, at a second front, by the SUPI", want: bound, tell: func(s *scene) {
		p := s.phone()
		r := s.ims(id1, alice, func(r *verifier.Registration) { r.IMPI, r.SUPI = "alice@ims.operator.example", "imsi-"+string(alice) })
		token := p.answering(r)
		s.present(token, r)
		second := *r
		second.IMPI = ""
		s.present(token, &second)
	}},
	{title: "the 5G-EIR asks about a phone whose app in IMS nothing ties to it", want: device + warnedReg + " subscriber-unbound", tell: func(s *scene) {
		p := s.phone()
		p.registersBeside(alice)
		s.present(nil, p.eir(alice))
	}},
	{title: "an emergency call while the verifier's store is down", tell: func(s *scene) {
		p := s.phone()
		s.storeFails(func() { p.registers(alice, emergency) })
	}, want: "registration none: emergency"},
	{title: "a registration while the verifier's store is down", tell: func(s *scene) {
		p := s.phone()
		s.storeFails(func() { p.registers(alice) })
	}, want: "registration none: not-judged"},
	{title: "a repair: a new board under the same IMEI, with a reissued Credential", want: superseding + " | " + boundReg, tell: func(s *scene) {
		s.phone().registers(alice)
		s.passes(72 * time.Hour)
		s.another("new board", serial(2)).registers(alice)
	}},
	{title: "a repair: the new board a day later", want: bound, tell: func(s *scene) {
		s.phone().registers(alice)
		p := s.another("new board", serial(2))
		p.registers(alice)
		s.passes(24 * time.Hour)
		p.registers(alice)
	}},
	{title: "the manufacturer corrects a Credential, and the phone shows the new one", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		p.endorse(serial(2))
		p.registers(alice)
	}},
	{title: "a factory reset with TPM2_Clear", want: cleared + " | " + boundReg, tell: func(s *scene) {
		p := s.phone(unprotected).proving()
		p.registers(alice)
		s.passes(time.Hour)
		p.tpm.ResetCount, p.tpm.RestartCount, p.tpm.Clock = 0, 0, 0
		s.passes(10 * time.Minute)
		p.registers(alice)
	}},
	{title: "a factory reset of a TPM whose owner made the counter", want: "slot1 warning: imei-consistent" + good + " tpm-cleared rollback-unknown | " + boundReg, tell: func(s *scene) {
		p := s.phone(unprotected, owners).proving()
		p.registers(alice)
		s.passes(time.Hour)
		*p.tpm = attest.CounterProof{Counter: 1, Safe: true, Firmware: p.tpm.Firmware}
		p.registers(alice)
	}},
	{title: "a flat battery: the TPM starts anew and its clock steps back", want: bound, tell: func(s *scene) {
		p := s.phone(unprotected).proving()
		p.registers(alice)
		s.passes(time.Hour)
		p.tpm.ResetCount++
		p.tpm.Clock -= 300
		p.registers(alice)
	}},
	{title: "a phone that proves its counter once a day and attests in-band without it", want: bound, tell: func(s *scene) {
		p := s.phone(unprotected).proving()
		p.attests()
		s.passes(20 * time.Hour)
		p.tpm = nil
		p.registers(alice)
	}},
	{title: "a phone that was off for a month, and attests in-band first", want: unknown + " | " + boundReg, tell: func(s *scene) {
		p := s.phone(unprotected).proving()
		p.registers(alice)
		s.passes(30 * 24 * time.Hour)
		p.tpm = nil
		p.registers(alice)
	}},
	{title: "the modem restarts while it is read", want: bound, tell: func(s *scene) {
		s.phone().tells(flagged(id1, attest.FlagRestartSeen)).registers(alice)
	}},
	{title: "the modem's port is busy", want: "slot1 none: imei-not-read" + good + " | registration none: subscriber-bound", tell: func(s *scene) {
		s.phone().tells(saysNothing("busy")).registers(alice)
	}},
	{title: "the modem's port is busy, and free at the next try", want: bound, tell: func(s *scene) {
		p := s.phone().tells(saysNothing("busy"))
		p.registers(alice)
		s.passes(30 * time.Second)
		p.tells(says(id1)).registers(alice)
	}},
	{title: "a modem that answers with the module's serial number", want: "slot1 warning: imei-unreadable" + good + " | registration none: subscriber-bound", tell: func(s *scene) {
		s.phone().tells(saysText("MPA21DK12003456")).registers(alice)
	}},
	{title: "a modem that sends 0 in place of the check digit", want: "slot1 affirming: imei-consistent imei-spare-digit" + good + " | " + boundReg, tell: func(s *scene) {
		s.phone().tells(flagged(id1, attest.FlagSpareDigit)).registers(alice)
	}},
	{title: "a modem that sends a wrong check digit", want: "slot1 affirming: imei-consistent imei-check-digit" + good + " | " + boundReg, tell: func(s *scene) {
		s.phone().tells(flagged(id1, attest.FlagCheckDigitWrong)).registers(alice)
	}},
	{title: "a phone that puts the check digit into its instance-id", want: remarked + " subscriber-bound", tell: func(s *scene) {
		s.phone().registers(alice, func(r *verifier.Registration) { r.InstanceID = "<urn:gsma:imei:49015420-323751-8>" })
	}},
	{title: "a phone with a UUID as instance-id, whose IMEI the access network saw", want: bound, tell: func(s *scene) {
		s.phone().registers(alice, func(r *verifier.Registration) {
			r.InstanceID, r.PEI = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>", "imeisv-"+id1.Body()+"07"
		})
	}},
	{title: "a phone with a UUID as instance-id", want: device + "registration none: unbound subscriber-bound", tell: func(s *scene) {
		s.phone().registers(alice, func(r *verifier.Registration) { r.InstanceID = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>" })
	}},
	{title: "an MSC server registers for a phone on 2G", want: "registration none: sender-msc", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(48 * time.Hour)
		p.registersMute(alice, fromMSC(s))
	}},
	{title: "a call goes over from LTE to 3G (SRVCC), and the MSC server registers", want: device + "registration affirming: sender-msc imei-consistent subscriber-bound", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(time.Hour)
		p.reregisters(alice, fromMSC(s))
	}},
	{title: "a retransmission", want: bound, tell: func(s *scene) {
		p := s.phone()
		r := s.ims(id1, alice)
		token := p.answering(r)
		for range 3 {
			s.present(token, r)
			s.passes(2 * time.Second)
		}
	}},
	{title: "one registration that reaches the verifier by two fronts", want: bound, tell: func(s *scene) {
		p := s.phone()
		r := s.ims(id1, alice)
		token := p.answering(r)
		s.present(token, r)
		byHTTP := *r
		byHTTP.Front = verifier.FrontHTTP
		s.present(token, &byHTTP)
	}},
	{title: "the 5G-EIR asks about the phone and the SIM that registered with IMS", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(time.Hour)
		s.present(nil, p.eir(alice))
	}},
	{title: "the 5G-EIR asks in the morning, before the phone registers with IMS", want: missing, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(26 * time.Hour)
		s.present(nil, p.eir(alice))
	}},
	{title: "the SIM goes from one phone to another, which NAS sees first", want: bound, tell: func(s *scene) {
		former := s.another("former phone", slots(bobs))
		s.everywhere(former, alice)
		s.passes(time.Hour)
		s.everywhere(s.phone(), alice)
	}},
	{title: "the SIM goes to another phone and, within the hour, back", want: bound, tell: func(s *scene) {
		p, other := s.phone(), s.another("the other phone", slots(bobs))
		for _, next := range []*phone{p, other, p} {
			s.everywhere(next, alice)
			s.passes(20 * time.Minute)
		}
		s.everywhere(p, alice)
	}},
	{title: "a dual-SIM phone, each SIM in NAS and in IMS by the IMEI of its slot", want: bothSlots + boundReg, tell: func(s *scene) {
		p := s.phone(slots(id1, id2))
		for range 2 {
			s.everywhere(p.showing(id1), alice)
			s.passes(time.Minute)
			s.everywhere(p.showing(id2), bob)
			s.passes(time.Minute)
		}
	}},
	{title: "handovers between LTE and 5G, while the phone stays in IMS", want: bound, tell: func(s *scene) {
		p := s.phone()
		s.everywhere(p, alice)
		for range 3 {
			s.passes(10 * time.Minute)
			s.present(nil, p.mme(alice))
			s.passes(10 * time.Minute)
			s.present(nil, p.eir(alice))
			p.reregisters(alice)
		}
	}},
	{title: "an MSC server registers after SRVCC by another IMEI than the phone showed in NAS", want: "registration none: sender-msc not-endorsed", tell: func(s *scene) {
		p := s.phone()
		s.everywhere(p, alice)
		s.passes(time.Minute)
		p.showing(stranger).reregisters(alice, fromMSC(s))
	}},
	{title: "a phone on Wi-Fi alone, and then in the network", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(time.Hour)
		s.present(nil, p.eir(alice))
	}},
	{title: "a laptop registers with IMS by the subscriber's password, with an IMEI of its own", want: "registration none: not-endorsed", tell: func(s *scene) {
		p := s.phone()
		s.everywhere(p, alice)
		s.passes(time.Minute)
		p.showing(stranger).registersMute(alice, byPassword)
		s.present(nil, p.eir(alice))
		p.registersMute(alice, byPassword)
	}},
	{title: "a stranger shows another IMEI in the subscriber's name, before anybody authenticated him", want: bound, tell: func(s *scene) {
		p := s.phone()
		s.everywhere(p, alice)
		s.passes(time.Minute)
		s.byStranger(func() {
			q := s.another("thief's", slots(bobs))
			q.registersMute(alice, unchallenged, func(r *verifier.Registration) { r.Auth, r.IntegrityProtected = "", "no" })
			q.registersMute(alice, unchallenged, func(r *verifier.Registration) { r.IntegrityProtected = "" })
			q.registersMute(alice, emergency)
			s.present(nil, registering(bobs, by(alice.impi()), fromDevice))
		})
		s.present(nil, p.eir(alice))
	}},
	{title: "the SIM goes for an hour to a phone on Wi-Fi alone, which deregisters", want: bound, tell: func(s *scene) {
		p, other := s.phone(), s.another("the other phone", slots(bobs))
		s.everywhere(p, alice)
		s.passes(10 * time.Minute)
		other.registers(alice)
		other.registersMute(alice, func(r *verifier.Registration) { r.Expires = new(int) })
		s.passes(10 * time.Minute)
		s.present(nil, p.eir(alice))
	}},
	{title: "the SIM goes to a phone on Wi-Fi alone, which NAS has not seen yet", want: device + "registration warning: nas-ims-mismatch imei-consistent subscriber-bound", tell: func(s *scene) {
		s.everywhere(s.another("former phone", slots(bobs)), alice)
		s.passes(time.Hour)
		s.phone().registers(alice)
	}},
	{title: "the same phone a day later, or once NAS has seen it", want: bound, tell: func(s *scene) {
		p := s.phone()
		s.everywhere(s.another("former phone", slots(bobs)), alice)
		s.passes(25 * time.Hour)
		p.registers(alice)
		s.everywhere(s.another("one more", slots(id2)), alice)
		s.passes(time.Minute)
		s.everywhere(p, alice)
	}},
	{title: "a re-registration without a challenge", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(time.Hour)
		p.reregisters(alice)
	}},
	{title: "a re-registration without a challenge, the next day", want: missing, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(25 * time.Hour)
		p.reregisters(alice)
	}},
	{title: "out of flight mode, before the agent runs", want: device + warnedReg + " subscriber-bound client-unverified stale", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(3 * time.Hour)
		p.registersMute(alice)
	}},
	{title: "a phone that named its SIM to the verifier registers without a token", want: device + foundReg, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		s.passes(3 * time.Hour)
		p.registersMute(alice)
	}},
	{title: "the 5G-EIR asks about a phone that named its SIM to the verifier", want: device + askedReg, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		s.passes(3 * time.Hour)
		s.present(nil, p.eir(alice))
	}},
	{title: "a phone that named its SIM to the verifier and says what it signals", want: device + askedReg, tell: func(s *scene) {
		p := s.phone().with(alice)
		s.present(p.token(s.mint()), registering(id1, fromDevice))
		s.present(nil, p.eir(alice))
	}},
	{title: "a phone that did not name its SIM to the verifier registers without a token", want: missing, tell: func(s *scene) {
		p := s.phone()
		p.attests()
		p.registersMute(alice)
	}},
	{title: "a phone that named its SIM to the verifier yesterday", want: missing, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		s.passes(25 * time.Hour)
		p.registersMute(alice)
	}},
	{title: "a phone that named its SIM, and registered with evidence, re-registers", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(time.Hour)
		p.with(alice).attests()
		p.reregisters(alice)
	}},
	{title: "a phone that registered with evidence the day before, and named its SIM today", want: device + askedReg, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(26 * time.Hour)
		p.with(alice).attests()
		s.present(nil, p.eir(alice))
	}},
	{title: "a new eSIM profile after the agent named the former one, and no token", want: missing, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		s.passes(time.Hour)
		p.registersMute(aliceNew)
	}},
	{title: "a new eSIM profile, which the agent named too, and no token", want: device + foundReg, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		s.passes(time.Hour)
		p.with(aliceNew).attests()
		p.registersMute(aliceNew)
	}},
	{title: "the SIM goes to the next phone, which names it too", want: device + foundReg, tell: func(s *scene) {
		s.another("former phone", slots(bobs)).with(alice).attests()
		s.passes(time.Hour)
		p := s.phone().with(alice)
		p.attests()
		p.registersMute(alice)
	}},
	{title: "the second slot registers without a token, each slot's SIM named", want: bothSlots + foundReg, tell: func(s *scene) {
		p := s.phone(slots(id1, id2)).with(alice, bob)
		p.attests()
		p.showing(id1).registersMute(alice)
		p.showing(id2).registersMute(bob)
	}},
	{title: "the modem swapped the slots, and each SIM registers by the IMEI of its slot", tell: func(s *scene) {
		p := s.phone(slots(id1, id2)).tells(says(id2), says(id1)).with(alice, bob)
		p.attests()
		p.showing(id2)
		s.present(nil, p.eir(alice))
	}, want: "slot1 affirming: imei-consistent slots-swapped" + good + " | slot2 affirming: imei-consistent slots-swapped" + good + " | " + askedReg},
	{title: "a stranger's phone names the SIM of somebody who registers without a token", want: device + foundReg, tell: func(s *scene) {
		p := s.phone().with(alice)
		p.attests()
		s.byStranger(func() {
			liar := s.another("thief's", slots(bobs)).with(alice)
			liar.attests()
			liar.tells(says(stranger)).attests()
		})
		p.registersMute(alice)
	}},
	{title: "a device whose clock is at 1980", want: bound, tell: func(s *scene) {
		s.phone().claiming(func(c *attest.Claims) { c.IssuedAt = time.Date(1980, 1, 6, 0, 0, 0, 0, time.UTC) }).registers(alice)
	}},
	{title: "a device whose clock is ten years ahead", want: bound, tell: func(s *scene) {
		s.phone().claiming(func(c *attest.Claims) { c.IssuedAt = s.now.AddDate(10, 0, 0) }).registers(alice)
	}},
	{title: "two tokens delivered in the other order", want: affirmed, tell: func(s *scene) {
		p := s.phone(unprotected).proving()
		p.attests()
		earlier, later := s.mint(), s.mint()
		first := p.token(earlier)
		s.passes(3 * time.Second)
		second := p.token(later)
		s.present(second, nil)
		s.present(first, nil)
	}},
	{title: "a phone that slept until its challenge expired", want: nonceExpired, tell: func(s *scene) {
		token := s.phone().token(s.mint())
		s.passes(attest.NonceLife)
		s.present(token, nil)
	}},
	{title: "a phone that slept until its challenge expired, and answers the next", want: affirmed, tell: func(s *scene) {
		p := s.phone()
		token := p.token(s.mint())
		s.passes(attest.NonceLife)
		s.present(token, nil)
		p.attests()
	}},
	{title: "roaming: a visited network's P-CSCF sends the registration", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(12 * time.Hour)
		p.registers(alice, func(r *verifier.Registration) { r.Sender = "pcscf.visited.example" })
	}},
	{title: "roaming: a visited network's EIR knows no subscriber", want: missing, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.present(nil, p.eir(""))
	}},
	{title: "an IMSI that the operator does not know", want: noBond + t1, tell: func(s *scene) {
		s.phone().claiming(names(alice)).registersBeside(alice, by("alice@example.com"))
	}},
	{title: "Wi-Fi calling by an app: nothing ties it to the phone", want: noBond + t1, tell: func(s *scene) {
		s.phone().registersBeside(alice, func(r *verifier.Registration) { r.Auth = "MD5" })
	}},
	{title: "a stranger's forged token names the victim", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.byStranger(func() {
			r := s.ims(id1, thief)
			s.present(forged(attest.NonceFrom401(r.Challenge401), p.carried), r)
		})
		p.reregisters(alice)
	}},
	{title: "a stranger replays the victim's token", want: bound, tell: func(s *scene) {
		p := s.phone()
		r := s.ims(id1, alice)
		token := p.answering(r)
		s.present(token, r)
		s.byStranger(func() {
			s.present(token, s.ims(id1, thief))
			s.present(token, nil)
		})
		p.reregisters(alice)
	}},
	{title: "a stranger registers the victim's IMEI without a token", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.byStranger(func() { p.registersMute(thief) })
		p.reregisters(alice)
	}},
	{title: "a stranger registers the victim's IMEI with the token of another phone", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.byStranger(func() { s.another("thief's", slots(bobs)).showing(id1).registers(thief) })
		p.reregisters(alice)
	}},
	{title: "the manufacturer rolls its key over: a phone under the old key", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.oemKeys = append(s.oemKeys, public("next oem key"))
		s.readTrust()
		p.registers(alice)
	}},
	{title: "the manufacturer rolls its key over: the phone's Credential under the new key", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.oemKeys = []*ecdsa.PublicKey{public("next oem key")}
		s.readTrust()
		p.carried = issued(p.credential, attesttest.Key("next oem key"), attest.KeyIDOf(public("next oem key")))
		p.registers(alice)
	}},
	{title: "the policy is exchanged between two registrations", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.policy = enforced()
		s.SetPolicy(s.policy)
		p.reregisters(alice)
	}},
	{title: "the trust folder is read again between two registrations", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.revokes(func(r *verifier.Revocations) {
			r.DeviceKeys = map[attest.KeyID]bool{attest.KeyIDOf(&mallory.PublicKey): true}
		})
		p.reregisters(alice)
	}},
	{title: "the trust folder is read again, and revokes another firmware of the model", want: bound, tell: func(s *scene) {
		p := s.phone().running("R3")
		p.registers(alice)
		s.trusts(revokesFirmware("R1", "R2"))
		p.reregisters(alice)
	}},
	{title: "the trust folder is read again, and lists the phone's firmware: the phone must attest again", want: missing, tell: func(s *scene) {
		p := s.phone().running("R1.9")
		p.registers(alice)
		s.trusts(approves("R1.9"))
		p.reregisters(alice)
	}},
	{title: "a modem that was busy answers while the challenge is open: a second try gets a new challenge", want: nonceExpired + " | " + missing, tell: func(s *scene) {
		p := s.phone()
		r := s.ims(id1, alice)
		s.present(p.tells(saysNothing("busy")).answering(r), r)
		s.present(p.tells(says(id1)).answering(r), r)
	}},
	{title: "the verifier restarts and has forgotten the challenge", want: nonceExpired, tell: func(s *scene) {
		token := s.phone().token(s.mint())
		s.forgets()
		s.present(token, nil)
	}},
	{title: "the verifier restarts and has forgotten the phone, whose token leaves its Credential out", want: keyUnknown + " | registration none:", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		p.carried = nil
		s.forgets()
		p.registers(alice)
	}},
	{title: "the verifier restarts, and the phone shows its Credential again", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.forgets()
		p.registers(alice)
	}},
	{title: "two verifiers on one store, one with a clock two seconds behind", want: bound, tell: func(s *scene) {
		p := s.phone(unprotected).proving()
		p.registers(alice)
		s.atNode(-2 * time.Second)
		p.registers(alice)
		s.atNode(2 * time.Second)
		p.reregisters(alice)
	}},
	{title: "a nonce of a verifier whose clock is two seconds ahead", want: affirmed, tell: func(s *scene) {
		p := s.phone(unprotected).proving()
		p.attests()
		s.atNode(2 * time.Second)
		n := s.mint()
		s.atNode(-2 * time.Second)
		s.present(p.token(n), nil)
	}},
	{title: "a used phone is sold on", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(90 * 24 * time.Hour)
		p.registers(bob)
	}},
	{title: "a used phone is sold on, and works at once", want: bound, tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		s.passes(20 * time.Minute)
		p.registers(bob)
	}},
	{title: "who sold a phone puts the SIM into the next one", want: bound, tell: func(s *scene) {
		s.phone().registers(alice)
		s.passes(time.Hour)
		s.another("next phone", slots(bobs)).registers(alice)
	}},
	{title: "an emergency call with a broken modem", want: "registration none: emergency", tell: func(s *scene) {
		s.phone().tells(saysText("")).registers(alice, emergency)
	}},
	{title: "an emergency call without a SIM", want: "registration none: emergency", tell: func(s *scene) {
		s.phone().registersMute("", emergency)
	}},
	{title: "a phone is switched off", want: "registration none:", tell: func(s *scene) {
		p := s.phone()
		p.registers(alice)
		p.registersMute(alice, expiring(0))
	}},
	{title: "a phone that nobody endorsed, like most", want: "registration none: not-endorsed", tell: func(s *scene) {
		(&phone{s: s, shows: stranger}).registersMute(alice)
	}},
	{title: "a phone of a manufacturer that this operator does not trust yet", want: keyUnknown + " | registration none:", tell: func(s *scene) {
		p := s.phone()
		p.carried = issued(p.credential, mallory, attest.KeyIDOf(&mallory.PublicKey))
		p.registers(alice)
	}},
	{title: "a phone that keeps its key in a file", want: "slot1 warning: imei-consistent software-vault rollback-unknown | " + boundReg, tell: func(s *scene) {
		s.phone(kind(attest.StorageSoftware)).registers(alice)
	}},
	{title: "a phone whose boot is not measured", want: "slot1 warning: imei-consistent hardware-vault boot-unmeasured | " + boundReg, tell: func(s *scene) {
		s.phone(unmeasured).registers(alice)
	}},
	{title: "an update of the modem's firmware that the manufacturer has not listed yet", want: "slot1 warning: imei-consistent" + good + " firmware-unlisted | " + boundReg, tell: func(s *scene) {
		s.trusts(approves("R1.9"))
		p := s.phone().running("R1.9")
		p.registers(alice)
		p.running("R1.10").registers(alice)
	}},
	{title: "an update of the modem's firmware that is listed", want: device[:len(device)-3] + " firmware-approved | " + boundReg, tell: func(s *scene) {
		s.trusts(approves("R1.9", "R1.10"))
		p := s.phone().running("R1.9")
		p.registers(alice)
		p.running("R1.10").registers(alice)
	}},
	{title: "a model with a weakness that is being dealt with", want: "slot1 warning: imei-consistent" + good + " weakness-open | " + boundReg, tell: func(s *scene) {
		s.weaknesses[firmware{id1.TAC(), "R1.9"}] = attest.ReasonWeaknessOpen
		s.phone().running("R1.9").registers(alice)
	}},
	{title: "the update that mends a weakness", want: "slot1 affirming: imei-consistent" + good + " weakness-remedied | " + boundReg, tell: func(s *scene) {
		s.weaknesses[firmware{id1.TAC(), "R1.9"}] = attest.ReasonWeaknessOpen
		s.weaknesses[firmware{id1.TAC(), "R2"}] = attest.ReasonWeaknessRemedied
		p := s.phone().running("R1.9")
		p.registers(alice)
		p.running("R2").registers(alice)
	}},
	{title: "an agent that has not read the Credential anew after a repair", want: "slot1 warning: imei-consistent measres-contradiction" + good + " superseded | " + boundReg, tell: func(s *scene) {
		s.phone().registers(alice)
		s.another("new board", serial(2)).claiming(provisioned(id1, id2)).registers(alice)
	}},
}

// enforced is the shipped policy that does what the table of reasons says.
func enforced() *verifier.Policy {
	text, _ := policy.Shipped(policy.Enforce)
	p, _, err := policy.Parse(text, attesttest.Now)
	if err != nil {
		panic(err)
	}
	return p
}
