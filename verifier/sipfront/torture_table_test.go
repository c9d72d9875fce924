package sipfront_test

// torture are the messages of RFC 4475 as its archive has them (testdata of verifier/sip), each with its clause and what becomes of it: where it is
// refused as the REGISTER of a UE, where it is refused when its method is made REGISTER, empty where it is read, and the code that it gets
// when it is sent to the application server itself, 0 where that is silence: answers, and what cannot be taken apart.
//
// Three differences to the RFC's advice are on purpose. Control characters are refused even where a quoted-pair allows them (intmeth). Of what
// says nothing about a registration nothing is checked: Date, Require, Max-Forwards. And as a server it takes INVITEs of before RFC 3261, and
// requests with white space around the slashes of Via, for malformed (inv2543, wsinv): an S-CSCF sends neither.
var torture = []struct {
	name, clause, title string
	exact, asREGISTER   string
	code                int
}{
	{"wsinv", "3.1.1.1", "A Short Tortuous INVITE", "request line", "", 400},
	{"intmeth", "3.1.1.2", "Wide Range of Valid Characters", "message", "message", 400},
	{"esc01", "3.1.1.3", "Valid Use of the % Escaping Mechanism", "request line", "", 405},
	{"escnull", "3.1.1.4", "Escaped Nulls in URIs", "", "", 200},
	{"esc02", "3.1.1.5", "Use of % When It Is Not an Escape", "request line", "", 405},
	{"lwsdisp", "3.1.1.6", "Message with No LWS between Display Name and <", "request line", "", 200},
	{"longreq", "3.1.1.7", "Long Values in Header Fields", "request line", "", 405},
	{"dblreq", "3.1.1.8", "Extra Trailing Octets in a UDP Datagram", "", "", 200},
	{"semiuri", "3.1.1.9", "Semicolon-Separated Parameters in URI User Part", "request line", "", 200},
	{"transports", "3.1.1.10", "Varied and Unknown Transport Types", "request line", "", 200},
	{"mpart01", "3.1.1.11", "Multipart MIME Message", "request line", "", 405},
	{"unreason", "3.1.1.12", "Unusual Reason Phrase", "request line", "request line", 0},
	{"noreason", "3.1.1.13", "Empty Reason Phrase", "request line", "request line", 0},
	{"badinv01", "3.1.2.1", "Extraneous Header Field Separators", "request line", "Contact", 0},
	{"clerr", "3.1.2.2", "Content Length Larger Than Message", "request line", "body", 0},
	{"ncl", "3.1.2.3", "Negative Content-Length", "request line", "Content-Length", 0},
	{"scalar02", "3.1.2.4", "Request Scalar Fields with Overlarge Values", "CSeq", "CSeq", 0},
	{"scalarlg", "3.1.2.5", "Response Scalar Fields with Overlarge Values", "request line", "request line", 0},
	{"quotbal", "3.1.2.6", "Unterminated Quoted String in Display Name", "request line", "To", 405},
	{"ltgtruri", "3.1.2.7", "<> Enclosing Request-URI", "request line", "request line", 0},
	{"lwsruri", "3.1.2.8", "Malformed SIP Request-URI (embedded LWS)", "request line", "request line", 0},
	{"lwsstart", "3.1.2.9", "Multiple SP Separating Request-Line Elements", "request line", "request line", 0},
	{"trws", "3.1.2.10", "SP Characters at End of Request-Line", "request line", "request line", 0},
	{"escruri", "3.1.2.11", "Escaped Headers in SIP Request-URI", "request line", "request line", 405},
	{"baddate", "3.1.2.12", "Invalid Time Zone in Date Header Field", "request line", "", 405},
	{"regbadct", "3.1.2.13", "Failure to Enclose name-addr URI in <>", "Contact", "Contact", 200},
	{"badaspec", "3.1.2.14", "Spaces within addr-spec", "request line", "To", 200},
	{"baddn", "3.1.2.15", "Non-token Characters in Display Name", "message", "To", 0},
	{"badvers", "3.1.2.16", "Unknown Protocol Version", "request line", "request line", 505},
	{"mismatch01", "3.1.2.17", "Start Line and CSeq Method Mismatch", "request line", "CSeq", 400},
	{"mismatch02", "3.1.2.18", "Unknown Method with CSeq Method Mismatch", "request line", "CSeq", 400},
	{"bigcode", "3.1.2.19", "Overlarge Response Code", "request line", "request line", 0},
	{"badbranch", "3.2.1", "Missing Transaction Identifier", "request line", "", 200},
	{"insuf", "3.3.1", "Missing Required Header Fields", "request line", "To", 405},
	{"unkscm", "3.3.2", "Request-URI with Unknown Scheme", "request line", "", 200},
	{"novelsc", "3.3.3", "Request-URI with Known but Atypical Scheme", "request line", "", 0},
	{"unksm2", "3.3.4", "Unknown URI Schemes in Header Fields", "", "", 200},
	{"bext01", "3.3.5", "Proxy-Require and Require", "request line", "", 200},
	{"invut", "3.3.6", "Unknown Content-Type", "request line", "", 405},
	{"regaut01", "3.3.7", "Unknown Authorization Scheme", "", "", 200},
	{"multi01", "3.3.8", "Multiple Values in Single Value Required Fields", "request line", "To", 405},
	{"mcl01", "3.3.9", "Multiple Content-Length Values", "request line", "Content-Length", 200},
	{"bcast", "3.3.10", "200 OK Response with Broadcast Via Header Field Value", "request line", "request line", 0},
	{"zeromf", "3.3.11", "Max-Forwards of Zero", "request line", "", 200},
	{"cparam01", "3.3.12", "REGISTER with a Contact Header Parameter", "", "", 200},
	{"cparam02", "3.3.13", "REGISTER with a url-parameter", "", "", 200},
	{"regescrt", "3.3.14", "REGISTER with a URL Escaped Header", "", "", 200},
	{"sdp01", "3.3.15", "Unacceptable Accept Offering", "request line", "", 405},
	{"inv2543", "3.4.1", "INVITE with RFC 2543 Syntax", "request line", "", 400}}
