package modemtest

// cmeError is why a command failed: a code of TS 27.007 clause 9.2.1. How much of it is told is for +CMEE to say.
type cmeError int

const (
	cmeNotAllowed    cmeError = 3
	cmeNotSupported  cmeError = 4
	cmeNoSIM         cmeError = 10
	cmeWantsPIN      cmeError = 11
	cmeWantsPUK      cmeError = 12
	cmeSIMFailure    cmeError = 13
	cmeWrongPassword cmeError = 16
	cmeMemoryFailure cmeError = 23
	cmeBadParameters cmeError = 50
)

var cmeTexts = map[cmeError]string{
	cmeNotAllowed:    "operation not allowed",
	cmeNotSupported:  "operation not supported",
	cmeNoSIM:         "SIM not inserted",
	cmeWantsPIN:      "SIM PIN required",
	cmeWantsPUK:      "SIM PUK required",
	cmeSIMFailure:    "SIM failure",
	cmeWrongPassword: "incorrect password",
	cmeMemoryFailure: "memory failure",
	cmeBadParameters: "incorrect parameters",
}

// Error is the text that +CMEE=2 asks for.
func (e cmeError) Error() string { return cmeTexts[e] }
