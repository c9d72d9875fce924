package imei_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"imei-attest/attest/imei"
)

func TestParseSent(t *testing.T) {
	tests := []struct {
		text string
		body string
		form imei.Form
		word imei.Word
	}{
		{"490154203237518", "49015420323751", imei.FormCheckDigit, ""},
		{"004999010640000", "00499901064000", imei.FormCheckDigit, ""},
		{"239639267144150", "23963926714415", imei.FormCheckDigit, ""},
		{"490154203237510", "49015420323751", imei.FormSpareDigit, ""},
		{"490154203237519", "49015420323751", imei.FormWrongCheckDigit, imei.WordLuhn},
		{"", "", 0, imei.WordBlank},
		{"   ", "", 0, imei.WordBlank},
		{"FFFFFFFFFFFFFFF", "", 0, imei.WordBlank},
		{"ffffffff", "", 0, imei.WordBlank},
		{"000000000000000", "", 0, imei.WordZero},
		{"00000000000000", "", 0, imei.WordZero},
		{"0000000000000000", "", 0, imei.WordZero},
		{"000000000000001", "", 0, imei.WordZero},
		{"888888888888888", "", 0, imei.WordRepeated},
		{"49015420323751", "", 0, imei.WordMalformed},
		{"35752007246698601", "", 0, imei.WordMalformed},
		{"1", "", 0, imei.WordMalformed},
		{"86277xxxxxxxxxx", "", 0, imei.WordMalformed},
		{"adsfasdfasdfasdf", "", 0, imei.WordMalformed},
		{"0x6030Cfgh", "", 0, imei.WordMalformed},
		{"49015420 323751", "", 0, imei.WordMalformed},
		{"４９０１５４２０３２３７５１８", "", 0, imei.WordMalformed},
		{"2623CKLQ0001234", "", 0, imei.WordNotIMEI},
		{"MP823G70600000017", "", 0, imei.WordNotIMEI},
		{"0x2214A600", "", 0, imei.WordNotIMEI},
		{"6030C012", "", 0, imei.WordNotIMEI},
		{"60300012", "", 0, imei.WordNotIMEI},
		{"A1000013FB653A", "", 0, imei.WordNotIMEI},
		{"45317471585658170:2161753034", "", 0, imei.WordNotIMEI},
		{"0x00A1000013FB653A:0x80D9BBCA", "", 0, imei.WordNotIMEI},
		{"12:34:zz", "", 0, imei.WordMalformed},
		{"49-015420-323751-8", "", 0, imei.WordMalformed},
		{"49015420******8", "", 0, imei.WordMalformed},
		{"550e8400-e29b-41d4-a716-446655440000", "", 0, imei.WordNotIMEI},
		{"4901542032375101", "", 0, imei.WordIMEISV},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			id, form, err := imei.ParseSent(tt.text)
			if id.Body() != tt.body || form != tt.form {
				t.Errorf("ParseSent(%q) = %q, form %d; want %q, form %d", tt.text, id.Body(), form, tt.body, tt.form)
			}
			checkWord(t, err, tt.word)
		})
	}
}

func checkWord(t *testing.T, err error, want imei.Word) {
	t.Helper()
	var e *imei.Error
	errors.As(err, &e)
	switch {
	case want == "" && err != nil:
		t.Errorf("error %v, want none", err)
	case want != "" && (e == nil || e.Word != want):
		t.Errorf("error %v, want the word %q", err, want)
	}
}

func TestParseWantsTheRightCheckDigit(t *testing.T) {
	for _, text := range []string{"490154203237510", "490154203237519"} {
		id, err := imei.Parse(text)
		checkWord(t, err, imei.WordLuhn)
		if !id.IsZero() {
			t.Errorf("Parse(%q) gave an IMEI beside its error", text)
		}
	}
}

func TestEveryOtherCheckDigitIsNoticed(t *testing.T) {
	for d := '0'; d <= '9'; d++ {
		_, form, err := imei.ParseSent("49015420323751" + string(d))
		if right := d == '8'; (err == nil && form == imei.FormCheckDigit) != right {
			t.Errorf("check digit %c: form %d, error %v", d, form, err)
		}
	}
}

func TestNothingPrintedShowsTheSerialNumber(t *testing.T) {
	const serial = "323751"
	id, err := imei.Parse("490154203237518")
	if err != nil {
		t.Fatal(err)
	}
	_, badErr := imei.Parse("490154203237519")
	sv, _ := imei.ParseIMEISV("4901542032375101")
	for _, text := range []string{id.String(), fmt.Sprintf("%v %+v %s", id, id, id), badErr.Error(), sv.String(),
		imei.Redact("urn:gsma:imei:49015420-323751-0")} {
		if strings.Contains(text, serial) {
			t.Errorf("%q shows the serial number", text)
		}
	}
	if got, want := id.String(), "49015420*****18"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestRedactAll(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "port 8080 of 127.0.0.1": "port 8080 of 127.0.0.1", "2026-11-21": "2026-11-21", "-": "-", "1234567890123": "1234567890123",
		`unexpected argument "490154203237518"`:  `unexpected argument "49015420*****18"`,
		"urn:gsma:imei:49015420-323751-0; other": "urn:gsma:imei:49015420-*****1-0; other",
		"49 015420 323751 8":                     "49 015420 *****1 8", "49/015420/323751/8!": "49/015420/*****1/8!",
		"49015420323751 and 4901542032375101x": "49015420****51 and 49015420******01x",
	} {
		if got := imei.RedactAll(text); got != want {
			t.Errorf("RedactAll(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestParseIMEISV(t *testing.T) {
	v, err := imei.ParseIMEISV("4901542032375101")
	if err != nil || v.IMEI.Digits() != "490154203237518" || v.SVN != "01" || v.Digits() != "4901542032375101" {
		t.Errorf("ParseIMEISV = %q %q, %v", v.Digits(), v.SVN, err)
	}
	for text, word := range map[string]imei.Word{
		"490154203237518": imei.WordMalformed, "0000000000000000": imei.WordZero,
		"": imei.WordBlank, "490154203237510x": imei.WordMalformed, "4901542032375101 ": imei.WordMalformed, "1111111111111111": imei.WordRepeated,
		"0000000000000001": imei.WordZero,
	} {
		_, err := imei.ParseIMEISV(text)
		checkWord(t, err, word)
	}
}

func TestParseURN(t *testing.T) {
	const body = "35693803564380"
	tests := []struct {
		text string
		want imei.URN
		err  error
		word imei.Word
	}{
		{text: "urn:gsma:imei:35693803-564380-0"},
		{text: "URN:GSMA:imei:35693803-564380-0"},
		{text: "<urn:gsma:imei:35693803-564380-0>"},
		{text: "urn:gsma:imei:35693803-564380-9", want: imei.URN{CheckDigitForm: true}},
		{text: "urn:gsma:imei:35693803-564380-0;svn=42", want: imei.URN{SVN: "42"}},
		{text: "urn:gsma:imei:35693803-564380-0;svn=42;vers=0", want: imei.URN{SVN: "42", Version: "0"}},
		{text: "urn:gsma:imei:35693803-564380-0;vers=0", want: imei.URN{Version: "0"}},
		{text: "urn:gsma:imei:35693803-564380-1", want: imei.URN{OtherDigit: true}},
		{text: "urn:gsma:imei:35693803-56438-0", err: imei.ErrURNSyntax},
		{text: "urn:gsma:imei:356938035643800", err: imei.ErrURNSyntax},
		{text: "urn:gsma:imei:35693803-564380", err: imei.ErrURNSyntax},
		{text: "urn:gsma:imei:3569380A-564380-0", err: imei.ErrURNSyntax},
		{text: "urn:gsma:imei:35693803-564380-0;", err: imei.ErrURNSyntax},
		{text: "urn:gsma:imei:35693803-564380-0;svn=4", err: imei.ErrURNSyntax},
		{text: "urn:gsma:imei:35693803-564380-0;svn=42;svn=43", err: imei.ErrURNSyntax},
		{text: "urn:gsma:imei:35693803-564380-0;vers=1", err: imei.ErrURNSyntax},
		{text: "urn:gsma:imei:35693803-564380-0;other=1", err: imei.ErrURNSyntax},
		{text: "urn:gsma:imei:", err: imei.ErrURNSyntax},
		{text: "urn:gsma:imei:00000000-000000-0", word: imei.WordZero},
		{text: "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", err: imei.ErrNotIMEIURN},
		{text: "", err: imei.ErrNotIMEIURN},
		{text: "356938035643809", err: imei.ErrNotIMEIURN},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := imei.ParseURN(tt.text)
			if tt.word != "" {
				checkWord(t, err, tt.word)
				return
			}
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			tt.want.IMEI, _ = imei.FromBody(body)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestUEID(t *testing.T) {
	id, _ := imei.Parse("490154203237518")
	u := id.UEID()
	if got, want := fmt.Sprintf("%x", u), "030409000105040200030203070501"; got != want {
		t.Errorf("UEID = %s, want %s", got, want)
	}
	back, err := imei.FromUEID(u)
	if err != nil || back != id {
		t.Errorf("FromUEID = %v, %v", back, err)
	}
	bad := append([]byte(nil), u...)
	bad[3] = 10
	for _, u := range [][]byte{nil, u[:14], append(u[:15:15], 0), bad, make([]byte, 15), append([]byte{3}, make([]byte, 14)...)} {
		if _, err := imei.FromUEID(u); err == nil {
			t.Errorf("FromUEID(%x) gave no error", u)
		}
	}
}

func TestTheZeroIMEIPrintsNothing(t *testing.T) {
	var id imei.IMEI
	if id.Digits() != "" || id.Body() != "" || id.URN() != "" || id.UEID() != nil || id.TAC() != "" || id.IsTestRange() {
		t.Error("the zero IMEI produced digits")
	}
}

// FuzzIMEI: what is accepted is 14 digits that every form carries there and back, and no error shows a full serial number.
func FuzzIMEI(f *testing.F) {
	for _, s := range []string{"490154203237518", "490154203237510", "4901542032375101", "urn:gsma:imei:35693803-564380-0;svn=42", "FFFFFFFFFFFFFFF", "0x2214A600"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, _, err := imei.ParseSent(s)
		if digits := strings.Trim(s, "0"); err != nil && len(digits) >= 14 && strings.Trim(digits, "0123456789") == "" && strings.Contains(err.Error(), s) {
			t.Errorf("the error shows the whole number %q", s)
		}
		if u, err := imei.ParseURN(s); err == nil {
			id = u.IMEI
		}
		if id.IsZero() {
			return
		}
		if back, err := imei.Parse(id.Digits()); err != nil || back != id {
			t.Errorf("%q: Parse(Digits) = %v, %v", s, back, err)
		}
		if back, err := imei.FromUEID(id.UEID()); err != nil || back != id {
			t.Errorf("%q: FromUEID(UEID) = %v, %v", s, back, err)
		}
		if u, err := imei.ParseURN(id.URN()); err != nil || u != (imei.URN{IMEI: id}) {
			t.Errorf("%q: ParseURN(URN) = %+v, %v", s, u, err)
		}
	})
}

func ExampleParse() {
	id, err := imei.Parse("490154203237518")
	fmt.Println(id, id.TAC(), err)
	_, err = imei.Parse("490154203237519")
	fmt.Println(err)
	// Output:
	// 49015420*****18 49015420 <nil>
	// luhn: "49015420*****19" has a wrong check digit: see whether a digit was mistyped
}
