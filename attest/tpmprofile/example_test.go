package tpmprofile_test

import (
	"bytes"
	"fmt"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/tpmprofile"
)

// A verifier computes the Name that the device key must have from the manufacturer's anchor and the Credential, and
// compares it with the Name the Credential carries.
func ExampleProfile_KeyName() {
	c := attesttest.Credential()
	profile := tpmprofile.Profile{
		NVKey:       &attesttest.Key("oem nv").PublicKey,
		BootPrimary: &attesttest.Key("oem boot").PublicKey,
		BootStandby: &attesttest.Key("oem boot standby").PublicKey,
		Variant:     attest.NVPlatform,
		Boot:        attest.BootMeasured,
	}
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	if err != nil {
		fmt.Println(err)
		return
	}
	name, err := profile.KeyName(c.Key, binding)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(name) == tpmprofile.NameBytes, bytes.Equal(name, c.Storage.KeyName))
	// Output: true false
}

func ExampleParsePCRs() {
	pcrs, _ := tpmprofile.ParsePCRs("sha256:7,4,0")
	fmt.Println(pcrs)
	_, err := tpmprofile.ParsePCRs("sha256:0,16")
	fmt.Println(err)
	// Output:
	// sha256:0,4,7
	// PCR list "sha256:0,16": PCR 16 can be reset or extended by any program, so it says nothing about the boot (refused: 16, 21, 22, 23)
}

// The manufacturer approves the registers of a firmware release once; every device of the release gets the file. It
// serves until boot firmware raises the device's epoch counter above 3.
func ExampleApprove() {
	keys := tpmprofile.BootKeys{
		Primary: &attesttest.Key("oem boot").PublicKey,
		Standby: &attesttest.Key("oem boot standby").PublicKey,
	}
	pcrs, _ := tpmprofile.ParsePCRs("sha256:0,4")
	measured := tpmprofile.PCRDigest([][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)})
	approval, err := tpmprofile.Approve(nil, keys, tpmprofile.RolePrimary, attesttest.Signer(attesttest.Key("oem boot")),
		tpmprofile.BootState{PCRs: pcrs, Digest: measured, Epoch: 3, Variant: attest.NVPlatform})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(approval.PolicyRef(), approval.Fits(measured), approval.Fits(pcrs.ResetDigest()))
	fmt.Println(approval.IsRevoked(3), approval.IsRevoked(4))
	// Output:
	// imei-boot true false
	// false true
}
