package attest

import (
	"math"

	"github.com/fxamacker/cbor/v2"
)

// Nearly all messages are such as this package writes. They are read here and without the library, which takes an eighth of the time
// that a signature takes to verify. The functions say whether they read one; of what they did not, nobody knows what is wrong with it, if
// anything is, and it is decoded as any other. Labels are those in the tags of the structures.

// usualSign1 reads a message, without its tag, that has nothing unprotected but what Evidence may have there.
func usualSign1(untagged []byte) (m sign1, ok bool) {
	r := &reader{rest: untagged}
	r.array(4)
	m.Protected = r.bytes()
	m.Unprotected = r.enclosure()
	m.Payload, m.Signature = r.bytes(), r.bytes()
	return m, r.done()
}

// enclosure reads a Credential's frame and a proof, arrays of simple items both.
func (r *reader) enclosure() map[any]cbor.RawMessage {
	const depth = 2
	m := r.pairs()
	if m.left == 0 {
		return nil
	}
	found := make(map[any]cbor.RawMessage)
	if m.has(headerKCWT) {
		found[uint64(headerKCWT)] = r.simple(depth)
	}
	if m.has(headerTPMProof) {
		found[int64(headerTPMProof)] = r.simple(depth)
	}
	m.end()
	return found
}

// usualHeader reads the protected header that signMessage writes.
func usualHeader(raw []byte) (h protectedHeader, ok bool) {
	r := &reader{rest: raw}
	m := r.pairs()
	m.want(headerAlg)
	h.Algorithm = Algorithm(r.int())
	m.want(headerKeyID)
	h.KeyID = filled(r, r.bytes())
	if m.has(headerType) {
		h.Type = r.positive(math.MaxUint64)
	}
	m.end()
	return h, r.done()
}

// claimsRoom is where parts of claims go that are of no more use once the claims were looked at.
type claimsRoom struct {
	seconds  int64
	results  [MaxSlots]wireResult
	observed [MaxSlots]wireObserved
}

// usualClaims reads the claims of Evidence.
func usualClaims(payload []byte, room *claimsRoom) (w wireClaims, ok bool) {
	r := &reader{rest: payload}
	m := r.pairs()
	if m.has(6) {
		room.seconds = r.int()
		w.IssuedAt = &room.seconds
	}
	m.want(10)
	w.Nonce = r.bytes()
	m.want(256)
	r.fill(w.UEID[:])
	m.want(265)
	w.Profile = r.constant(EvidenceProfile)
	if m.has(266) {
		w.Submods = r.submods()
	}
	m.want(274)
	r.array(1)
	w.MeasRes[0] = r.measured(room)
	m.want(275)
	w.Use = r.unsigned()
	m.want(-70001)
	w.Observed = room.observed[:r.atMost(MaxSlots, majorArray)]
	for i := range w.Observed {
		w.Observed[i] = r.observed()
	}
	if m.has(-70002) {
		w.Modem = r.modem()
	}
	m.want(-70005)
	w.ReadingAge = r.unsigned()
	m.end()
	return w, r.done()
}

func (r *reader) submods() map[string]wireSubmod {
	n := r.count(majorMap)
	if n == 0 || n >= MaxSlots {
		r.fail()
		return nil
	}
	submods := make(map[string]wireSubmod, n)
	for i := range n {
		name := r.constant(slotName(2 + i))
		m, sub := r.pairs(), wireSubmod{}
		m.want(256)
		r.fill(sub.UEID[:])
		m.end()
		submods[name] = sub
	}
	return submods
}

func (r *reader) measured(room *claimsRoom) wireSystem {
	r.array(2)
	s := wireSystem{Name: r.constant(measuredModem), Results: room.results[:r.atMost(MaxSlots, majorArray)]}
	for i := range s.Results {
		r.array(2)
		s.Results[i] = wireResult{Name: r.constant(slotName(1 + i)), Result: Measurement(r.small())}
	}
	return s
}

func (r *reader) observed() (o wireObserved) {
	r.array(7)
	o.Slot = r.unsigned()
	switch {
	case r.skipNull():
	case r.isNext(majorText):
		o.M = r.text()
	default:
		o.M = r.bytes()
	}
	o.Flags = ReadingFlags(r.small())
	o.SVN = r.textOrNull()
	o.Methods = r.unsigned()
	if !r.skipNull() {
		o.Subscriber = r.bytes()
	}
	o.Error = r.textOrNull()
	return o
}

func (r *reader) modem() *ModemInfo {
	m, info := r.pairs(), new(ModemInfo)
	if m.has(1) {
		info.Manufacturer = filled(r, r.text())
	}
	if m.has(2) {
		info.Model = filled(r, r.text())
	}
	if m.has(3) {
		info.Revision = filled(r, r.text())
	}
	m.end()
	return info
}

func usualCredential(payload []byte) (w wireCredential, ok bool) {
	r := &reader{rest: payload}
	m := r.pairs()
	m.want(1)
	w.Issuer = r.text()
	m.want(6)
	w.IssuedAt = r.int()
	m.want(8)
	w.Confirmation.Key = r.confirmation()
	m.want(256)
	r.fill(w.UEID[:])
	m.want(258)
	w.OEMID = r.oemid()
	m.want(259)
	w.HWModel = r.bytes()
	if m.has(266) {
		w.Submods = r.submods()
	}
	m.want(-70011)
	w.Serial = r.unsigned()
	m.want(-70012)
	w.Storage = r.storage()
	m.want(-70013)
	w.ClientClass = r.small()
	m.end()
	return w, r.done()
}

func (r *reader) confirmation() (k coseKey) {
	outer := r.pairs()
	outer.want(1)
	m := r.pairs()
	m.want(1)
	k.Type = int(r.small())
	m.want(-1)
	k.Curve = int(r.small())
	m.want(-2)
	k.X = r.bytes()
	m.want(-3)
	k.Y = r.bytes()
	m.end()
	outer.end()
	return k
}

func (r *reader) oemid() OEMID {
	if r.isNext(majorUnsigned) {
		return PENOEMID(uint32(r.positive(math.MaxUint32)))
	}
	octets := r.bytes()
	if len(octets) != ieeeOEMIDBytes && len(octets) != randomOEMIDBytes {
		r.fail()
	}
	return OEMID{octets: string(octets)}
}

func (r *reader) storage() (s wireStorage) {
	m := r.pairs()
	m.want(1)
	s.Kind = StorageKind(r.small())
	m.want(2)
	s.Boot = BootKind(r.small())
	if m.has(3) {
		s.NV = NVVariant(r.positive(math.MaxUint8))
	}
	if m.has(4) {
		s.EKNameHash = filled(r, r.bytes())
	}
	m.want(5)
	s.RecordID = r.bytes()
	s.RollbackProtected = m.has(6) && r.yes()
	if m.has(7) {
		s.KeyName = filled(r, r.bytes())
	}
	m.end()
	return s
}
