// Package registrar is what the network side of a registration needs to be tried by: a UE with a USIM, a home subscriber
// server (the Cx interface), and configurations with which a real Kamailio is a registrar or an S-CSCF. Start with [StartSCSCF]
// and [UE.Register], or with [StartRegistrar].
//
// It is for tests and laboratories: everything listens on loopback, and the subscribers are made up.
package registrar
