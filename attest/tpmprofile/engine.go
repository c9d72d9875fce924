package tpmprofile

import (
	"slices"

	"imei-attest/attest"
)

// Engine is what a TPM says of itself, for people and for choosing the storage kind at the factory. It grades no
// evidence: the Credential does, and any program can claim any vendor.
type Engine struct {
	Manufacturer string // TPM_PT_MANUFACTURER, such as "IFX" (TCG TPM Vendor ID Registry)
	Firmware     string // TPM_PT_FIRMWARE_VERSION_1 and _2 as four decimal numbers
	// EKNameHash is the SHA-256 of the Name of the endorsement key of the TCG's ECC P-256 template (EK Credential
	// Profile, template L-2): it tells two TPMs apart.
	EKNameHash [32]byte
}

// Vendors of the TCG TPM Vendor ID Registry. Emulators answer as their authors: swtpm as IBM, Microsoft's reference
// code and the virtual TPMs made of it as MSFT.
var (
	emulatorVendors = []string{"IBM", "MSFT"}
	chipVendors     = []string{"IFX", "STM", "NTC", "NTZ", "NSG", "ATML"}
)

// IsEmulator reports a TPM that is a program. A Credential for it says so whatever the factory asks for.
func (e Engine) IsEmulator() bool { return slices.Contains(emulatorVendors, e.Manufacturer) }

// Kind is the storage kind to vouch for unless the manufacturer knows better: a chip of a maker of chips is discrete,
// any other is firmware, which claims less.
func (e Engine) Kind() attest.StorageKind {
	switch {
	case e.IsEmulator():
		return attest.StorageTPMEmulated
	case slices.Contains(chipVendors, e.Manufacturer):
		return attest.StorageTPMDiscrete
	}
	return attest.StorageTPMFirmware
}
