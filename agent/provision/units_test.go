package provision_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"imei-attest/agent/provision"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
)

const (
	unitsHead = "imei,imei2,serial,model\n"
	one, two  = attesttest.IMEI1, attesttest.IMEI2
)

func TestReadUnits(t *testing.T) {
	oem, _ := generate(t)
	units, err := oem.ReadUnits(strings.NewReader("\ufeffimei,imei2,serial,model\r\n"+one+",,7,\"router, 5G\"\r\n"+two+","+number(t, 1)+",1,m"), 2)
	if err != nil || len(units) != 2 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	if u := units[0]; u.Row != 1 || u.Line != 2 || u.Serial != 7 || u.Model != "router, 5G" || u.Class != 2 || len(u.Slots) != 1 || u.Slots[0].Digits() != one {
		t.Errorf("the first is %+v", u)
	}
	if u := units[1]; u.Row != 2 || u.Line != 3 || len(u.Slots) != 2 {
		t.Errorf("the second is %+v", u)
	}
}

func TestReadUnitsRefuses(t *testing.T) {
	oem, _ := generate(t)
	long := strings.Repeat("m", 33)
	for _, c := range []struct{ what, text, says string }{
		{"nothing", "", "line 1: the header"},
		{"no header", one + ",,1,m\n", "line 1: the header"},
		{"another header", "imei,serial,model\n", "line 1: the header"},
		{"no row", unitsHead, "no unit"},
		{"three fields", unitsHead + one + ",1,m\n", "line 2: 3 fields"},
		{"five fields", unitsHead + one + ",,1,m,x\n", "line 2: 5 fields"},
		{"no IMEI", unitsHead + ",,1,m\n", "line 2: slot 1"},
		{"a wrong check digit", unitsHead + one[:14] + "9,,1,m\n", "line 2: slot 1"},
		{"the spare digit, 0, for the check digit", unitsHead + one[:14] + "0,,1,m\n", "line 2: slot 1"},
		{"14 digits", unitsHead + one[:14] + ",,1,m\n", "line 2: slot 1"},
		{"a wrong second IMEI", unitsHead + one + ",1,1,m\n", "line 2: slot 2"},
		{"one IMEI twice", unitsHead + one + ",,1,m\n" + two + "," + one + ",1,m\n", "line 3: slot 2: 49015420*****18 stands in line 2"},
		{"one IMEI twice in a row", unitsHead + one + "," + one + ",1,m\n", "stands in line 2"},
		{"a TAC of others", unitsHead + attesttest.OtherIMEI + ",,1,m\n", "oem-anchor.yaml"},
		{"serial 0", unitsHead + one + ",,0,m\n", "serial"},
		{"serial -1", unitsHead + one + ",,-1,m\n", "serial"},
		{"a serial of 21 digits", unitsHead + one + ",,100000000000000000000,m\n", "serial"},
		{"no serial", unitsHead + one + ",,,m\n", "serial"},
		{"no model", unitsHead + one + ",,1,\n", "model has 0 bytes"},
		{"a long model", unitsHead + one + ",,1," + long + "\n", "model has 33 bytes"},
		{"a model with a NUL", unitsHead + one + ",,1,m\x00\n", "printed"},
		{"a model in Latin-1", unitsHead + one + ",,1,\xe9\n", "printed"},
		{"an open quote", unitsHead + one + ",,1,\"m\n", "RFC 4180"},
		{"a stray quote", unitsHead + one + ",,1,m\"\n", "RFC 4180"},
	} {
		_, err := oem.ReadUnits(strings.NewReader(c.text), 3)
		if !errors.Is(err, provision.ErrUnits) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.what, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), one[:14]) {
			t.Errorf("%s: shows a whole IMEI: %v", c.what, err)
		}
	}
}

func TestAllMistakesAreTold(t *testing.T) {
	oem, _ := generate(t)
	_, err := oem.ReadUnits(strings.NewReader(unitsHead+strings.Repeat("x,,0,\n", 150)), 3)
	if err == nil || !strings.Contains(err.Error(), "line 2: slot 1") || !strings.Contains(err.Error(), "line 3: the model") || !strings.Contains(err.Error(), "and 350 more") {
		t.Errorf("%v", err)
	}
}

// FuzzUnits: no IMEI stands twice in a list that is accepted, and the mistakes of one that is not show none whole.
func FuzzUnits(f *testing.F) {
	for _, seed := range []string{"", unitsHead, unitsHead + one + ",,1,m\n", unitsHead + two + "," + one + ",1,\"a,b\"\r\n", unitsHead + one + "\n" + one + ",\",\n"} {
		f.Add(seed)
	}
	oem := &provision.OEM{TACs: []string{"*"}}
	whole := regexp.MustCompile(`[0-9]{14}`)
	f.Fuzz(func(t *testing.T, text string) {
		units, err := oem.ReadUnits(strings.NewReader(text), 3)
		if err != nil {
			if whole.MatchString(err.Error()) {
				t.Errorf("shows an IMEI: %v", err)
			}
			return
		}
		seen := make(map[imei.IMEI]bool)
		for i, u := range units {
			for _, id := range u.Slots {
				if seen[id] {
					t.Errorf("%s stands twice", id)
				}
				seen[id] = true
			}
			if u.Row != i+1 || len(u.Slots) == 0 || u.Serial == 0 || u.Model == "" {
				t.Errorf("accepted: %+v", u)
			}
		}
	})
}
