// Package modem asks a modem for its identity over AT commands and says how far the answers can be relied on.
//
// Start with [NewReader] on a [Port] (package serialport opens one) and call [Reader.Read]; its [Reading] is what the
// Attester compares with the provisioned IMEI. [Reader.Ask] runs one command.
//
// The modem is treated as an attacker. Whatever it sends, memory and time stay within the limits of this package, no
// answer is taken for the answer to another command, and two sources that disagree give no IMEI silently preferred
// but an [AgreementConflict]. An answer that is no IMEI is a finding in the Reading, not a failure: an error is returned
// only when nothing could be read at all.
//
// Nothing here writes an identity, resets the modem or loads its factory settings: see [ErrNotRead].
package modem
