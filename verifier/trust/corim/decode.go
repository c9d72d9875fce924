package corim

import (
	"time"

	"imei-attest/attest"
	"imei-attest/verifier/trust"
)

// Longest texts, in bytes.
const (
	maxIDBytes   = 128
	maxURIBytes  = 64   // an issuer's, as in Credentials
	maxPEMBytes  = 1024 // a key on P-384 has 215
	maxTextBytes = 128  // others, which trust files bound tighter
)

// Decode reads an encoded tagged-unsigned-corim-map, the payload of a signed CoRIM. Nothing of it is to be believed yet. The error is a
// [*FormatError].
func Decode(payload []byte) (*Document, error) {
	d := new(Document)
	root, err := item{"CoRIM", payload}.tag(tagCoRIM)
	if err != nil {
		return nil, err
	}
	fields, err := root.fields(nil, corimID, corimTags, corimProfile, corimValidity)
	if err != nil {
		return nil, err
	}
	profile, err := fields[corimProfile].tag(tagURI)
	if err != nil {
		return nil, err
	}
	if name, err := profile.text(maxTextBytes); err != nil || name != Profile {
		return nil, profile.fail("another profile than %s: it must be refused (section 4.1.4)", Profile)
	}
	if d.ID, err = fields[corimID].text(maxIDBytes); err != nil {
		return nil, err
	}
	if err := d.readValidity(fields[corimValidity]); err != nil {
		return nil, err
	}
	if err := d.readTags(fields[corimTags]); err != nil {
		return nil, err
	}
	if err := d.Additions().Check(); err != nil { // such as an entry that stands twice
		return nil, root.fail("%v", err)
	}
	return d, nil
}

func (d *Document) readValidity(i item) error {
	ends, err := i.fields(nil, notBefore, notAfter)
	if err != nil {
		return err
	}
	if d.NotBefore, err = readTime(ends[notBefore]); err != nil {
		return err
	}
	if d.NotAfter, err = readTime(ends[notAfter]); err != nil {
		return err
	}
	if d.NotAfter.Before(d.NotBefore) {
		return i.fail("it ends before it begins")
	}
	return nil
}

// readTime takes whole seconds up to the year 9999.
func readTime(i item) (time.Time, error) {
	const last = 253402300799
	content, err := i.tag(tagTime)
	if err != nil {
		return time.Time{}, err
	}
	seconds, err := content.integer()
	if err == nil && (seconds < 0 || seconds > last) {
		err = i.fail("want whole seconds since 1970, up to the year 9999")
	}
	return time.Unix(seconds, 0).UTC(), err
}

// readTags reads the one CoMID.
func (d *Document) readTags(i item) error {
	tag, err := i.single()
	if err != nil {
		return err
	}
	if tag, err = tag.tag(tagCoMID); err != nil {
		return err
	}
	comid, err := tag.wrapped()
	if err != nil {
		return err
	}
	fields, err := comid.fields(nil, comidIdentity, comidTriples)
	if err != nil {
		return err
	}
	identity, err := fields[comidIdentity].only(tagID)
	if err != nil {
		return err
	}
	if id, err := identity.text(maxIDBytes); err != nil || id != d.ID {
		return identity.fail("the CoMID must have the id of the CoRIM, in which it is the only one")
	}
	return d.readTriples(fields[comidTriples])
}

func (d *Document) readTriples(i item) error {
	triples, err := i.fields([]int64{tripleReference, tripleKey, tripleCondition})
	if err != nil {
		return err
	}
	if len(triples) == 0 {
		return i.fail("no triples")
	}
	for _, kind := range []struct {
		key  int64
		read func(item) error
	}{{tripleReference, d.readReference}, {tripleKey, d.readKeys}, {tripleCondition, d.readWithdrawal}} {
		list, found := triples[kind.key]
		if !found {
			continue
		}
		records, err := list.list()
		if err != nil {
			return err
		}
		if kind.key == tripleKey && len(records) > 1 {
			return list.fail("more than one: all keys of the manufacturer stand in one list")
		}
		for _, record := range records {
			if err := kind.read(record); err != nil {
				return err
			}
		}
	}
	return nil
}

// readReference reads a reference-triple-record (section 5.1.5). Each revision is a state of its own and so a record of its own.
func (d *Document) readReference(i item) error {
	parts, err := i.tuple(2)
	if err != nil {
		return err
	}
	environment, err := parts[0].only(environmentClass)
	if err != nil {
		return err
	}
	var r Reference
	if r.Model, err = d.readClass(environment, true); err != nil {
		return err
	}
	element, value, err := readMeasurement(parts[1])
	if err != nil {
		return err
	}
	if element != ElementFirmware {
		return parts[1].fail("a reference value is of the element %q only", ElementFirmware)
	}
	version, err := value.only(valueVersion)
	if err == nil {
		version, err = version.only(versionText)
	}
	if err == nil {
		r.Revision, err = version.text(maxTextBytes)
	}
	if err != nil {
		return err
	}
	if err := r.additions().Check(); err != nil {
		return i.fail("%v", err)
	}
	d.References = append(d.References, r)
	return nil
}

// readKeys reads an attest-key-triple-record (section 5.1.10).
func (d *Document) readKeys(i item) error {
	parts, err := i.tuple(2)
	if err != nil {
		return err
	}
	environment, err := parts[0].only(environmentClass)
	if err != nil {
		return err
	}
	if _, err := d.readClass(environment, false); err != nil {
		return err
	}
	keys, err := parts[1].list()
	if err != nil {
		return err
	}
	for _, key := range keys {
		content, err := key.tag(tagKey)
		if err != nil {
			return err
		}
		text, err := content.pem()
		if err != nil {
			return err
		}
		d.Keys = append(d.Keys, text)
	}
	return nil
}

// pem is a public key as a trust file holds it.
func (i item) pem() (string, error) {
	var text string
	if err := i.decode(&text, "a text"); err != nil {
		return "", err
	}
	if len(text) > maxPEMBytes {
		return "", i.fail("a key of %d bytes", len(text))
	}
	if err := (&trust.Additions{CredentialKeys: []string{text}}).Check(); err != nil {
		return "", i.fail("%v", err)
	}
	return text, nil
}

// readClass reads the class of all devices of the manufacturer, or of a model. The first one says who the manufacturer is.
func (d *Document) readClass(i item, ofModel bool) (model string, err error) {
	keys := []int64{classID, classVendor}
	if ofModel {
		keys = append(keys, classModel)
	}
	fields, err := i.fields(nil, keys...)
	if err != nil {
		return "", err
	}
	vendor, err := fields[classVendor].text(maxURIBytes)
	if err != nil {
		return "", err
	}
	id, err := readOEMID(fields[classID])
	if err != nil {
		return "", err
	}
	if d.Issuer == "" {
		d.Issuer, d.OEMID = vendor, id
	}
	if d.Issuer != vendor || d.OEMID != id {
		return "", i.fail("another manufacturer than that of the entries before")
	}
	if ofModel {
		model, err = fields[classModel].text(maxTextBytes)
	}
	return model, err
}

func readOEMID(i item) (attest.OEMID, error) {
	content, err := i.tag(tagBytes)
	if err != nil {
		return attest.OEMID{}, err
	}
	text, err := content.octets()
	if err != nil {
		return attest.OEMID{}, err
	}
	id, err := attest.ParseOEMID(string(text))
	if err != nil || id.String() != string(text) {
		return id, i.fail("want the bytes of an OEM id, as a trust file writes it: pen:NUMBER, ieee: and 6 hex digits, or random: and 32")
	}
	return id, nil
}

// readMeasurement reads a list of one measurement-map (section 5.1.4.5) with the name of its element.
func readMeasurement(i item) (element string, value item, err error) {
	measurement, err := i.single()
	if err != nil {
		return "", item{}, err
	}
	fields, err := measurement.fields(nil, measurementKey, measurementValue)
	if err != nil {
		return "", item{}, err
	}
	element, err = fields[measurementKey].text(maxTextBytes)
	return element, fields[measurementValue], err
}
