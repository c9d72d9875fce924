package testbench

import (
	"fmt"
	"strings"

	"imei-attest/testbench/registrar"
	"imei-attest/verifier"
)

// Equipment is what the access network is told of the device that registered with IMS: it asks by the IMEI that the modem shows there, and
// by the subscriber whom it authenticated.
type Equipment struct {
	Asker   string           // AMF or MME
	Status  string           // WHITELISTED, GREYLISTED, BLACKLISTED, or that it is unknown
	Verdict verifier.Verdict // on the question
}

// honestEquipment, and of each lie, is what the access network must be told of a device with a TPM whose client reaches the USIM.
const honestEquipment = "WHITELISTED"

const unknownEquipment = "ERROR_EQUIPMENT_UNKNOWN"

var equipmentOf = map[string]string{
	"spoofed":      "GREYLISTED",     // the modem shows its own IMEI, which did not attest with this subscriber
	"reprogrammed": unknownEquipment, // the modem shows an IMEI that nobody endorsed
	"blank":        "BLACKLISTED",
	"unreadable":   "GREYLISTED",
	"missing":      "GREYLISTED",
	"replayed":     "GREYLISTED",
	"copied":       "GREYLISTED",
}

// expectsEquipment says why the access network is not told what it must be; nil if it is.
func (w *World) expectsEquipment(r Registration, got *Equipment) error {
	if got == nil {
		return nil
	}
	want := honestEquipment
	if w.Kind == VaultSoftware || r.Class < 2 {
		want = "GREYLISTED"
	}
	if of, lies := equipmentOf[r.Lie]; lies {
		want = of
	}
	if got.Status != want {
		return fmt.Errorf("the %s was told %s, expected %s", got.Asker, got.Status, want)
	}
	return nil
}

// imsiOf is whom the access network has authenticated.
func imsiOf(who registrar.Subscriber) string {
	imsi, _, _ := strings.Cut(who.IMPI, "@")
	return imsi
}
