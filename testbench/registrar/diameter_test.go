package registrar

import (
	"bufio"
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
)

func sampleRequest() *diameterMessage {
	return &diameterMessage{command: cmdServerAssignment, application: cxApplication, hopByHop: 7, endToEnd: 8}
}

func sampleAVPs() []avp {
	return []avp{text(avpSessionID, "a;1;2"), text(avpUserName, "u@"+Realm), cx(avpPublicIdentity, []byte("sip:u@"+Realm)), octets(avpHostIP, []byte{}),
		group(avpVendorApp, number(avpVendorID, vendor3GPP), number(avpAuthApp, cxApplication))}
}

func TestDiameterRoundTrip(t *testing.T) {
	want := sampleRequest()
	want.avps = sampleAVPs()
	raw := answerTo(want, want.avps...)
	got, err := readDiameter(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for n := range raw {
		if m, err := readDiameter(bufio.NewReader(bytes.NewReader(raw[:n]))); err == nil {
			t.Errorf("the first %d of %d bytes are read as %+v", n, len(raw), m)
		}
	}
}

func TestNoDiameter(t *testing.T) {
	for name, raw := range map[string]string{
		"HTTP":                          "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"version 2":                     "\x02\x00\x00\x14" + strings.Repeat("\x00", 16),
		"shorter than its header":       "\x01\x00\x00\x13" + strings.Repeat("\x00", 16),
		"longer than anybody sends":     "\x01\xff\xff\xff" + strings.Repeat("\x00", 16),
		"half an AVP":                   "\x01\x00\x00\x18" + strings.Repeat("\x00", 20),
		"an AVP longer than the rest":   "\x01\x00\x00\x1c" + strings.Repeat("\x00", 16) + "\x00\x00\x00\x01\x00\x00\x00\x09",
		"an AVP shorter than its head":  "\x01\x00\x00\x1c" + strings.Repeat("\x00", 16) + "\x00\x00\x00\x01\x00\x00\x00\x07",
		"a vendor's shorter than its's": "\x01\x00\x00\x1c" + strings.Repeat("\x00", 16) + "\x00\x00\x00\x01\x80\x00\x00\x08",
	} {
		m, err := readDiameter(bufio.NewReader(strings.NewReader(raw)))
		if err == nil || err == io.EOF {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

// FuzzAVPs: what is read is written and read the same.
func FuzzAVPs(f *testing.F) {
	f.Add(encodeAVPs(sampleAVPs()))
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 9, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		first, err := parseAVPs(raw)
		if err != nil {
			return
		}
		second, err := parseAVPs(encodeAVPs(first))
		if err != nil || len(first) != len(second) {
			t.Fatalf("%v\n%v, %v", first, second, err)
		}
		for i := range first {
			if first[i].code != second[i].code || first[i].vendor != second[i].vendor || !bytes.Equal(first[i].data, second[i].data) {
				t.Errorf("%v, then %v", first[i], second[i])
			}
		}
	})
}
