package corim

import (
	"encoding/hex"
	"strings"

	"imei-attest/verifier/trust"
)

// Additions is what the document says, in the words of a trust file.
func (d *Document) Additions() *trust.Additions {
	all := &trust.Additions{CredentialKeys: d.Keys}
	models := make(map[string]int)
	for _, r := range d.References {
		i, known := models[r.Model]
		if !known {
			i = len(all.Models)
			models[r.Model] = i
			all.Models = append(all.Models, trust.Model{HWModel: r.Model})
		}
		all.Models[i].Firmware = append(all.Models[i].Firmware, r.Revision)
	}
	for _, w := range d.Withdrawals {
		one, into := w.additions(), &all.Revoked
		all.DeniedTPMFirmware = append(all.DeniedTPMFirmware, one.DeniedTPMFirmware...)
		into.Credentials = append(into.Credentials, one.Revoked.Credentials...)
		into.DeviceKeys = append(into.DeviceKeys, one.Revoked.DeviceKeys...)
		into.CredentialKeys = append(into.CredentialKeys, one.Revoked.CredentialKeys...)
		into.Firmware = append(into.Firmware, one.Revoked.Firmware...)
	}
	return all
}

// say puts what a file says into the document.
func (d *Document) say(a *trust.Additions) error {
	d.Keys = a.CredentialKeys
	for _, m := range a.Models {
		for _, revision := range m.Firmware {
			d.References = append(d.References, Reference{m.HWModel, revision})
		}
	}
	for _, list := range []struct {
		element string
		texts   []string
	}{
		{ElementCredential, a.Revoked.Credentials}, {ElementDeviceKey, a.Revoked.DeviceKeys},
		{ElementCredentialKey, a.Revoked.CredentialKeys}, {ElementTPMFirmware, a.DeniedTPMFirmware},
	} {
		for _, text := range list.texts {
			value, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
			if err != nil {
				return err
			}
			d.Withdrawals = append(d.Withdrawals, Withdrawal{Element: list.element, Value: value})
		}
	}
	for _, r := range a.Revoked.Firmware {
		d.Withdrawals = append(d.Withdrawals, Withdrawal{Element: ElementFirmware, Firmware: r})
	}
	return nil
}
