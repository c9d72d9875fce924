package diameter

// ResultCode says what became of a request (RFC 6733 section 7.1).
type ResultCode uint32

// The Result-Codes that are used here.
const (
	Success                ResultCode = 2001
	CommandUnsupported     ResultCode = 3001
	UnableToDeliver        ResultCode = 3002
	RealmNotServed         ResultCode = 3003
	TooBusy                ResultCode = 3004
	ApplicationUnsupported ResultCode = 3007
	InvalidHeaderBits      ResultCode = 3008
	InvalidAVPBits         ResultCode = 3009
	UnknownPeer            ResultCode = 3010
	AVPUnsupported         ResultCode = 5001
	InvalidAVPValue        ResultCode = 5004
	MissingAVP             ResultCode = 5005
	AVPOccursTooManyTimes  ResultCode = 5009
	NoCommonApplication    ResultCode = 5010
	UnsupportedVersion     ResultCode = 5011
	UnableToComply         ResultCode = 5012
	InvalidAVPLength       ResultCode = 5014
	InvalidMessageLength   ResultCode = 5015
	NoCommonSecurity       ResultCode = 5017
)

// IsProtocolError reports one of those that answers carry with the bit E (RFC 6733 section 7.1.3).
func (c ResultCode) IsProtocolError() bool { return c/1000 == 3 }

// Error is what is wrong with a message, and what to answer. Nothing that a device or a subscriber is known by is in the text.
type Error struct {
	Code    ResultCode
	Failed  []byte // the offending AVP as a Failed-AVP holds it (RFC 6733 section 7.5); nil without one
	Problem string
}

func (e *Error) Error() string { return "Diameter: " + e.Problem }

// Invalid is the error about a value that the AVP must not have.
func (a *AVP) Invalid(problem string) *Error {
	return &Error{Code: InvalidAVPValue, Failed: a.Append(nil), Problem: problem}
}

// AppendFailed appends the Failed-AVP of an error, if it has one that a message has room for.
func (e *Error) AppendFailed(to []byte) []byte {
	if e.Failed == nil || len(e.Failed) > MaxBytes/2 {
		return to
	}
	return AppendGroup(to, FailedAVP, func(to []byte) []byte { return append(to, e.Failed...) })
}

// In puts the offending AVP into the group in which it stood, so that the peer knows which one is meant (RFC 6733 section 7.5).
func (e *Error) In(group ID) *Error {
	if e.Failed == nil {
		return e
	}
	inside := e.Failed
	return &Error{Code: e.Code, Problem: e.Problem, Failed: AppendGroup(nil, group, func(to []byte) []byte { return append(to, inside...) })}
}
