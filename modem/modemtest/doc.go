// Package modemtest is a modem that can be programmed: for the tests of this project, for demonstrations without
// hardware, and for a laboratory that wants a modem to misbehave on purpose.
//
// Start with [New]. [Emulator.Pipe] gives a modem.Port in memory, [Emulator.ServePTY] a terminal that real programs can
// open. Vendor profiles are data ([Profiles]); faults are deterministic ([Fault], [NamedFaults]). The corpus of real answers is replayed
// with [Load] and [Check]. A real modem is recorded by [Relay], with other serial digits, and replayed by [NewReplay]. A man
// in the middle is [Intercept]; what a modem makes of commands that write its identity is a policy ([NamedPolicies]).
//
// It is never linked into a program that goes onto a device. It runs on Linux only.
package modemtest
