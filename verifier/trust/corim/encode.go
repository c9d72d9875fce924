package corim

import (
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

type fields = map[int64]any

func tagged(number uint64, content any) any { return cbor.Tag{Number: number, Content: content} }

// Encode writes the document as an encoded tagged-unsigned-corim-map, deterministically. What [Decode] refuses is not written.
func (d *Document) Encode() ([]byte, error) {
	for _, w := range d.Withdrawals {
		if _, known := elements[w.Element]; !known && w.Element != ElementFirmware {
			return nil, fmt.Errorf("nothing of the kind %q can be withdrawn", w.Element)
		}
	}
	triples := fields{}
	put := func(key int64, records []any) {
		if len(records) > 0 {
			triples[key] = records
		}
	}
	put(tripleReference, each(d.References, d.reference))
	put(tripleCondition, each(d.Withdrawals, func(w Withdrawal) any { return []any{d.conditions(&w), d.endorsements(&w)} }))
	if len(d.Keys) > 0 {
		keys := each(d.Keys, func(text string) any { return tagged(tagKey, text) })
		triples[tripleKey] = []any{[]any{fields{environmentClass: d.class()}, keys}}
	}
	comid, err := encMode.Marshal(fields{comidIdentity: fields{tagID: d.ID}, comidTriples: triples})
	if err != nil {
		return nil, err
	}
	payload, err := encMode.Marshal(tagged(tagCoRIM, fields{
		corimID:       d.ID,
		corimTags:     []any{tagged(tagCoMID, comid)},
		corimProfile:  tagged(tagURI, Profile),
		corimValidity: fields{notBefore: seconds(d.NotBefore), notAfter: seconds(d.NotAfter)},
	}))
	if err != nil {
		return nil, err
	}
	_, err = Decode(payload)
	return payload, err
}

func each[T any](values []T, f func(T) any) []any {
	var all []any
	for _, value := range values {
		all = append(all, f(value))
	}
	return all
}

func seconds(t time.Time) any { return tagged(tagTime, t.Unix()) }

func (d *Document) class() fields {
	return fields{classID: tagged(tagBytes, []byte(d.OEMID.String())), classVendor: d.Issuer}
}

func (d *Document) reference(r Reference) any {
	class := d.class()
	class[classModel] = r.Model
	return []any{fields{environmentClass: class}, measurement(ElementFirmware, fields{valueVersion: fields{versionText: r.Revision}})}
}

func measurement(element string, value any) any {
	return []any{fields{measurementKey: element, measurementValue: value}}
}

func (d *Document) conditions(w *Withdrawal) any {
	return []any{[]any{d.environment(w), measurement(w.Element, w.value())}}
}

func (d *Document) endorsements(w *Withdrawal) any {
	return []any{[]any{d.environment(w), measurement(w.Element, fields{valueVouched: false})}}
}

func (d *Document) environment(w *Withdrawal) fields {
	environment := fields{environmentClass: d.class()}
	if w.Element == ElementFirmware {
		environment[environmentGroup] = tagged(tagBytes, []byte(w.Firmware.TACs))
	}
	return environment
}

func (w *Withdrawal) value() fields {
	if w.Element == ElementFirmware {
		return fields{valueRevisions: []any{w.Firmware.From, w.Firmware.To}}
	}
	e := elements[w.Element]
	return fields{e.key: e.wrap(w.Value)}
}
