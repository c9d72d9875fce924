package tpmvault

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"imei-attest/attest/tpmprofile"
)

// readEngine asks a TPM what it is; the EKNameHash stays empty.
func readEngine(t contextTPM) (tpmprofile.Engine, error) {
	const count = uint32(tpm2.TPMPTFirmwareVersion2-tpm2.TPMPTManufacturer) + 1
	values, err := properties(t, tpm2.TPMPTManufacturer, count)
	if err != nil {
		return tpmprofile.Engine{}, err
	}
	v1, v2 := values[tpm2.TPMPTFirmwareVersion1], values[tpm2.TPMPTFirmwareVersion2]
	return tpmprofile.Engine{
		Manufacturer: vendorText(values[tpm2.TPMPTManufacturer]),
		Firmware:     fmt.Sprintf("%d.%d.%d.%d", v1>>16, v1&0xFFFF, v2>>16, v2&0xFFFF),
	}, nil
}

// vendorText turns four characters padded with NUL or blank into text; what is not printable becomes a dot.
func vendorText(value uint32) string {
	text := binary.BigEndian.AppendUint32(nil, value)
	printable := strings.Map(func(r rune) rune {
		if r != 0 && (r < ' ' || r > '~') {
			return '.'
		}
		return r
	}, string(text))
	return strings.TrimRight(printable, "\x00 ")
}

// properties reads count TPM properties from first on (Part 3 section 30.2).
func properties(t contextTPM, first tpm2.TPMPT, count uint32) (map[tpm2.TPMPT]uint32, error) {
	response, err := tpm2.GetCapability{
		Capability: tpm2.TPMCapTPMProperties, Property: uint32(first), PropertyCount: count,
	}.Execute(t)
	if err != nil {
		return nil, explain("asking the TPM what it is", err)
	}
	list, err := response.CapabilityData.Data.TPMProperties()
	if err != nil {
		return nil, err
	}
	values := make(map[tpm2.TPMPT]uint32, len(list.TPMProperty))
	for _, p := range list.TPMProperty {
		values[p.Property] = p.Value
	}
	return values, nil
}
