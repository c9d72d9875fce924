package sip_test

import (
	"errors"
	"net/textproto"
	"reflect"
	"strings"
	"testing"

	"imei-attest/verifier/sip"
)

// headed are header fields in pairs.
func headed(pairs ...string) sip.Header {
	h := textproto.MIMEHeader{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return func(name string) []string { return h.Values(name) }
}

func TestParseNotice(t *testing.T) {
	for name, c := range map[string]struct {
		header sip.Header
		want   sip.Notice
		where  string // of the fault
	}{
		"who, and for how long":      {headed("To", "<sip:alice@ims.example>;tag=1", "Expires", "600120"), sip.Notice{IMPU: "sip:alice@ims.example", Expires: seconds(600120)}, ""},
		"the end of it":              {headed("To", "tel:+15550100", "Expires", "0"), sip.Notice{IMPU: "tel:+15550100", Expires: seconds(0)}, ""},
		"nobody knows for how long":  {headed("To", "\"A\" <sip:alice@ims.example>"), sip.Notice{IMPU: "sip:alice@ims.example"}, ""},
		"nobody":                     {headed("Expires", "0"), sip.Notice{}, "To"},
		"two":                        {headed("To", "<sip:a@h>", "To", "<sip:b@h>"), sip.Notice{}, "To"},
		"a long one":                 {headed("To", "<sip:"+strings.Repeat("a", 512)+"@h>"), sip.Notice{}, "To"},
		"an Expires of no number":    {headed("To", "<sip:a@h>", "Expires", "soon"), sip.Notice{}, "Expires"},
		"two different ends":         {headed("To", "<sip:a@h>", "Expires", "0", "Expires", "60"), sip.Notice{}, "Expires"},
		"an Expires beyond all time": {headed("To", "<sip:a@h>", "Expires", "99999999999"), sip.Notice{}, "Expires"},
	} {
		got, err := sip.ParseNotice(c.header)
		var fault *sip.Error
		switch {
		case c.where == "" && (err != nil || !reflect.DeepEqual(got, c.want)):
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, c.want)
		case c.where != "" && (!errors.As(err, &fault) || fault.Where != c.where):
			t.Errorf("%s: got %+v, %v; want an error of %s", name, got, err, c.where)
		}
	}
}

func TestOriginal(t *testing.T) {
	const request = "REGISTER sip:h SIP/2.0\r\n\r\n\x00--b"
	part := func(head, content string) string { return "--b\r\n" + head + "\r\n\r\n" + content + "\r\n" }
	mixed := headed("Content-Type", "multipart/mixed;boundary=b")
	for name, c := range map[string]struct {
		header sip.Header
		body   string
		want   string
		where  string // of the fault
	}{
		"alone":                     {headed("Content-Type", "message/sip"), request, request, ""},
		"in base64":                 {headed("Content-Type", "Message/SIP;x=y", "Content-Transfer-Encoding", "base64"), "UkVHSVNURVI=", "REGISTER", ""},
		"beside others":             {mixed, part("Content-Type: application/3gpp-ims+xml", "<x/>") + part("c: message/sip", "SIP/2.0 200 OK") + part("Content-Type:message/sip", request) + "--b--", request, ""},
		"of another type":           {headed("Content-Type", "application/3gpp-ims+xml"), request, "", ""},
		"without a type":            {headed(), request, "", ""},
		"a response":                {headed("Content-Type", "message/sip"), "sip/2.0 200 OK\r\n\r\n", "", ""},
		"a response in parts":       {mixed, part("Content-Type: message/sip", "SIP/2.0 200 OK") + "--b--", "", ""},
		"two":                       {mixed, part("Content-Type: message/sip", request) + part("Content-Type: message/sip", request) + "--b--", "", "body"},
		"parts that do not end":     {mixed, part("Content-Type: message/sip", request), "", "body"},
		"compressed":                {headed("Content-Type", "message/sip", "Content-Encoding", "gzip"), request, "", "Content-Encoding"},
		"in an unknown encoding":    {headed("Content-Type", "message/sip", "Content-Transfer-Encoding", "quoted-printable"), request, "", "Content-Transfer-Encoding"},
		"of two types":              {headed("Content-Type", "message/sip", "Content-Type", "text/plain"), request, "", "Content-Type"},
		"parts without a boundary":  {headed("Content-Type", "multipart/mixed"), request, "", "Content-Type"},
		"a part that is no message": {mixed, "--b\r\nContent-Type: message/sip\r\n--b--", "", "body"},
	} {
		got, err := sip.Original(c.header, []byte(c.body))
		var fault *sip.Error
		if string(got) != c.want || (got == nil) != (c.want == "") || (err == nil) != (c.where == "") || err != nil && (!errors.As(err, &fault) || fault.Where != c.where) {
			t.Errorf("%s: got %q, %v; want %q, %s", name, got, err, c.want, c.where)
		}
	}
}
