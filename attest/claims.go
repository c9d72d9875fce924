package attest

import (
	"bytes"
	"time"
	"unicode/utf8"

	"imei-attest/attest/imei"
)

// Measurement is the result of comparing one slot's IMEI with the provisioned one (RFC 9711 section 4.2.16.2,
// measurement results: 1 comparison-successful, 2 comparison-fail, 3 comparison-not-run, 4 measurement-absent).
type Measurement uint8

// The results of a comparison. M is the modem's IMEI, P the provisioned one.
const (
	MeasuredEqual     Measurement = 1 // the 14 digits of M and P are equal
	MeasuredDifferent Measurement = 2 // M has other digits
	MeasuredNotRun    Measurement = 3 // M was not read or is no IMEI
	MeasuredNoRef     Measurement = 4 // no IMEI is provisioned for the slot
)

var measurementNames = [...]string{MeasuredEqual: "equal", MeasuredDifferent: "different", MeasuredNotRun: "not-run", MeasuredNoRef: "no-reference"}

// String names the result.
func (m Measurement) String() string {
	if m < MeasuredEqual || m > MeasuredNoRef {
		return "none"
	}
	return measurementNames[m]
}

// ReadingFlags are remarks on how the modem gave a slot's IMEI.
type ReadingFlags uint8

// The bits of the flags in the observed claim.
const (
	FlagSpareDigit      ReadingFlags = 1 << iota // a 0 stood in place of the check digit
	FlagCheckDigitWrong                          // the check digit was wrong
	FlagRestartSeen                              // the modem restarted while it was read
	FlagSourcesDisagree                          // two commands gave two IMEIs
)

// Observed is what the modem answered for one slot. Exactly one of IMEI, Text and Error tells it.
type Observed struct {
	Slot  int       // 1..4
	IMEI  imei.IMEI // M: the 14 digits, when the answer was an IMEI
	Text  string    // the answer as sent, at most 32 bytes, when it was no IMEI; empty for a blank answer
	Error string    // why there is no answer at all: a word of the corpus (timeout, error, cme:..., ...)
	Flags ReadingFlags
	SVN   imei.SVN // software version, empty when the modem gave none
	// Methods is the set of commands that answered, as bits: 1 AT+CGSN=1, 2 AT+CGSN=2, 4 AT+CGSN=3, 8 AT+CGSN,
	// 16 AT+GSN, 32 a vendor's read form.
	Methods uint
	// Subscriber is SHA-256("imei-attest-sub-v1" || nonce || IMSI digits) or nil. An IMSI can be searched for from it:
	// it travels only over TLS and never into a log.
	Subscriber []byte
}

// ModemInfo is how the modem names itself; at most 32 bytes each.
type ModemInfo struct {
	Manufacturer string `cbor:"1,keyasint,omitempty"`
	Model        string `cbor:"2,keyasint,omitempty"`
	Revision     string `cbor:"3,keyasint,omitempty"`
}

// Claims is the payload of Evidence.
type Claims struct {
	IssuedAt     time.Time     // UTC, whole seconds, informative; zero on devices without a clock
	Nonce        Nonce         // 8..64 bytes
	Provisioned  []imei.IMEI   // P: 1..4, slot 1 first
	Measurements []Measurement // one per slot, 1..4
	Registration bool          // the intended use is a registration
	Observed     []Observed    // one per slot, in the order of Measurements
	Modem        ModemInfo     // zero when left out
	// ReadingAge is the time between the modem's last answer and signing, whole milliseconds.
	ReadingAge time.Duration
}

// wireClaims is Claims as encoded.
type wireClaims struct {
	IssuedAt   *int64                `cbor:"6,keyasint,omitempty"`
	Nonce      []byte                `cbor:"10,keyasint"`
	UEID       ueid                  `cbor:"256,keyasint"`
	Profile    string                `cbor:"265,keyasint"`
	Submods    map[string]wireSubmod `cbor:"266,keyasint,omitempty"`
	MeasRes    [1]wireSystem         `cbor:"274,keyasint"`
	Use        uint64                `cbor:"275,keyasint"`
	Observed   []wireObserved        `cbor:"-70001,keyasint"`
	Modem      *ModemInfo            `cbor:"-70002,keyasint,omitempty"`
	ReadingAge uint64                `cbor:"-70005,keyasint"`
}

// wireSystem is one measured system and its results (RFC 9711 section 4.2.16.2).
type wireSystem struct {
	_       struct{} `cbor:",toarray"`
	Name    string
	Results []wireResult
}

type wireResult struct {
	_      struct{} `cbor:",toarray"`
	Name   string
	Result Measurement
}

// wireObserved is one slot. M is a byte string of 14 digits, a text, or nil with the error word in Error.
type wireObserved struct {
	_          struct{} `cbor:",toarray"`
	Slot       uint64
	M          any
	Flags      ReadingFlags
	SVN        *string
	Methods    uint64
	Subscriber []byte
	Error      *string
}

func (c *Claims) wire() (*wireClaims, error) {
	w := &wireClaims{Nonce: c.Nonce, Profile: EvidenceProfile, Use: useGeneric, ReadingAge: uint64(c.ReadingAge.Milliseconds())}
	if !c.IssuedAt.IsZero() {
		seconds := c.IssuedAt.Unix()
		w.IssuedAt = &seconds
	}
	if c.Registration {
		w.Use = useRegistration
	}
	if c.Modem != (ModemInfo{}) {
		w.Modem = &c.Modem
	}
	var err error
	if w.UEID, w.Submods, err = encodeSlots(c.Provisioned); err != nil {
		return nil, err
	}
	results := make([]wireResult, len(c.Measurements))
	for i, m := range c.Measurements {
		results[i] = wireResult{Name: slotName(i + 1), Result: m}
	}
	w.MeasRes[0] = wireSystem{Name: measuredModem, Results: results}
	for _, o := range c.Observed {
		w.Observed = append(w.Observed, o.wire())
	}
	// what is written must be readable: one set of rules for both directions
	_, err = w.claims()
	return w, err
}

func (o *Observed) wire() wireObserved {
	w := wireObserved{Slot: uint64(o.Slot), Flags: o.Flags, Methods: uint64(o.Methods), Subscriber: o.Subscriber}
	switch {
	case !o.IMEI.IsZero():
		w.M = []byte(o.IMEI.Body())
	case o.Error != "":
		w.Error = &o.Error
	default:
		w.M = o.Text
	}
	if o.SVN != "" {
		svn := string(o.SVN)
		w.SVN = &svn
	}
	return w
}

func (w *wireClaims) claims() (Claims, error) {
	if w.Profile != EvidenceProfile {
		return Claims{}, formatError(ClassProfile, "claim eat_profile", "another profile than %s", EvidenceProfile)
	}
	if err := w.checkScalars(); err != nil {
		return Claims{}, err
	}
	// the nonce is kept for longer than the rest
	c := Claims{Nonce: bytes.Clone(w.Nonce), Registration: w.Use == useRegistration, ReadingAge: time.Duration(w.ReadingAge) * time.Millisecond}
	if w.IssuedAt != nil {
		c.IssuedAt = time.Unix(*w.IssuedAt, 0).UTC()
	}
	if w.Modem != nil {
		c.Modem = *w.Modem
	}
	var err error
	if c.Provisioned, err = decodeSlots("claims", w.UEID, w.Submods); err != nil {
		return Claims{}, err
	}
	if c.Measurements, err = w.MeasRes[0].measurements(); err != nil {
		return Claims{}, err
	}
	if len(w.Observed) != len(c.Measurements) {
		return Claims{}, formatError(ClassClaim, "claim observed", "%d slots, but measres has %d", len(w.Observed), len(c.Measurements))
	}
	c.Observed = make([]Observed, len(w.Observed))
	for i := range w.Observed {
		if c.Observed[i], err = w.Observed[i].observed(i + 1); err != nil {
			return Claims{}, err
		}
	}
	return c, nil
}

func (w *wireClaims) checkScalars() error {
	const longestAge = 24 * time.Hour // no policy takes an older reading
	switch {
	case len(w.Nonce) < minNonceBytes || len(w.Nonce) > maxNonceBytes:
		return formatError(ClassClaim, "claim eat_nonce", "%d bytes, want %d to %d (RFC 9711 section 4.1)", len(w.Nonce), minNonceBytes, maxNonceBytes)
	case w.IssuedAt != nil && *w.IssuedAt < 0:
		return formatError(ClassClaim, "claim iat", "before 1970")
	case w.Use != useGeneric && w.Use != useRegistration:
		return formatError(ClassClaim, "claim intuse", "want %d or %d", useGeneric, useRegistration)
	case w.ReadingAge > uint64(longestAge.Milliseconds()):
		return formatError(ClassClaim, "claim reading age", "more than %v", longestAge)
	case w.Modem != nil && *w.Modem == (ModemInfo{}):
		return formatError(ClassClaim, "claim modem", "empty")
	case w.Modem != nil && (len(w.Modem.Manufacturer) > maxModemText || len(w.Modem.Model) > maxModemText || len(w.Modem.Revision) > maxModemText):
		return formatError(ClassClaim, "claim modem", "a text is longer than %d bytes", maxModemText)
	case w.Modem != nil && !utf8.ValidString(w.Modem.Manufacturer+w.Modem.Model+w.Modem.Revision):
		return formatError(ClassClaim, "claim modem", "a text is not UTF-8") // as a signer would find it too late
	}
	return nil
}

func (w *wireSystem) measurements() ([]Measurement, error) {
	const part = "claim measres"
	if w.Name != measuredModem {
		return nil, formatError(ClassClaim, part, "want one system, %q", measuredModem)
	}
	results := w.Results
	if len(results) == 0 || len(results) > MaxSlots {
		return nil, formatError(ClassClaim, part, "%d slots, want 1 to %d", len(results), MaxSlots)
	}
	ms := make([]Measurement, len(results))
	for i, r := range results {
		if r.Name != slotName(i+1) || r.Result < MeasuredEqual || r.Result > MeasuredNoRef {
			return nil, formatError(ClassClaim, part, "entry %d must be %s with a result of 1 to 4", i+1, slotName(i+1))
		}
		ms[i] = r.Result
	}
	return ms, nil
}

// observedParts names the slots in errors.
var observedParts = [MaxSlots]string{"claim observed slot1", "claim observed slot2", "claim observed slot3", "claim observed slot4"}

func (w *wireObserved) observed(slot int) (Observed, error) {
	const knownFlags = FlagSpareDigit | FlagCheckDigitWrong | FlagRestartSeen | FlagSourcesDisagree
	part := observedParts[slot-1]
	o := Observed{Slot: slot, Flags: w.Flags, Methods: uint(w.Methods), Subscriber: w.Subscriber}
	switch {
	case w.Slot != uint64(slot):
		return o, formatError(ClassClaim, part, "has another number")
	case w.Flags&^knownFlags != 0:
		return o, formatError(ClassClaim, part, "unknown flags %#x", w.Flags)
	case w.Methods >= 1<<16:
		return o, formatError(ClassClaim, part, "unknown methods")
	case w.Subscriber != nil && len(w.Subscriber) != subscriberBytes:
		return o, formatError(ClassClaim, part, "subscriber of %d bytes, want %d", len(w.Subscriber), subscriberBytes)
	case (w.M == nil) != (w.Error != nil):
		return o, formatError(ClassClaim, part, "an error word goes with null and with nothing else")
	}
	if w.SVN != nil {
		svn, err := imei.ParseSVN(*w.SVN)
		if err != nil {
			return o, formatError(ClassClaim, part, "svn is not two digits")
		}
		o.SVN = svn
	}
	return o, w.decodeM(part, &o)
}

// decodeM reads the three shapes of M. Fourteen digits travel as bytes, never as text, so that one answer has one encoding.
func (w *wireObserved) decodeM(part string, o *Observed) error {
	switch m := w.M.(type) {
	case nil:
		if *w.Error == "" || len(*w.Error) > maxObservedText || !utf8.ValidString(*w.Error) {
			return formatError(ClassClaim, part, "an error word has 1 to %d bytes", maxObservedText)
		}
		o.Error = *w.Error
	case []byte:
		id, err := imei.FromBody(string(m))
		if err != nil {
			return formatError(ClassClaim, part, "M as bytes is not the 14 digits of an IMEI")
		}
		o.IMEI = id
	case string:
		if len(m) > maxObservedText || !utf8.ValidString(m) {
			return formatError(ClassClaim, part, "text of %d bytes, at most %d", len(m), maxObservedText)
		}
		if _, _, err := imei.ParseSent(m); err == nil {
			return formatError(ClassClaim, part, "an IMEI must be sent as 14 bytes, not as text")
		}
		o.Text = m
	default:
		return formatError(ClassClaim, part, "M is neither bytes, text nor null")
	}
	return nil
}
