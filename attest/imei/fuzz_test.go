package imei_test

import (
	"regexp"
	"strings"
	"testing"

	"imei-attest/attest/imei"
)

// FuzzURN: what is accepted is what RFC 7254 writes for the parts that come out, but for case, brackets and the order of
// parameters: no two texts that differ in a digit name the same equipment.
func FuzzURN(f *testing.F) {
	for _, s := range []string{"urn:gsma:imei:35693803-564380-0", "<urn:gsma:imei:35693803-564380-9>", "URN:GSMA:IMEI:35693803-564380-1;svn=42;vers=0",
		"urn:gsma:imei:00000000-000000-0", "urn:gsma:imei:35693803-564380-0;vers=1", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := imei.ParseURN(text)
		if err != nil {
			if u != (imei.URN{}) {
				t.Errorf("ParseURN(%q) = %+v beside %v", text, u, err)
			}
			return
		}
		bare := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(text, "<"), ">"))
		value, params, _ := strings.Cut(bare, ";")
		if want := u.IMEI.URN(); len(value) != len(want) || value[:len(value)-1] != want[:len(want)-1] || u.CheckDigitForm && u.OtherDigit {
			t.Errorf("ParseURN(%q) = %+v, which is written %q", text, u, want)
		}
		third := value[len(value)-1]
		if isCheckDigit := third != '0' && third == u.IMEI.CheckDigit(); u.CheckDigitForm != isCheckDigit || u.OtherDigit != (third != '0' && !isCheckDigit) {
			t.Errorf("ParseURN(%q) = %+v with the third field %c", text, u, third)
		}
		svn, version := "svn="+string(u.SVN), "vers="+u.Version
		switch params {
		case "", svn, version, svn + ";" + version, version + ";" + svn:
		default:
			t.Errorf("ParseURN(%q) = %+v, but its parameters are %q", text, u, params)
		}
	})
}

// FuzzParts: IMEISV, software version and 14 digits are accepted exactly as they are written back, and no other text is.
func FuzzParts(f *testing.F) {
	for _, s := range []string{"4901542032375101", "01", "49015420323751", "0000000000000000", "490154203237510x", "٤٩"} {
		f.Add(s)
	}
	digits := regexp.MustCompile(`^[0-9]+$`)
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := imei.ParseIMEISV(text); (err == nil) != (v != imei.IMEISV{}) || err == nil && (v.Digits() != text || !digits.MatchString(text)) {
			t.Errorf("ParseIMEISV(%q) = %q, %v", text, v.Digits(), err)
		}
		if svn, err := imei.ParseSVN(text); err == nil && (string(svn) != text || len(text) != 2 || !digits.MatchString(text)) {
			t.Errorf("ParseSVN(%q) = %q", text, svn)
		}
		if id, err := imei.FromBody(text); err == nil && (id.Body() != text || id.IsZero() || !digits.MatchString(text)) {
			t.Errorf("FromBody(%q) = %q", text, id.Body())
		}
		if id, err := imei.FromUEID([]byte(text)); err == nil && string(id.UEID()) != text {
			t.Errorf("FromUEID(%x) = %x", text, id.UEID())
		}
	})
}

var longNumber = regexp.MustCompile(`[0-9]{14,}`)

// FuzzRedact: of each number of 14 digits or more at most the TAC and two more are shown, whatever is around it, and
// nothing else becomes of the text.
func FuzzRedact(f *testing.F) {
	for _, s := range []string{"490154203237518", "x=490154203237518;", "352656105937836,490154203237518", "49 015420 323751 8", "urn:gsma:imei:49015420-323751-0", "12345678"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, shown := range map[string]string{"Redact": imei.Redact(text), "RedactAll": imei.RedactAll(text)} {
			if len(shown) != len(text) {
				t.Fatalf("%s(%q) = %q", name, text, shown)
			}
			for _, at := range longNumber.FindAllStringIndex(text, -1) {
				if run := shown[at[0]:at[1]]; len(strings.ReplaceAll(run, "*", "")) > 10 {
					t.Errorf("%s(%q) = %q shows %q", name, text, shown, run)
				}
			}
			for i := range shown {
				if shown[i] != text[i] && shown[i] != '*' {
					t.Errorf("%s(%q) = %q", name, text, shown)
				}
			}
		}
	})
}
