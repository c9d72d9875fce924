package registrar

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKamailioIsMissing says what to install, also where a package of several is missing.
func TestKamailioIsMissing(t *testing.T) {
	defer func(before string) { modulesAt = before }(modulesAt)
	modulesAt = t.TempDir()
	for _, present := range []string{"", "tm.so", "ims_registrar_scscf.so"} {
		if present != "" {
			if err := os.WriteFile(filepath.Join(modulesAt, present), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, errSCSCF := StartSCSCF(t.Context(), t.TempDir(), nil, "", nil)
		_, errRegistrar := StartRegistrar(t.Context(), t.TempDir(), "")
		for _, err := range []error{errSCSCF, errRegistrar} {
			if !errors.Is(err, ErrNoKamailio) || !strings.Contains(err.Error(), "install the Debian packages kamailio kamailio-ims-modules kamailio-presence-modules ") {
				t.Errorf("with %q: %v", present, err)
			}
		}
	}
}
