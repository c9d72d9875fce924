package attest

import (
	"encoding/hex"
	"reflect"
	"testing"
)

// TestUsualHeadersAreReadAsTheDecoderReadsThem: each prefix, each byte altered and each pair of them, too.
func TestUsualHeadersAreReadAsTheDecoderReadsThem(t *testing.T) {
	const kid = "000102030405060708090a0b0c0d0e0f"
	usual := 0
	check := func(raw []byte) {
		var quick, strict protectedHeader
		if !quick.readUsual(raw) {
			return
		}
		usual++
		if err := decodeStrict("protected header", decMode, raw, &strict); err != nil || !reflect.DeepEqual(quick, strict) {
			t.Errorf("%x: read as %+v, decoded as %+v, %v", raw, quick, strict, err)
		}
	}
	for _, text := range []string{
		"a2012604" + "50" + kid, "a3012604" + "50" + kid + "10190107", // the usual ones
		"a201382204" + "50" + kid, "a3012604" + "50" + kid + "10190108", "a3012604" + "50" + kid + "11190107",
		"a2012604" + "4f" + kid[2:], "a2012604" + "51" + kid + "00", "a30126028101" + "0450" + kid, "a10126", "a0", "",
	} {
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		check(raw)
		for i := range raw {
			check(raw[:i])
			check(append(raw[:i:i], raw[i+1:]...))
			for bit := range 8 {
				raw[i] ^= 1 << bit
				check(raw)
				raw[i] ^= 1 << bit
			}
		}
	}
	const ofKid = 16 * 8 // bits that may be anything
	if want := 2 * (1 + ofKid); usual < want {
		t.Errorf("%d headers are usual, want at least %d", usual, want)
	}
}
