// Package simulator runs the attacks of agent/tpmvault/attacktest on a second engine: the TPM simulator of Microsoft, the
// TCG's reference code, which go-tpm-tools compiles with cgo.
//
// It is a module of its own and holds tests only, so that neither the simulator nor what it depends upon becomes part of ours.
// It needs a C compiler and the headers of OpenSSL (Debian: gcc, libc6-dev, libssl-dev); `make test` runs it. When the
// requirements of our go.mod have changed, `CGO_ENABLED=1 go get -t .` in this folder follows them.
package simulator

import "imei-attest/testbench/peertest"

// compiler is what the simulator is missing where it is missing: its source comes with the module.
var compiler = peertest.Peer{Name: "Microsoft's TPM simulator", Program: "gcc", Package: "libssl-dev"}

const asserted = "refuses each attack of the table, as swtpm does"
