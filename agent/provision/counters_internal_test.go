package provision

import (
	"testing"

	"imei-attest/attest"
	"imei-attest/attest/tpmprofile"
)

func TestWhatCountsAsProtectedAgainstRollback(t *testing.T) {
	for _, c := range []struct {
		kind    attest.StorageKind
		variant attest.NVVariant
		says    bool // the manufacturer
		want    bool
	}{
		{attest.StorageTPMDiscrete, attest.NVPlatform, false, true},
		{attest.StorageTPMDiscrete, attest.NVOwner, false, false},
		{attest.StorageTPMDiscrete, attest.NVOwner, true, true},
		{attest.StorageTPMFirmware, attest.NVPlatform, false, false},
		{attest.StorageTPMFirmware, attest.NVPlatform, true, true},
		{attest.StorageTPMEmulated, attest.NVPlatform, false, false},
		{attest.StorageTPMEmulated, attest.NVPlatform, true, false},
	} {
		j := &job{Options: Options{RollbackProtected: c.says}, profile: tpmprofile.Profile{Variant: c.variant}}
		if got := j.isRollbackProtected(c.kind); got != c.want {
			t.Errorf("kind %s, NV variant %d, manufacturer says %t: %t, want %t", c.kind, c.variant, c.says, got, c.want)
		}
	}
}
