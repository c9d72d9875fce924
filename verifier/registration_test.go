package verifier_test

import (
	"testing"

	"imei-attest/attest"
	"imei-attest/verifier"
)

// TestSignalled is steps 0 and 1: how a registration shows an IMEI, on evidence that is in order.
func TestSignalled(t *testing.T) { runRows(t, signalled) }

func showing(instanceID string) *verifier.Registration {
	return &verifier.Registration{InstanceID: instanceID, Front: verifier.FrontSIP}
}

func expiring(seconds int) func(*verifier.Registration) {
	return func(r *verifier.Registration) { r.Expires = &seconds }
}

func emergency(r *verifier.Registration) { r.Emergency = true }

const (
	device   = "slot1 affirming: imei-consistent" + good + " | "
	shown    = device + "registration affirming: imei-consistent"
	remarked = device + "registration affirming: urn-nonconformant imei-consistent"
	unbound  = device + "registration none: unbound"
	badURN   = device + "registration none: urn-malformed"
)

var signalled = []row{
	{"an emergency is accepted and not judged", nil, claims(modem(says(stranger))), registering(stranger, emergency), "registration none: emergency"},
	{"an emergency that only the device claims is judged", nil, nil, registering(stranger, emergency, fromDevice),
		device + "registration contraindicated: registration-spoofed"},
	{"a deregistration is not judged", nil, claims(modem(says(stranger))), registering(stranger, expiring(0)), "registration none:"},
	{"a deregistration that only the device claims is judged", nil, nil, registering(stranger, expiring(0), fromDevice),
		device + "registration contraindicated: registration-spoofed"},
	{"a registration for an hour is judged", nil, nil, registering(id1, expiring(3600)), shown},

	{"a URN in angle brackets is read", nil, nil, showing("<urn:gsma:imei:49015420-323751-0>"), shown},
	{"a bare URN is read", nil, nil, showing("urn:gsma:imei:49015420-323751-0"), shown},
	{"the namespace has no case", nil, nil, showing("URN:GSMA:imei:49015420-323751-0"), shown},
	{"a check digit is a remark", nil, nil, showing("urn:gsma:imei:49015420-323751-8"), remarked},
	{"svn is a remark", nil, nil, showing("urn:gsma:imei:49015420-323751-0;svn=01"), remarked},
	{"vers=0 is a remark", nil, nil, showing("urn:gsma:imei:49015420-323751-0;vers=0"), remarked},
	{"another version is malformed", nil, nil, showing("urn:gsma:imei:49015420-323751-0;vers=1"), badURN},
	{"a third field that is neither is a remark", nil, nil, showing("urn:gsma:imei:49015420-323751-5"), remarked},
	{"a PEI of another IMEI than the instance-id's is a warning", nil, nil,
		registering(id1, func(r *verifier.Registration) { r.PEI = "imei-" + stranger.Digits() }), device + "registration warning: nas-ims-mismatch imei-consistent"},
	{"an IMEI of S13 other than the instance-id's is a warning", nil, nil,
		registering(id1, func(r *verifier.Registration) { r.IMEI = stranger.Body() }), device + "registration warning: nas-ims-mismatch imei-consistent"},
	{"a UUID does not hide the PEI's IMEI", nil, nil,
		&verifier.Registration{InstanceID: "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", PEI: "imei-" + id1.Digits()}, shown},
	{"nor that it is another's", nil, nil,
		&verifier.Registration{InstanceID: "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", PEI: "imei-" + stranger.Digits()},
		device + "registration contraindicated: registration-spoofed"},
	{"a PEI of the same IMEI is nothing to remark", nil, nil,
		registering(id1, func(r *verifier.Registration) { r.PEI = "imeisv-" + id1.Body() + "07" }), shown},
	{"seven digits of TAC are malformed", nil, nil, showing("urn:gsma:imei:4901542-323751-0"), badURN},
	{"15 digits without dashes are malformed", nil, nil, showing("urn:gsma:imei:490154203237518"), badURN},
	{"zeros are malformed", nil, nil, showing("urn:gsma:imei:00000000-000000-0"), badURN},
	{"a UUID shows no IMEI", nil, nil, showing("<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"), unbound},
	{"nothing shows no IMEI", nil, nil, &verifier.Registration{}, unbound},

	{"a PEI of an IMEI is read", nil, nil, &verifier.Registration{PEI: "imei-490154203237518"}, shown},
	{"a PEI of an IMEISV is read", nil, nil, &verifier.Registration{PEI: "imeisv-4901542032375101"}, shown},
	{"a PEI of wireline access shows no IMEI", nil, nil, &verifier.Registration{PEI: "mac-00-00-5E-00-53-00"}, unbound},
	{"a PEI of letters is malformed", nil, nil, &verifier.Registration{PEI: "imei-49015420323751X"}, badURN},
	{"14 digits are read", nil, nil, &verifier.Registration{IMEI: "49015420323751"}, shown},
	{"15 digits with the spare digit are read", nil, nil, &verifier.Registration{IMEI: "490154203237510"}, shown},
	{"15 digits with a wrong check digit are read", nil, nil, &verifier.Registration{IMEI: "490154203237511"}, shown},
	{"16 digits are read", nil, nil, &verifier.Registration{IMEI: "4901542032375199"}, shown},
	{"13 digits are malformed", nil, nil, &verifier.Registration{IMEI: "4901542032375"}, badURN},
	{"17 digits are malformed", nil, nil, &verifier.Registration{IMEI: "49015420323751899"}, badURN},
	{"repeated digits are malformed", nil, nil, &verifier.Registration{IMEI: "111111111111111"}, badURN},
	{"digits of another script are malformed", nil, nil, &verifier.Registration{IMEI: "٤٩٠١٥٤٢٠"}, badURN},
}

// TestSubscriber is step 5.
func TestSubscriber(t *testing.T) {
	for _, c := range subscribers {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			n := l.mint()
			if c.from401 {
				n = attest.NonceFrom401(text401)
			}
			token := answering(n, credential(), func(claims *attest.Claims) {
				if c.claims != "" {
					claims.Observed[0].Subscriber = attest.SubscriberHash(n, c.claims)
				}
			})
			if got := l.judge(token, c.registration); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

const (
	imsi    = "001010123456789"
	impi    = imsi + "@ims.mnc001.mcc001.3gppnetwork.org"
	bound   = shown + " subscriber-bound"
	claimed = shown + " subscriber-claimed"
	differs = device + "registration warning: imei-consistent subscriber-differs"
	noBond  = device + "registration warning: imei-consistent subscriber-unbound"
	// t1 is what the ceiling of tier T1 adds to an IMS registration that answers no challenge.
	t1 = " client-unverified"
)

// challenged is a registration that answers an outstanding challenge.
func challenged(auth string) *verifier.Registration {
	r := registering(id1, by("alice@example"))
	r.Auth, r.Challenge401, r.ChallengeOutstanding, r.IntegrityProtected = auth, text401, true, "yes"
	return r
}

// overTLS is challenged where the P-CSCF saw TLS and no security association.
func overTLS(auth string) *verifier.Registration {
	r := challenged(auth)
	r.IntegrityProtected = "tls-connected"
	return r
}

func supi(text string) func(*verifier.Registration) {
	return func(r *verifier.Registration) { r.SUPI = text }
}

var subscribers = []struct {
	name         string
	from401      bool   // the token answers the registration's challenge, not a nonce of the verifier
	claims       string // the IMSI that the device claims, empty for none
	registration *verifier.Registration
	want         string
}{
	{"nobody named is not compared", false, imsi, registering(id1), shown},
	{"the challenge of an AKA run binds", true, "", challenged("AKAv1-MD5"), bound},
	{"AKA version 2 binds", true, "", challenged("akav2-SHA-256"), bound},
	{"TLS under AKA version 2 is of the client that the USIM authenticated", true, "", overTLS("AKAv2-SHA-256"), bound},
	{"TLS under AKA version 1 is of nobody", true, "", overTLS("AKAv1-MD5"), device + "registration warning: imei-consistent subscriber-bound" + t1},
	{"the challenge of a password binds nobody", true, "", challenged("MD5"), noBond + t1},
	{"another nonce under AKA binds nobody", false, "", challenged("AKAv1-MD5"), noBond + t1},
	{"the IMSI of the IMPI is claimed", false, imsi, registering(id1, by(impi)), device + "registration warning: imei-consistent subscriber-claimed" + t1},
	{"the IMSI of the SUPI is claimed", false, imsi, registering(id1, supi("imsi-"+imsi)), claimed},
	{"another IMSI differs, as an honest dual SIM may", false, "001010123456780", registering(id1, by(impi)), differs + t1},
	{"another IMSI than the SUPI's differs", false, "001010123456780",
		registering(id1, supi("imsi-"+imsi)), differs},
	{"no claim is unbound", false, "", registering(id1, by(impi)), noBond + t1},
	{"an IMPI that holds no IMSI is unbound", false, imsi, registering(id1, by("alice@example")), noBond + t1},
	{"an IMPI of another realm is unbound", false, imsi, registering(id1, by(imsi+"@example.org")), noBond + t1},
	{"an IMPI of another country's realm is unbound", false, imsi, registering(id1, by(imsi+"@ims.mnc001.mcc262.3gppnetwork.org")), noBond + t1},
	{"a SUPI that is no IMSI is unbound", false, imsi, registering(id1, supi("nai-alice@example")), noBond},
	{"a SUPI of letters is unbound", false, imsi, registering(id1, supi("imsi-00101letters")), noBond},
}

func TestTheClaimIsThatOfTheSlotThatRegisters(t *testing.T) {
	l := newLab(t)
	n := l.mint()
	token := answering(n, dual, provisioned(id1, id2), modem(says(id1), says(id2)), func(c *attest.Claims) {
		c.Observed[0].Subscriber = attest.SubscriberHash(n, "001010000000001")
		c.Observed[1].Subscriber = attest.SubscriberHash(n, "001010000000002")
	})
	result := l.appraise(token, registering(id2, by("001010000000002@ims.mnc001.mcc001.3gppnetwork.org")))
	if !result.Submods[2].Has(attest.ReasonSubscriberClaimed) {
		t.Errorf("got %s, want subscriber-claimed", summary(result))
	}
}

// TestSubscribersAreTheSameByEachName: an EIR names by the SUPI whom IMS names by the IMPI.
func TestSubscribersAreTheSameByEachName(t *testing.T) {
	for _, c := range []struct{ impi, supi, want string }{
		{impi, "", imsi},
		{"", "imsi-" + imsi, imsi},
		{impi, "imsi-" + imsi, imsi},
		{"alice@example", "", "alice@example"},
		{"alice@example", "imsi-" + imsi, imsi},
		{imsi + "@ims.mnc001.mcc262.3gppnetwork.org", "", imsi + "@ims.mnc001.mcc262.3gppnetwork.org"},
		{imsi + "@example.org", "", imsi + "@example.org"},
		{"", "imsi-00101letters", "imsi-00101letters"},
		{"", "nai-alice@example", "nai-alice@example"},
		{"@", "", "@"},
		{"", "", ""},
	} {
		r := verifier.Registration{IMPI: c.impi, SUPI: c.supi}
		if got := r.Subscriber(); got != c.want {
			t.Errorf("IMPI %q, SUPI %q: %q, want %q", c.impi, c.supi, got, c.want)
		}
	}
}
