// Package attest holds what travels between a device and a verifier, and how it is signed: [Claims] and [Evidence],
// the manufacturer's [Credential], the [Nonce], and the [Result] with its reasons. It reads no clock, opens nothing
// and keeps no state; whoever needs a time or a random source passes it.
//
// A device starts with [SignEvidence], a manufacturer with [SignCredential]. A verifier starts with [DecodeEvidence],
// finds the device key in a Credential that [KeySet.VerifyCredential] returned, calls [Evidence.Verify], and records
// what it finds with [Submod.Add].
//
// The decoders are strict: what they accept is the one deterministic encoding of what they return, besides claims and
// header parameters that they do not know. What they refuse gives a [*FormatError], never a panic, and its message
// never holds what the sender chose. The formats are described in README.md and, normatively, in profile.cddl.
package attest
