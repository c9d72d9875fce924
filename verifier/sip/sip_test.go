package sip_test

import (
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"

	"imei-attest/verifier/sip"
)

// The parts of a REGISTER as an IMS client writes it behind a P-CSCF. The identities are made up.
const (
	line    = "REGISTER sip:ims.example SIP/2.0\r\n"
	via     = "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKa1\r\n"
	from    = "From: <sip:alice@ims.example>;tag=1\r\n"
	to      = "To: <sip:alice@ims.example>\r\n"
	callID  = "Call-ID: c1@192.0.2.7\r\n"
	cseq    = "CSeq: 2 REGISTER\r\n"
	contact = "Contact: <sip:alice@192.0.2.7:5060>;expires=600000;+sip.instance=\"<urn:gsma:imei:49015420-323751-0>\"\r\n"
	digest  = "Authorization: Digest username=\"alice@ims.example\",realm=\"ims.example\",nonce=\"Tm9uY2U=\",uri=\"sip:ims.example\"," +
		"response=\"00\",algorithm=AKAv1-MD5,integrity-protected=\"yes\"\r\n"
	mandatory = line + via + from + to + callID + cseq
)

func seconds(n int) *int { return &n }

// alice is what is read of the parts together.
func alice() sip.Register {
	return sip.Register{InstanceID: "<urn:gsma:imei:49015420-323751-0>", IMPU: "sip:alice@ims.example", CallID: "c1@192.0.2.7", CSeq: 2, Expires: seconds(600000),
		Credentials: sip.Credentials{IMPI: "alice@ims.example", Nonce: "Tm9uY2U=", Algorithm: "AKAv1-MD5", IntegrityProtected: "yes"}}
}

func with(change func(r *sip.Register)) sip.Register {
	r := alice()
	change(&r)
	return r
}

const token = "\xd2\x84\x00\r\n\x00--x\r\n\r\n\xff" // bytes that a careless reader stumbles over

func typed(mediaType, body string) string { return "Content-Type: " + mediaType + "\r\n\r\n" + body }

func multipart(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--b1\r\n" + p + "\r\n")
	}
	return typed(`multipart/mixed;boundary="b1"`, b.String()+"--b1--\r\n")
}

func TestParseRegisterReads(t *testing.T) {
	whole := mandatory + contact + digest
	carrying := with(func(r *sip.Register) { r.Evidence = []byte(token) })
	bare := func(change func(*sip.Register)) sip.Register {
		return with(func(r *sip.Register) {
			r.Credentials, r.InstanceID, r.Expires = sip.Credentials{}, "", nil
			change(r)
		})
	}
	for name, c := range map[string]struct {
		message string
		want    sip.Register
	}{
		"what an IMS client writes": {whole + "\r\n", alice()},
		"what a phone writes over VoLTE": {"REGISTER sip:ims.mnc001.mcc001.3gppnetwork.org SIP/2.0\r\nMax-Forwards: 70\r\n" +
			"Via: SIP/2.0/TCP [2001:db8::7]:6100;branch=z9hG4bKa1;transport=TCP;rport\r\nRoute: <sip:[2001:db8::1]:5060;lr>\r\n" +
			"P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010019d01\r\nSupported: path,sec-agree,gruu\r\nRequire: sec-agree\r\nProxy-Require: sec-agree\r\n" +
			"Security-Verify: ipsec-3gpp;q=0.5;alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=aes-cbc;spi-c=1;spi-s=2;port-c=3;port-s=4, ipsec-3gpp;alg=hmac-md5-96\r\n" +
			"From: <sip:001010000000017@ims.mnc001.mcc001.3gppnetwork.org>;tag=1\r\nTo: <sip:001010000000017@ims.mnc001.mcc001.3gppnetwork.org>\r\n" +
			"Call-ID: 2F6dTkm@[2001:db8::7]\r\nCSeq: 2 REGISTER\r\nExpires: 600000\r\nAllow: INVITE, ACK, BYE\r\nUser-Agent: Phone (a; b) \"c\r\n" +
			"Contact: <sip:001010000000017@[2001:db8::7]:6100;transport=tcp>;+g.3gpp.accesstype=\"cellular2\";audio;+g.3gpp.smsip;" +
			"+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\";+sip.instance=\"<urn:gsma:imei:49015420-323751-0>\"\r\n" +
			"Authorization: Digest username=\"001010000000017@ims.mnc001.mcc001.3gppnetwork.org\",realm=\"ims.mnc001.mcc001.3gppnetwork.org\"," +
			"uri=\"sip:ims.mnc001.mcc001.3gppnetwork.org\",qop=auth,nonce=\"Tm9uY2U=\",nc=00000001,cnonce=\"1\",response=\"00\",algorithm=AKAv1-MD5," +
			"integrity-protected=\"yes\"\r\nContent-Length: 0\r\n\r\n",
			with(func(r *sip.Register) {
				const user = "001010000000017@ims.mnc001.mcc001.3gppnetwork.org"
				r.IMPU, r.IMPI, r.CallID = "sip:"+user, user, "2F6dTkm@[2001:db8::7]"
			})},
		"line ends before it": {"\r\n\r\n" + whole + "\r\n", alice()},
		"compact names": {line + "v: SIP/2.0/UDP h\r\nf: <sip:alice@ims.example>;tag=1\r\nt: <sip:alice@ims.example>\r\ni: c1@192.0.2.7\r\n" + cseq +
			strings.Replace(contact, "Contact", "m", 1) + digest + "l: 0\r\n\r\n", alice()},
		"names in other cases":                      {line + via + from + "TO:<sip:alice@ims.example>\r\ncall-id : c1@192.0.2.7\r\ncSEQ:2 REGISTER\r\n" + strings.ToUpper(contact[:7]) + contact[7:] + digest + "\r\n", alice()},
		"folded lines":                              {mandatory + strings.NewReplacer(";+", "\r\n\t;\r\n +", "=\"<", "\r\n = \"<").Replace(contact) + strings.ReplaceAll(digest, ",", ",\r\n  ") + "\r\n", alice()},
		"folds within a folded number":              {line + via + from + to + callID + "CSeq: 2\r\n \t REGISTER\r\n" + contact + digest + "\r\n", alice()},
		"display names, quoted and not":             {line + via + "From: Alice B<sip:alice@ims.example>\r\nTo: \"A \\\"B, <sip:mallory@x>\\\"\" <sip:alice@ims.example>;tag=2\r\n" + callID + cseq + contact + digest + "\r\n", alice()},
		"addresses without brackets":                {line + via + "From: sip:alice@ims.example;tag=1\r\nTo: sip:alice@ims.example\r\n" + callID + cseq + contact + digest + "\r\n", alice()},
		"no contact asks for nothing":               {mandatory + "\r\n", bare(func(*sip.Register) {})},
		"a contact without an instance":             {mandatory + "Contact: <sip:a@h>\r\n\r\n", bare(func(*sip.Register) {})},
		"a UUID":                                    {mandatory + "Contact: <sip:a@h>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"\r\n\r\n", bare(func(r *sip.Register) { r.InstanceID = "<urn:uuid:00000000-0000-1000-8000-000A95A0E128>" })},
		"an IMEI URN with svn":                      {mandatory + "Contact: <sip:a@h>;+SIP.Instance=\"<urn:gsma:imei:49015420-323751-0;svn=42>\"\r\n\r\n", bare(func(r *sip.Register) { r.InstanceID = "<urn:gsma:imei:49015420-323751-0;svn=42>" })},
		"a malformed URN":                           {mandatory + "Contact: <sip:a@h>;+sip.instance=\"<urn:gsma:imei:4901-\xff>\"\r\n\r\n", bare(func(r *sip.Register) { r.InstanceID = "<urn:gsma:imei:4901-\xff>" })},
		"an instance without quotes":                {mandatory + "Contact: <sip:a@h>;+sip.instance=<urn:gsma:imei:1>;q=1\r\n\r\n", bare(func(r *sip.Register) { r.InstanceID = "<urn:gsma:imei:1>" })},
		"an instance without a value":               {mandatory + "Contact: <sip:a@h>;+sip.instance\r\n\r\n", bare(func(*sip.Register) {})},
		"an instance in a display name":             {mandatory + "Contact: \";+sip.instance=\\\"x\\\"\" <sip:a@h>\r\n\r\n", bare(func(*sip.Register) {})},
		"an instance in the URI":                    {mandatory + "Contact: <sip:a@h;+sip.instance=x>\r\n\r\n", bare(func(*sip.Register) {})},
		"expires of the header field":               {mandatory + "Contact: <sip:a@h>\r\nExpires: 60\r\n\r\n", bare(func(r *sip.Register) { r.Expires = seconds(60) })},
		"the contact's expires before the header's": {mandatory + "Expires: 0\r\nContact: <sip:a@h>;expires=60\r\n\r\n", bare(func(r *sip.Register) { r.Expires = seconds(60) })},
		"a deregistration":                          {mandatory + "Expires: 60\r\nContact: <sip:a@h>;expires=0\r\n\r\n", bare(func(r *sip.Register) { r.Expires = seconds(0) })},
		"a deregistration of all":                   {mandatory + "Contact: *\r\nExpires: 0\r\n\r\n", bare(func(r *sip.Register) { r.Expires = seconds(0) })},
		"a contact that ends beside one that begins": {mandatory + "Contact: <sip:o@h>;+sip.instance=\"<o>\";expires=0, <sip:a@h>;+sip.instance=\"<n>\"\r\nExpires: 60\r\n\r\n",
			bare(func(r *sip.Register) { r.InstanceID, r.Expires = "<n>", seconds(60) })},
		"one that begins beside one that ends": {mandatory + "Contact: <sip:a@h>;+sip.instance=\"<n>\"\r\nContact: <sip:o@h>;+sip.instance=\"<o>\";expires=0\r\nExpires: 60\r\n\r\n",
			bare(func(r *sip.Register) { r.InstanceID, r.Expires = "<n>", seconds(60) })},
		"two contacts of one device":            {mandatory + "Contact: <sip:a@h>;+sip.instance=\"<n>\",<sip:b@h>;+sip.instance=\"<n>\"\r\n\r\n", bare(func(r *sip.Register) { r.InstanceID = "<n>" })},
		"an emergency":                          {mandatory + "Contact: <sip:a;x@h;SOS;ob?y=z>\r\n\r\n", bare(func(r *sip.Register) { r.SOS = true })},
		"two contacts for an emergency":         {mandatory + "Contact: <sip:a@h;sos>, <sip:b@h;sos>\r\n\r\n", bare(func(r *sip.Register) { r.SOS = true })},
		"sos beside an ordinary contact":        {mandatory + "Contact: <sip:a@h>, <sip:b@h;sos>\r\n\r\n", bare(func(*sip.Register) {})},
		"sos in a contact that ends":            {mandatory + "Contact: <sip:b@h;sos>;expires=0, <sip:a@h>;expires=60\r\n\r\n", bare(func(r *sip.Register) { r.Expires = seconds(60) })},
		"sos in the only contact, which ends":   {mandatory + "Contact: <sip:b@h;sos>;expires=0\r\n\r\n", bare(func(r *sip.Register) { r.Expires = seconds(0) })},
		"sos outside of the URI's parameters":   {mandatory + "Contact: <sip:a;sos@h?sos=1>;sos\r\n\r\n", bare(func(*sip.Register) {})},
		"an authorization of another scheme":    {mandatory + "Authorization: NoOneKnows opaque data, here\r\n\r\n", bare(func(*sip.Register) {})},
		"other cases and spaces in credentials": {mandatory + "Authorization: digest USERNAME = \"a b\" , nonce=\"\"\r\n\r\n", bare(func(r *sip.Register) { r.IMPI = "a b" })},

		"a token":                       {whole + typed("application/eat+cwt", token), carrying},
		"a token with its profile":      {whole + typed(`Application/EAT+CWT; eat_profile="tag:x,2026:y"`, token), carrying},
		"a token and what follows it":   {whole + "Content-Length: 14\r\n" + typed("application/eat+cwt", token+"REGISTER sip:x SIP/2.0\r\n\r\n"), carrying},
		"an empty token":                {whole + typed("application/eat+cwt", ""), with(func(r *sip.Register) { r.Evidence = []byte{} })},
		"a token in base64":             {whole + "Content-Transfer-Encoding: base64\r\n" + typed("application/eat+cwt", base64.StdEncoding.EncodeToString([]byte(token))+"\r\n"), carrying},
		"a body that is none":           {whole + typed("application/sdp", token), alice()},
		"a body without a type":         {whole + "\r\n" + token, alice()},
		"a token among parts":           {whole + multipart(typed("application/sdp", "v=0"), "Content-Disposition: x;handling=optional\r\n"+typed("application/eat+cwt", token), "\r\nplain"), carrying},
		"a token in base64 among parts": {whole + multipart("content-transfer-encoding: BASE64\r\n"+typed("application/eat+cwt", "0oQADQoALS14\r\nDQoNCv8=")), carrying},
		"parts of a part are not read":  {whole + multipart(typed("multipart/mixed;boundary=c", "--c\r\n"+typed("application/eat+cwt", token)+"\r\n--c--")), alice()},
		"a preamble and an epilogue":    {whole + strings.Replace(multipart(typed("application/eat+cwt", token)), "--b1\r\n", "for people\r\n--b1 \r\n", 1) + "more", carrying},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sip.ParseRegister([]byte(c.message))
			if err != nil || !reflect.DeepEqual(got, &c.want) {
				t.Errorf("%q:\n got %+v, %v\nwant %+v", c.message, got, err, &c.want)
			}
		})
	}
}

func TestParseRegisterRefuses(t *testing.T) {
	for name, c := range map[string]struct{ message, where string }{
		"nothing":                            {"", "message"},
		"line ends alone":                    {"\r\n\r\n", "message"},
		"a message that is too long":         {mandatory + "\r\n" + strings.Repeat("x", sip.MaxMessage), "message"},
		"a header that does not end":         {mandatory, "message"},
		"line feeds alone":                   {strings.ReplaceAll(mandatory, "\r\n", "\n") + "\r\n\r\n", "message"},
		"a carriage return alone":            {mandatory + "X: a\rContact: <sip:a@h>\r\n\r\n", "message"},
		"a NUL in the header":                {mandatory + "X: a\x00b\r\n\r\n", "message"},
		"another method":                     {"INVITE" + mandatory[8:] + "\r\n", "request line"},
		"the method in small letters":        {"register" + mandatory[8:] + "\r\n", "request line"},
		"a response":                         {"SIP/2.0 200 OK\r\n" + via + from + to + callID + cseq + "\r\n", "request line"},
		"another version":                    {"REGISTER sip:h SIP/7.0\r\n" + mandatory[len(line):] + "\r\n", "request line"},
		"two spaces":                         {"REGISTER  sip:h SIP/2.0\r\n" + mandatory[len(line):] + "\r\n", "request line"},
		"a space at the end":                 {"REGISTER sip:h SIP/2.0 \r\n" + mandatory[len(line):] + "\r\n", "request line"},
		"a URI in brackets":                  {"REGISTER <sip:h> SIP/2.0\r\n" + mandatory[len(line):] + "\r\n", "request line"},
		"a URI with spaces":                  {"REGISTER sip:h; a=b SIP/2.0\r\n" + mandatory[len(line):] + "\r\n", "request line"},
		"a URI without a scheme":             {"REGISTER h SIP/2.0\r\n" + mandatory[len(line):] + "\r\n", "request line"},
		"a first line that continues":        {line + " x\r\n" + via + from + to + callID + cseq + "\r\n", "header"},
		"a line without a colon":             {mandatory + "Contact\r\n\r\n", "header"},
		"a name that is none":                {mandatory + "Con tact: <sip:a@h>\r\n\r\n", "header"},
		"a line without a name":              {mandatory + ": x\r\n\r\n", "header"},
		"too many lines":                     {mandatory + strings.Repeat("X: y\r\n", 252) + "\r\n", "header"},
		"too many folds":                     {mandatory + "X: y" + strings.Repeat("\r\n z", 252) + "\r\n\r\n", "header"},
		"no To":                              {line + via + from + callID + cseq + "\r\n", "To"},
		"no From":                            {line + via + to + callID + cseq + "\r\n", "From"},
		"no Call-ID":                         {line + via + from + to + cseq + "\r\n", "Call-ID"},
		"no CSeq":                            {line + via + from + to + callID + "\r\n", "CSeq"},
		"no Via":                             {line + from + to + callID + cseq + "\r\n", "Via"},
		"To twice":                           {mandatory + "t: <sip:mallory@ims.example>\r\n\r\n", "To"},
		"Call-ID twice":                      {mandatory + "i: c2\r\n\r\n", "Call-ID"},
		"CSeq twice":                         {mandatory + cseq + "\r\n", "CSeq"},
		"Expires twice":                      {mandatory + "Expires: 0\r\nExpires: 60\r\n\r\n", "Expires"},
		"Content-Type twice":                 {mandatory + "c: text/plain\r\n" + typed("application/eat+cwt", token), "Content-Type"},
		"Content-Length twice":               {mandatory + "l: 0\r\nContent-Length: 1\r\n\r\nx", "Content-Length"},
		"a To without an address":            {line + via + from + "To: Alice\r\n" + callID + cseq + "\r\n", "To"},
		"a To with an open quote":            {line + via + from + "To: \"Alice <sip:alice@ims.example>\r\n" + callID + cseq + "\r\n", "To"},
		"a To with an open bracket":          {line + via + from + "To: <sip:alice@ims.example\r\n" + callID + cseq + "\r\n", "To"},
		"a To with two addresses":            {line + via + from + "To: <sip:a@h>, <sip:b@h>\r\n" + callID + cseq + "\r\n", "To"},
		"a To that is not UTF-8":             {line + via + from + "To: \"\xff\" <sip:a@h>\r\n" + callID + cseq + "\r\n", "To"},
		"a long To":                          {line + via + from + "To: <sip:" + strings.Repeat("a", 512) + "@h>\r\n" + callID + cseq + "\r\n", "To"},
		"a comma in a bare display name":     {line + via + "From: Bell, Alexander <sip:a@h>\r\n" + to + callID + cseq + "\r\n", "From"},
		"a Call-ID of two words":             {line + via + from + to + "Call-ID: a b\r\n" + cseq + "\r\n", "Call-ID"},
		"an empty Call-ID":                   {line + via + from + to + "Call-ID:\r\n" + cseq + "\r\n", "Call-ID"},
		"a CSeq of another method":           {line + via + from + to + callID + "CSeq: 1 INVITE\r\n\r\n", "CSeq"},
		"a CSeq without a method":            {line + via + from + to + callID + "CSeq: 1\r\n\r\n", "CSeq"},
		"a CSeq of 2^31":                     {line + via + from + to + callID + "CSeq: 2147483648 REGISTER\r\n\r\n", "CSeq"},
		"a CSeq beyond all bounds":           {line + via + from + to + callID + "CSeq: 36893488147419103232 REGISTER\r\n\r\n", "CSeq"},
		"a signed CSeq":                      {line + via + from + to + callID + "CSeq: +1 REGISTER\r\n\r\n", "CSeq"},
		"a negative Expires":                 {mandatory + "Expires: -1\r\n\r\n", "Expires"},
		"an Expires of words":                {mandatory + "Expires: Thu, 01 Dec 1994\r\n\r\n", "Expires"},
		"expires beyond 2^32":                {mandatory + "Contact: <sip:a@h>;expires=4294967296\r\n\r\n", "Contact"},
		"expires of no digits":               {mandatory + "Contact: <sip:a@h>;expires=0x0\r\n\r\n", "Contact"},
		"expires twice":                      {mandatory + "Contact: <sip:a@h>;expires=0;Expires=60\r\n\r\n", "Contact"},
		"an instance twice":                  {mandatory + "Contact: <sip:a@h>;+sip.instance=\"<a>\";+SIP.instance=\"<b>\"\r\n\r\n", "Contact"},
		"an instance that does not end":      {mandatory + "Contact: <sip:a@h>;+sip.instance=\"<a>\r\n\r\n", "Contact"},
		"an escape that ends the value":      {mandatory + "Contact: <sip:a@h>;+sip.instance=\"<a>\\\r\n\r\n", "Contact"},
		"an instance in single quotes":       {mandatory + "Contact: <sip:a@h>;+sip.instance='<a>'\r\n\r\n", "Contact"},
		"a quote within an instance":         {mandatory + "Contact: <sip:a@h>;+sip.instance=a\"b\r\n\r\n", "Contact"},
		"text after an instance":             {mandatory + "Contact: <sip:a@h>;+sip.instance=\"<a>\"b\r\n\r\n", "Contact"},
		"a long instance":                    {mandatory + "Contact: <sip:a@h>;+sip.instance=\"" + strings.Repeat("a", 513) + "\"\r\n\r\n", "Contact"},
		"a parameter without a name":         {mandatory + "Contact: <sip:a@h>;=x\r\n\r\n", "Contact"},
		"too many parameters":                {mandatory + "Contact: <sip:a@h>" + strings.Repeat(";a", 65) + "\r\n\r\n", "Contact"},
		"two devices":                        {mandatory + "Contact: <sip:a@h>;+sip.instance=\"<a>\", <sip:b@h>;+sip.instance=\"<b>\"\r\n\r\n", "Contact"},
		"two devices in two fields":          {mandatory + "m: <sip:a@h>;+sip.instance=\"<a>\"\r\nContact: <sip:b@h>;+sip.instance=\"<b>\"\r\n\r\n", "Contact"},
		"a device and none":                  {mandatory + "Contact: <sip:a@h>;+sip.instance=\"<a>\", <sip:b@h>\r\n\r\n", "Contact"},
		"too many contacts":                  {mandatory + "Contact: <sip:a@h>" + strings.Repeat(",<sip:a@h>", 8) + "\r\n\r\n", "Contact"},
		"a contact and nothing":              {mandatory + "Contact: <sip:a@h>,\r\n\r\n", "Contact"},
		"contacts without a comma":           {mandatory + "Contact: <sip:a@h> <sip:b@h>\r\n\r\n", "Contact"},
		"a bare URI with a question":         {mandatory + "Contact: sip:a@h?Route=%3Csip:h%3E\r\n\r\n", "Contact"},
		"an asterisk with a lifetime":        {mandatory + "Contact: *\r\nExpires: 60\r\n\r\n", "Contact"},
		"an asterisk without Expires":        {mandatory + "Contact: *\r\n\r\n", "Contact"},
		"an asterisk beside a contact":       {mandatory + "Contact: *, <sip:a@h>\r\nExpires: 0\r\n\r\n", "Contact"},
		"two asterisks":                      {mandatory + "Contact: *\r\nContact: *\r\nExpires: 0\r\n\r\n", "Contact"},
		"two credentials":                    {mandatory + digest + "Authorization: Digest username=\"mallory\"\r\n\r\n", "Authorization"},
		"a username twice":                   {mandatory + "Authorization: Digest username=\"a\",Username=\"b\"\r\n\r\n", "Authorization"},
		"credentials of nothing":             {mandatory + "Authorization: Digest\r\n\r\n", "Authorization"},
		"credentials that do not end":        {mandatory + "Authorization: Digest username=\"a\r\n\r\n", "Authorization"},
		"credentials with a gap":             {mandatory + "Authorization: Digest username=\"a\",,nonce=\"b\"\r\n\r\n", "Authorization"},
		"an escape in credentials":           {mandatory + "Authorization: Digest username=\"a\\\\b\"\r\n\r\n", "Authorization"},
		"credentials of two by two readings": {mandatory + "Authorization: Digest x=\"\\\",username=a,y=\",username=b,w=\",v=\\\"\"\r\n\r\n", "Authorization"},
		"a username that is not UTF-8":       {mandatory + "Authorization: Digest username=\"\xff\"\r\n\r\n", "Authorization"},
		"a long nonce":                       {mandatory + "Authorization: Digest nonce=\"" + strings.Repeat("a", 513) + "\"\r\n\r\n", "Authorization"},
		"a body that is cut off":             {mandatory + "Content-Length: 15\r\n" + typed("application/eat+cwt", token), "body"},
		"a negative length":                  {mandatory + "Content-Length: -1\r\n\r\n", "Content-Length"},
		"a type without a kind":              {mandatory + typed("application", token), "Content-Type"},
		"a type and another":                 {mandatory + typed("application/eat+cwt, text/plain", token), "Content-Type"},
		"a compressed token":                 {mandatory + "e: gzip\r\n" + typed("application/eat+cwt", token), "Content-Encoding"},
		"a token in an unknown encoding":     {mandatory + "Content-Transfer-Encoding: quoted-printable\r\n" + typed("application/eat+cwt", token), "Content-Transfer-Encoding"},
		"a token in no base64":               {mandatory + "Content-Transfer-Encoding: base64\r\n" + typed("application/eat+cwt", "!!!"), "body"},
		"two tokens":                         {mandatory + multipart(typed("application/eat+cwt", token), typed("application/eat+cwt", token)), "body"},
		"parts without a boundary":           {mandatory + typed("multipart/mixed", ""), "Content-Type"},
		"parts with two boundaries":          {mandatory + typed("multipart/mixed;boundary=a;boundary=b", ""), "Content-Type"},
		"a boundary that is too long":        {mandatory + typed("multipart/mixed;boundary="+strings.Repeat("b", 71), ""), "Content-Type"},
		"parts that do not end":              {mandatory + strings.TrimSuffix(multipart(typed("application/eat+cwt", token)), "--\r\n") + "\r\n", "body"},
		"parts that do not begin":            {mandatory + typed("multipart/mixed;boundary=b", "text"), "body"},
		"a boundary in a longer one":         {mandatory + typed("multipart/mixed;boundary=b", "--bb\r\n\r\nx\r\n--b--"), "body"},
		"a part without a header's end":      {mandatory + multipart("Content-Type: text/plain"), "body"},
		"a part with a broken header":        {mandatory + multipart("Content-Type\r\n\r\nx"), "header"},
		"too many parts":                     {mandatory + multipart(strings.Split(strings.Repeat("\r\nx|", 8)+"\r\nx", "|")...), "body"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sip.ParseRegister([]byte(c.message))
			var fault *sip.Error
			if got != nil || !errors.As(err, &fault) || fault.Where != c.where {
				t.Errorf("%q:\n got %+v, %v\nwant an error of %s", c.message, got, err, c.where)
			}
		})
	}
}

// TestNoPrefixIsWhole: what arrived in part is refused, wherever it was cut.
func TestNoPrefixIsWhole(t *testing.T) {
	whole := []byte(mandatory + contact + digest + "Content-Length: 14\r\n" + typed("application/eat+cwt", token))
	for i := range whole {
		if got, err := sip.ParseRegister(whole[:i]); err == nil {
			t.Errorf("cut after %d bytes: %+v", i, got)
		}
	}
}
