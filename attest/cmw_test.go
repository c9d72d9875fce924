package attest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"imei-attest/attest"
)

const eat = "application/eat+cwt"

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRecordsAreUnwrapped(t *testing.T) {
	value := []byte("\xd2\x84")
	for name, c := range map[string]struct {
		read func([]byte) (attest.CMW, error)
		raw  []byte
		want attest.CMW
	}{
		"JSON":                       {attest.DecodeCMWJSON, []byte(`["application/eat+cwt","0oQ"]`), attest.CMW{MediaType: eat, Value: value}},
		"JSON with an indicator":     {attest.DecodeCMWJSON, []byte(" [ \"application/eat+cwt\" , \"0oQ\" , 4 ]\n"), attest.CMW{MediaType: eat, Value: value, Indicator: 4}},
		"CBOR":                       {attest.DecodeCMWCBOR, unhex(t, "82 73 6170706c69636174696f6e2f6561742b637774 42 d284"), attest.CMW{MediaType: eat, Value: value}},
		"CBOR with an indicator":     {attest.DecodeCMWCBOR, unhex(t, "83 73 6170706c69636174696f6e2f6561742b637774 42 d284 04"), attest.CMW{MediaType: eat, Value: value, Indicator: 4}},
		"CBOR by its Content-Format": {attest.DecodeCMWCBOR, unhex(t, "82 190107 42 d284"), attest.CMW{MediaType: eat, Value: value}},
		"another Content-Format":     {attest.DecodeCMWCBOR, unhex(t, "82 1819 42 d284"), attest.CMW{MediaType: "CoAP Content-Format 25", Value: value}},
		"the tag of 263":             {attest.DecodeCMWCBOR, unhex(t, "da 63740209 42 d284"), attest.CMW{MediaType: eat, Value: value}},
		"the tag of 0":               {attest.DecodeCMWCBOR, unhex(t, "da 63740101 42 d284"), attest.CMW{MediaType: "CoAP Content-Format 0", Value: value}},
		"the last tag":               {attest.DecodeCMWCBOR, unhex(t, "da 6374ffff 42 d284"), attest.CMW{MediaType: "CoAP Content-Format 65024", Value: value}},
	} {
		if got, err := c.read(c.raw); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

func TestWhatIsNoRecordIsRefused(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing": "", "null": "null", "a collection": `{"eat":["application/eat+cwt","0oQ"]}`, "no elements": `[]`,
		"a type alone": `["application/eat+cwt"]`, "four elements": `["application/eat+cwt","0oQ",4,4]`,
		"a second record": `["application/eat+cwt","0oQ"]["application/eat+cwt","0oQ"]`, "a number as type": `[263,"0oQ"]`,
		"null as type": `[null,"0oQ"]`, "null as value": `["application/eat+cwt",null]`, "no media type": `["evidence","0oQ"]`,
		"an empty type": `["","0oQ"]`, "an empty value": `["application/eat+cwt",""]`, "padding": `["application/eat+cwt","0oQ="]`,
		"base64": `["application/eat+cwt","+/+/"]`, "bits that nothing uses": `["application/eat+cwt","0oR"]`, "a line break": `["application/eat+cwt","0o\nQ"]`,
		"indicator 0": `["application/eat+cwt","0oQ",0]`, "indicator 32": `["application/eat+cwt","0oQ",32]`,
		"a negative indicator": `["application/eat+cwt","0oQ",-4]`, "a null indicator": `["application/eat+cwt","0oQ",null]`,
		"an indicator in text": `["application/eat+cwt","0oQ","4"]`, "half a number": `["application/eat+cwt","0oQ",4.5]`,
		"text that is not UTF-8": "[\"application/eat+cwt\xff\",\"0oQ\"]", "CBOR": "\x82",
		"too long": `["application/eat+cwt","` + strings.Repeat("A", 2*attest.MaxTokenBytes) + `"]`,
	} {
		if got, err := attest.DecodeCMWJSON([]byte(raw)); attest.ClassOf(err) == "" {
			t.Errorf("JSON, %s: %+v, %v", name, got, err)
		}
	}
	const kind = "73 6170706c69636174696f6e2f6561742b637774"
	for name, raw := range map[string]string{
		"nothing": "", "null": "f6", "a collection": "a1 01 82 190107 42 d284", "no elements": "80", "a type alone": "81 190107",
		"four elements": "84 190107 42 d284 04 04", "a trailing byte": "82 190107 42 d284 00", "an end too early": "82 190107 42 d2",
		"an indefinite length": "9f 190107 42 d284 ff", "a number longer than it need be": "82 1a00000107 42 d284",
		"bytes as type": "82 42 d284 42 d284", "a negative type": "82 20 42 d284", "text as value": "82 190107 62 6162",
		"an array of numbers as value": "82 190107 82 01 02", "null as value": "82 190107 f6", "an empty value": "82 " + kind + " 40",
		"an empty type": "82 60 42 d284", "no media type": "82 63 656174 42 d284",
		"indicator 0": "83 190107 42 d284 00", "indicator 32": "83 190107 42 d284 1820", "a null indicator": "83 190107 42 d284 f6",
		"a negative indicator": "83 190107 42 d284 20", "a tag alone": "da 63740209", "a tag of something else": "da 00000001 42 d284",
		"a tag that ends in a byte no format has": "da 63740200 42 d284", "a tag over text": "da 63740209 62 6162", "a tag over a tag": "da 63740209 d2 84",
		"a tag over nothing": "da 63740209 40", "a short tag": "c1 42 d284", "JSON": hex.EncodeToString([]byte(`["application/eat+cwt","0oQ"]`)),
		"too long": "82 190107 59 4000" + strings.Repeat("00", 1<<14),
	} {
		if got, err := attest.DecodeCMWCBOR(unhex(t, raw)); attest.ClassOf(err) == "" {
			t.Errorf("CBOR, %s: %+v, %v", name, got, err)
		}
	}
}

// FuzzCMW: what is taken holds something, and written again by another encoder it is read as the same.
func FuzzCMW(f *testing.F) {
	for _, seed := range []string{`["application/eat+cwt","0oQ",4]`, "\x82\x19\x01\x07\x42\xd2\x84", "\xda\x63\x74\x02\x09\x42\xd2\x84", "\x83\x63a/b\x41a\x18\x1f"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := attest.DecodeCMWJSON(raw); err == nil {
			again, _ := json.Marshal(append([]any{c.MediaType, base64.RawURLEncoding.EncodeToString(c.Value)}, indicator(c)...))
			if got, err := attest.DecodeCMWJSON(again); len(c.Value) == 0 || err != nil || !reflect.DeepEqual(got, c) {
				t.Errorf("%q is %+v, and %q is %+v, %v", raw, c, again, got, err)
			}
		}
		if c, err := attest.DecodeCMWCBOR(raw); err == nil && raw[0] != 0xda && !strings.HasPrefix(c.MediaType, "CoAP ") {
			var kind any = c.MediaType
			if raw[1]>>5 == 0 {
				kind = 263
			}
			again, _ := cbor.Marshal(append([]any{kind, c.Value}, indicator(c)...))
			if len(c.Value) == 0 || !bytes.Equal(again, raw) {
				t.Errorf("%x is %+v, and that %x", raw, c, again)
			}
		}
	})
}

func indicator(c attest.CMW) []any {
	if c.Indicator == 0 {
		return nil
	}
	return []any{c.Indicator}
}
