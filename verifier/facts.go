package verifier

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/imei"
)

// Facts are all that a judgement rests on: what cryptography, the trust folder, the operator's list and the store said of one question. Whatever is
// found, is found from them and the [Rules] alone, so a judgement can be made again. They name nobody: an IMEI is an
// [Identity], and of the subscriber only stands what was found about him.
type Facts struct {
	Now time.Time `json:"now" cbor:"1,keyasint"`
	// Shown is the registration, nil when none is judged.
	Shown *Shown `json:"registration,omitempty" cbor:"2,keyasint,omitempty"`
	// Refusal is why the evidence was not looked into; empty if it verified, or there was none.
	Refusal  attest.Reason `json:"refusal,omitempty" cbor:"3,keyasint,omitempty"`
	Evidence *Verified     `json:"evidence,omitempty" cbor:"4,keyasint,omitempty"` // nil unless it verified
	// Reuse is the reason that the nonce's history gave after the judgement; the judgement is then void.
	Reuse attest.Reason `json:"reuse,omitempty" cbor:"5,keyasint,omitempty"`
	// Endorsed and Prior are what is known of the IMEI that was shown, where no evidence speaks for it: whether any device attested
	// for it, and an earlier result.
	Endorsed bool   `json:"endorsed,omitempty" cbor:"6,keyasint,omitempty"`
	Prior    *Prior `json:"prior,omitempty" cbor:"7,keyasint,omitempty"`
	// Seen are the subscribers that attested for the IMEI that was shown, the latest last. Of a device that is known they
	// may be left out if that was this one alone for 30 days, or as long as the policy looks back if that is longer.
	Seen []Seen `json:"seen,omitempty" cbor:"8,keyasint,omitempty"`
	// Views are what the subscriber showed in NAS and in IMS.
	Views *Views `json:"views,omitempty" cbor:"9,keyasint,omitempty"`
	// Listed is what the operator's list says of the IMEI that the network was shown.
	Listed Listed `json:"listed,omitzero" cbor:"10,keyasint,omitzero"`
}

// Identity is an IMEI in Facts: its TAC, and a number that tells the IMEIs of one question apart. The zero value is none.
type Identity struct {
	TAC    imei.TAC `cbor:"1,keyasint"`
	Number uint8    `cbor:"2,keyasint"`
}

// String is the TAC and the number, as in 35693803#1.
func (i Identity) String() string {
	if i == (Identity{}) {
		return ""
	}
	return string(i.TAC) + "#" + strconv.Itoa(int(i.Number))
}

// MarshalText implements encoding.TextMarshaler.
func (i Identity) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *Identity) UnmarshalText(text []byte) error {
	*i = Identity{}
	if len(text) == 0 {
		return nil
	}
	tac, number, _ := strings.Cut(string(text), "#")
	n, err := strconv.ParseUint(number, 10, 8)
	if err != nil || n == 0 || len(tac) != 8 {
		return fmt.Errorf("%q is no identity: want a TAC, # and a number", text)
	}
	i.TAC, i.Number = imei.TAC(tac), uint8(n)
	return nil
}

// isTestRange reports an IMEI of the test allocation: reporting body 00 (GSMA TS.06).
func (i Identity) isTestRange() bool { return strings.HasPrefix(string(i.TAC), "00") }

// Shown is a registration without the identities in it.
type Shown struct {
	Front     Front           `json:"front,omitempty" cbor:"1,keyasint,omitempty"`
	IMEI      Identity        `json:"imei" cbor:"2,keyasint"`                        // S, zero when none is shown
	Remarks   []attest.Reason `json:"remarks,omitempty" cbor:"3,keyasint,omitempty"` // on how it is shown
	Initial   bool            `json:"initial,omitempty" cbor:"4,keyasint,omitempty"`
	Emergency bool            `json:"emergency,omitempty" cbor:"5,keyasint,omitempty"`
	Ends      bool            `json:"ends,omitempty" cbor:"6,keyasint,omitempty"` // a deregistration
	// Subscribed: the network named the subscriber. IMS: what it named is of IMS, so that the client has a tier.
	Subscribed bool `json:"subscribed,omitempty" cbor:"7,keyasint,omitempty"`
	IMS        bool `json:"ims,omitempty" cbor:"8,keyasint,omitempty"`
	// Tie is what ties the evidence to the subscriber; empty without evidence or subscriber.
	Tie       attest.Reason `json:"tie,omitempty" cbor:"9,keyasint,omitempty"`
	AKA       bool          `json:"aka,omitempty" cbor:"10,keyasint,omitempty"`
	Auth      string        `json:"auth,omitempty" cbor:"11,keyasint,omitempty"`
	Protected string        `json:"integrity_protected,omitempty" cbor:"12,keyasint,omitempty"`
	Sender    string        `json:"sender,omitempty" cbor:"13,keyasint,omitempty"`
	// SameBinding: the earlier result answered a request of the same registration.
	SameBinding bool `json:"same_binding,omitempty" cbor:"14,keyasint,omitempty"`
}

// byNetwork tells what the network saw from a device's statement about itself, which can only worsen a result: it
// opens no challenge, claims no exemption and rests on no earlier result.
func (s *Shown) byNetwork() bool { return s != nil && s.Front != FrontDevice }

// isExempt is step 0: what is never judged. Emergencies are never refused, and a deregistration asks for nothing. The device's own
// word for either does not count.
func (f *Facts) isExempt() bool {
	return f.Shown.byNetwork() && (f.Shown.Emergency || f.Shown.Ends)
}

// Verified is evidence that verified, with the Credential it verified under.
type Verified struct {
	Nonce attest.Nonce `json:"nonce" cbor:"1,keyasint"`
	// Challenged: it answers the authentication challenge of the very registration.
	Challenged bool       `json:"challenged,omitempty" cbor:"2,keyasint,omitempty"`
	Minted     time.Time  `json:"minted,omitzero" cbor:"3,keyasint,omitzero"` // the earliest that the nonce can have been; zero where nothing is known of it
	Slots      []SlotFact `json:"slots" cbor:"4,keyasint"`
	// Outdated: the token tells other provisioned IMEIs than the Credential.
	Outdated   bool          `json:"outdated,omitempty" cbor:"5,keyasint,omitempty"`
	ReadingAge time.Duration `json:"reading_age_ns,omitempty" cbor:"6,keyasint,omitempty"`
	Revision   string        `json:"modem_revision,omitempty" cbor:"7,keyasint,omitempty"`         // of the modem's firmware, as the agent read it now or earlier
	Untold     bool          `json:"modem_revision_untold,omitempty" cbor:"23,keyasint,omitempty"` // not now

	Issuer      string             `json:"issuer" cbor:"8,keyasint"`
	Model       string             `json:"hwmodel" cbor:"9,keyasint"`
	Serial      uint64             `json:"serial" cbor:"10,keyasint"`
	ClientClass uint8              `json:"client_class" cbor:"11,keyasint"`
	Kind        attest.StorageKind `json:"storage_kind" cbor:"12,keyasint"`
	NV          attest.NVVariant   `json:"nv_variant,omitempty" cbor:"13,keyasint,omitempty"`
	Boot        attest.BootKind    `json:"boot" cbor:"14,keyasint"`
	Protected   bool               `json:"rollback_protected,omitempty" cbor:"15,keyasint,omitempty"`
	Lifted      bool               `json:"emulation_vouched,omitempty" cbor:"16,keyasint,omitempty"` // a laboratory's anchor vouches for emulated storage
	Firmware    attest.Reason      `json:"firmware,omitempty" cbor:"17,keyasint,omitempty"`          // how the reference values have it
	TPMDenied   bool               `json:"tpm_firmware_denied,omitempty" cbor:"18,keyasint,omitempty"`
	Weakness    attest.Reason      `json:"weakness,omitempty" cbor:"19,keyasint,omitempty"` // as the register of weaknesses has it
	Key         attest.KeyID       `json:"key" cbor:"20,keyasint"`
	Proved      *State             `json:"proved,omitempty" cbor:"21,keyasint,omitempty"` // by profile B
	Kept        State              `json:"kept,omitzero" cbor:"22,keyasint,omitzero"`     // what the store had of the device key
}

// SlotFact is one slot of the device: what was provisioned, what the modem said, and who holds the IMEI.
type SlotFact struct {
	Provisioned Identity            `json:"provisioned" cbor:"1,keyasint"`              // P, zero if there is none
	Reported    Identity            `json:"reported" cbor:"2,keyasint"`                 // M, zero where the modem gave no IMEI
	Word        imei.Word           `json:"word,omitempty" cbor:"3,keyasint,omitempty"` // why it gave none
	Flags       attest.ReadingFlags `json:"flags,omitempty" cbor:"4,keyasint,omitempty"`
	Measured    attest.Measurement  `json:"measured,omitempty" cbor:"5,keyasint,omitempty"` // the agent's own comparison; 0 where it has none
	// Holder is whose the IMEI was; Stands: that one's Credential still counts.
	Holder Holder `json:"holder,omitzero" cbor:"6,keyasint,omitzero"`
	Stands bool   `json:"holder_stands,omitempty" cbor:"7,keyasint,omitempty"`
}

// Seen is a subscriber that attested for an IMEI. Same: it is the one who registers.
type Seen struct {
	At   time.Time `json:"at" cbor:"1,keyasint"`
	Same bool      `json:"same,omitempty" cbor:"2,keyasint,omitempty"`
}
