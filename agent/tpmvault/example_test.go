package tpmvault_test

import (
	"context"
	"fmt"
	"os"

	"imei-attest/agent/tpmvault"
	"imei-attest/agent/tpmvault/tpmdev"
	"imei-attest/attest/tpmprofile"
)

// A device's main opens the TPM and the vault in it.
func ExampleOpen() {
	ctx := context.Background()
	approvals, err := tpmprofile.LoadApprovals(os.DirFS("/etc/imei-agent/approvals"))
	if err != nil {
		fmt.Println(err)
		return
	}
	tpm, err := tpmdev.Open(ctx, "tpm:/dev/tpmrm0")
	if err != nil {
		fmt.Println(err)
		return
	}
	vault, err := tpmvault.Open(ctx, tpm, tpmvault.Config{Approvals: approvals, OnClose: tpm.Close})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer vault.Close()
	signature, err := vault.Signer(ctx).Sign(nil, []byte("a Sig_structure"))
	fmt.Println(len(signature), err)
}
