package corim

import (
	"bytes"
	"encoding/hex"

	"imei-attest/verifier/trust"
)

// element says how a condition names what is withdrawn by bytes, and which list of a file that is.
type element struct {
	key   int64 // of the measurement-values-map
	bytes int
	wrap  func(value []byte) any
	entry func(text string) *trust.Additions // of the value in hex
}

// elements is the one table of what can be withdrawn, but for ElementFirmware, which has a range.
var elements = map[string]element{
	ElementCredential: {valueDigests, 32, func(value []byte) any { return []any{[]any{digestSHA256, value}} },
		func(text string) *trust.Additions {
			return &trust.Additions{Revoked: trust.Revoked{Credentials: []string{text}}}
		}},
	ElementDeviceKey: {valueKeys, 16, func(value []byte) any { return []any{tagged(tagBytes, value)} },
		func(text string) *trust.Additions {
			return &trust.Additions{Revoked: trust.Revoked{DeviceKeys: []string{text}}}
		}},
	ElementCredentialKey: {valueKeys, 16, func(value []byte) any { return []any{tagged(tagBytes, value)} },
		func(text string) *trust.Additions {
			return &trust.Additions{Revoked: trust.Revoked{CredentialKeys: []string{text}}}
		}},
	ElementTPMFirmware: {valueRaw, 8, func(value []byte) any { return tagged(tagBytes, value) },
		func(text string) *trust.Additions {
			return &trust.Additions{DeniedTPMFirmware: []string{"0x" + text}}
		}},
}

func (w *Withdrawal) additions() *trust.Additions {
	if w.Element == ElementFirmware {
		return &trust.Additions{Revoked: trust.Revoked{Firmware: []trust.FirmwareRange{w.Firmware}}}
	}
	if e, known := elements[w.Element]; known {
		return e.entry(hex.EncodeToString(w.Value))
	}
	return new(trust.Additions) // of a caller in Go, whom Encode refuses
}

// readWithdrawal reads a conditional-endorsement-triple-record (section 5.1.7): one condition, and the one endorsement that the
// manufacturer vouches no longer for what meets it.
func (d *Document) readWithdrawal(i item) error {
	parts, err := i.tuple(2)
	if err != nil {
		return err
	}
	condition, err := parts[0].single()
	if err != nil {
		return err
	}
	state, err := condition.tuple(2)
	if err != nil {
		return err
	}
	var w Withdrawal
	var value item
	if w.Element, value, err = readMeasurement(state[1]); err != nil {
		return err
	}
	if err := d.readCondition(&w, state[0], value); err != nil {
		return err
	}
	if err := w.additions().Check(); err != nil {
		return i.fail("%v", err)
	}
	want, err := encMode.Marshal(d.endorsements(&w))
	if err != nil || !bytes.Equal(want, parts[1].raw) {
		return parts[1].fail("want one endorsement, of the environment and the element of the condition: key %d (vouched for), false", valueVouched)
	}
	d.Withdrawals = append(d.Withdrawals, w)
	return nil
}

// readCondition reads environment and value of what is withdrawn.
func (d *Document) readCondition(w *Withdrawal, environment, value item) error {
	keys := []int64{environmentClass}
	if w.Element == ElementFirmware {
		keys = append(keys, environmentGroup)
	}
	fields, err := environment.fields(nil, keys...)
	if err != nil {
		return err
	}
	if _, err := d.readClass(fields[environmentClass], false); err != nil {
		return err
	}
	if w.Element == ElementFirmware {
		return w.readRange(fields[environmentGroup], value)
	}
	return w.readValue(value)
}

// readRange takes the devices of a range of TACs as a group (section 5.1.4.4), and the first and last of their revisions.
func (w *Withdrawal) readRange(group, value item) error {
	tacs, err := group.tag(tagBytes)
	if err != nil {
		return err
	}
	text, err := tacs.octets()
	if err != nil {
		return err
	}
	revisions, err := value.only(valueRevisions)
	if err != nil {
		return err
	}
	ends, err := revisions.tuple(2)
	if err != nil {
		return err
	}
	w.Firmware.TACs = string(text)
	if w.Firmware.From, err = ends[0].text(maxTextBytes); err != nil {
		return err
	}
	w.Firmware.To, err = ends[1].text(maxTextBytes)
	return err
}

// readValue finds the bytes, which stand at the end of the value, and demands that the whole is as it would be written.
func (w *Withdrawal) readValue(value item) error {
	e, known := elements[w.Element]
	if !known {
		return value.fail("an element that is not of the subset")
	}
	if len(value.raw) < e.bytes {
		return value.fail("too short for the element %q", w.Element)
	}
	w.Value = bytes.Clone(value.raw[len(value.raw)-e.bytes:])
	want, err := encMode.Marshal(w.value())
	if err != nil || !bytes.Equal(want, value.raw) {
		return value.fail("want key %d with a value of %d bytes, as the element %q has it", e.key, e.bytes, w.Element)
	}
	return nil
}
