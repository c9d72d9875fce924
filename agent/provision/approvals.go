package provision

import (
	"path/filepath"

	"imei-attest/agent/softvault/privatefile"
	"imei-attest/attest/tpmprofile"
)

// SaveApproval keeps an approval in a folder under its own name. It is public: all devices of the release get it.
func SaveApproval(folder string, a tpmprofile.BootApproval) error {
	raw, err := a.Encode()
	if err != nil {
		return err
	}
	const publicFile = 0o644
	return privatefile.Replace(filepath.Join(folder, a.FileName()), raw, publicFile)
}
