// Package kamailio holds the gate for Kamailio: include files with which a registrar or an S-CSCF asks the verifier about a registration before
// it keeps it. README.md is the operator's guide.
package kamailio

import "embed"

// Files are the include files: imei-attest.cfg, and one for each role.
//
//go:embed *.cfg
var Files embed.FS
