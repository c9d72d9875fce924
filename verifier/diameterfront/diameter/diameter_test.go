package diameter_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"imei-attest/verifier/diameterfront/diameter"
)

// question is a whole ECR; its IMEI is made up.
func question() []byte {
	b := diameter.Begin(nil, diameter.Header{Flags: diameter.Request | diameter.Proxiable, Command: diameter.MEIdentityCheck,
		Application: diameter.ApplicationS13, HopByHop: 0x01020304, EndToEnd: 0xA1A2A3A4})
	b = diameter.AppendText(b, diameter.SessionID, "mme.example;1;2")
	b = diameter.AppendUint32(b, diameter.AuthSessionState, diameter.NoStateMaintained)
	b = diameter.AppendText(b, diameter.OriginHost, "mme.example")
	b = diameter.AppendGroup(b, diameter.TerminalInformation, func(to []byte) []byte {
		to = diameter.AppendText(to, diameter.IMEI, "49015420323751")
		return diameter.AppendText(to, diameter.SoftwareVersion, "01")
	})
	diameter.End(b, 0)
	return b
}

func decode(bytes []byte) (m diameter.Message, err error) {
	err = m.Decode(bytes)
	return m, err
}

func unhex(text string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// TestTheBytesAreThoseOfTheRFC writes the question out by hand (RFC 6733 sections 3 and 4.1).
func TestTheBytesAreThoseOfTheRFC(t *testing.T) {
	want := unhex(`01 000084 C0 000144 01000024 01020304 A1A2A3A4
		00000107 40 000017 6D6D652E6578616D706C653B313B32 00
		00000115 40 00000C 00000001
		00000108 40 000013 6D6D652E6578616D706C65 00
		00000579 C0 000038 000028AF
			0000057A C0 00001A 000028AF 3439303135343230333233373531 0000
			0000057B C0 00000E 000028AF 3031 0000`)
	if got := question(); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	m, err := decode(question())
	if err != nil {
		t.Fatal(err)
	}
	want := diameter.Header{Flags: 0xC0, Command: 324, Application: 16777252, HopByHop: 0x01020304, EndToEnd: 0xA1A2A3A4}
	if m.Header != want || len(m.AVPs) != 4 {
		t.Errorf("got %+v with %d AVPs", m.Header, len(m.AVPs))
	}
	inside, err := diameter.Find(m.AVPs, diameter.TerminalInformation).Group(nil)
	if err != nil {
		t.Fatal(err)
	}
	wantInside := []diameter.AVP{{ID: diameter.IMEI, Flags: 0xC0, Data: []byte("49015420323751")}, {ID: diameter.SoftwareVersion, Flags: 0xC0, Data: []byte("01")}}
	if !reflect.DeepEqual(inside, wantInside) {
		t.Errorf("got %+v", inside)
	}
	if again := m.Append([]byte{9}); !bytes.Equal(again[1:], question()) {
		t.Errorf("written again: %x", again)
	}
}

// TestRandomMessagesAreReadAsTheyWereWritten, reserved bits and all.
func TestRandomMessagesAreReadAsTheyWereWritten(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		m := diameter.Message{Header: diameter.Header{Flags: diameter.Flags(random.Uint32()) &^ diameter.IsError, Command: random.Uint32() & 0xFFFFFF,
			Application: random.Uint32(), HopByHop: random.Uint32(), EndToEnd: random.Uint32()}, AVPs: []diameter.AVP{}}
		for range random.IntN(8) {
			a := diameter.AVP{ID: diameter.ID{Code: random.Uint32()}, Flags: diameter.AVPFlags(random.Uint32()), Data: make([]byte, random.IntN(40))}
			if a.Flags&diameter.VendorSpecific != 0 {
				a.Vendor = 1 + random.Uint32()/2
			}
			for i := range a.Data {
				a.Data[i] = byte(random.Uint32())
			}
			m.AVPs = append(m.AVPs, a)
		}
		got, err := decode(m.Append(nil))
		if len(m.AVPs) == 0 {
			got.AVPs = m.AVPs
		}
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("%v: got %+v, want %+v", err, got, m)
		}
	}
}

func TestNoProperPrefixIsAMessage(t *testing.T) {
	whole := question()
	for n := range whole {
		if _, err := decode(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes are a message", n, len(whole))
		}
		if length, err := diameter.Length(whole[:n]); err != nil || n >= 4 && length != len(whole) || n < 4 && length != 0 {
			t.Errorf("of the first %d bytes the length is %d, %v", n, length, err)
		}
	}
	if _, err := decode(append(whole, 0, 0, 0, 0)); err == nil {
		t.Error("a message with four bytes behind it is one")
	}
}

// message is one with these AVPs in hex, and the right length.
func message(flags byte, avps string) []byte {
	b := diameter.Begin(nil, diameter.Header{Flags: diameter.Flags(flags), Command: 280})
	b = append(b, unhex(avps)...)
	diameter.End(b, 0)
	return b
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	many := strings.Repeat("00000001 00 000008", diameter.MaxAVPs)
	for _, c := range []struct {
		name   string
		bytes  []byte
		code   diameter.ResultCode
		failed string // in hex
	}{
		{"nothing", nil, 5015, ""},
		{"three bytes", []byte{1, 0, 0}, 5015, ""},
		{"version 0", unhex("00000014 80000118 00000000 00000000 00000000"), 5011, ""},
		{"version 2", unhex("02000014 80000118 00000000 00000000 00000000"), 5011, ""},
		{"the greeting of TLS", unhex("16030100 80000118 00000000 00000000 00000000"), 5011, ""},
		{"a length of 0", unhex("01000000 80000118 00000000 00000000 00000000"), 5015, ""},
		{"a length below the header's", unhex("01000010 80000118 00000000 00000000"), 5015, ""},
		{"a length that is no multiple of 4", unhex("01000015 80000118 00000000 00000000 00000000 00"), 5015, ""},
		{"a length beyond what is taken", append(unhex("01004004"), make([]byte, 16<<10)...), 5015, ""},
		{"the greatest length", unhex("01FFFFFC 80000118 00000000 00000000 00000000"), 5015, ""},
		{"a length above what is there", unhex("01000018 80000118 00000000 00000000 00000000"), 5015, ""},
		{"a request that is an error", message(0xA0, ""), 3008, ""},
		{"an AVP of one word", message(0x80, "00000001"), 5014, "00000001 00 000008"},
		{"an AVP without a length", message(0x80, "00000001 00 000000"), 5014, "00000001 00 000008"},
		{"an AVP shorter than its header", message(0x80, "00000001 40 000007"), 5014, "00000001 40 000008"},
		{"a vendor's AVP shorter than its header", message(0x80, "00000001 C0 00000B 000028AF"), 5014, "00000001 C0 00000C 000028AF"},
		{"a vendor's AVP that ends before the vendor", message(0x80, "00000001 C0 000008"), 5014, "00000001 C0 00000C 00000000"},
		{"an AVP longer than the message", message(0x80, "00000001 40 00000D 61616161"), 5014, "00000001 40 000008"},
		{"an AVP of the greatest length", message(0x80, "00000001 40 FFFFFF 61616161"), 5014, "00000001 40 000008"},
		{"a second AVP longer than the message", message(0x80, "00000001 40 00000C 61616161 00000002 00 000010 61616161"), 5014, "00000002 00 000008"},
		{"an AVP without its padding", message(0x80, "00000001 40 000009 61"+"000000 00000002 00 000009"), 5014, "00000002 00 000008"},
		{"padding that is not zero", message(0x80, "00000001 40 000009 61000001"), 5014, "00000001 40 000008"},
		{"the flag V with the vendor 0", message(0x80, "00000001 C0 000010 00000000 61616161"), 3009, "00000001 C0 000010 00000000 61616161"},
		{"more AVPs than are taken", message(0x80, many+"00000001 00 000008"), 5012, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decode(c.bytes)
			var bad *diameter.Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v", err)
			}
			if bad.Code != c.code || !bytes.Equal(bad.Failed, unhex(c.failed)) || bad.Problem == "" {
				t.Errorf("got %d %x (%s), want %d %s", bad.Code, bad.Failed, bad.Problem, c.code, c.failed)
			}
		})
	}
	if _, err := decode(message(0x80, many)); err != nil {
		t.Errorf("as many AVPs as are taken: %v", err)
	}
}

func TestReservedBitsMeanNothing(t *testing.T) {
	m, err := decode(message(0x8F, "00000001 3F 000008"))
	if err != nil || m.Flags != 0x8F || len(m.AVPs) != 1 || m.AVPs[0].Vendor != 0 {
		t.Errorf("%v: %+v", err, m)
	}
}

func TestGroupsAreReadAsStrictlyAsMessages(t *testing.T) {
	outer := diameter.AVP{ID: diameter.TerminalInformation, Data: unhex("0000057A C0 00001B 000028AF 34393031")}
	_, err := outer.Group(nil)
	var bad *diameter.Error
	if !errors.As(err, &bad) || bad.Code != diameter.InvalidAVPLength {
		t.Fatal(err)
	}
	if got, want := bad.In(diameter.TerminalInformation).Failed, unhex("00000579 C0 000018 000028AF 0000057A C0 00000C 000028AF"); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestValues(t *testing.T) {
	avp := func(data string) *diameter.AVP { return &diameter.AVP{ID: diameter.OriginHost, Data: []byte(data)} }
	of := func(_ any, err error) diameter.ResultCode {
		var bad *diameter.Error
		if err == nil {
			return diameter.Success
		}
		if !errors.As(err, &bad) || bad.Failed == nil {
			t.Errorf("the error is %v", err)
			return 0
		}
		return bad.Code
	}
	number := func(data string) (any, error) { n, err := avp(data).Uint32(); return n, err }
	text := func(data string) (any, error) { s, err := avp(data).Text(); return s, err }
	name := func(data string) (any, error) { s, err := avp(data).Identity(); return s, err }
	for _, c := range []struct {
		name string
		got  diameter.ResultCode
		want diameter.ResultCode
	}{
		{"a number", of(number("\x00\x00\x00\x07")), 2001},
		{"a number of three bytes", of(number("\x00\x00\x07")), 5014},
		{"a number of eight bytes", of(number("\x00\x00\x00\x00\x00\x00\x00\x07")), 5014},
		{"no number", of(number("")), 5014},
		{"a text", of(text("añejo")), 2001},
		{"a text in Latin-1", of(text("a\xF1ejo")), 5004},
		{"a text with a surrogate", of(text("\xED\xA0\x80")), 5004},
		{"a name", of(name("mme-1.epc.mnc001.mcc001.3gppnetwork.org")), 2001},
		{"no name", of(name("")), 5004},
		{"a name with a space", of(name("mme 1")), 5004},
		{"a name with a line break", of(name("mme\n1")), 5004},
		{"a name with a zero", of(name("mme\x00")), 5004},
		{"a name that is too long", of(name(strings.Repeat("a", 256))), 5004},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, c.got, c.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1":        "00000101 40 00000E 0001 7F000001 0000",
		"::ffff:127.0.0.1": "00000101 40 00000E 0001 7F000001 0000",
		"::1":              "00000101 40 00001A 0002 00000000000000000000000000000001 0000",
	} {
		if got := diameter.AppendAddress(nil, diameter.HostIPAddress, netip.MustParseAddr(address)); !bytes.Equal(got, unhex(want)) {
			t.Errorf("%s: got %x", address, got)
		}
	}
}

func TestAGrammarIsKept(t *testing.T) {
	grammar := diameter.Grammar{
		{ID: diameter.SessionID, Min: 1, Max: 1, Example: ""},
		{ID: diameter.ProxyInfo},
		{ID: diameter.AuthSessionState, Min: 1, Max: 1, Example: "\x00\x00\x00\x00"},
	}
	session, state := diameter.AVP{ID: diameter.SessionID, Data: []byte("s")}, diameter.AVP{ID: diameter.AuthSessionState}
	proxy := diameter.AVP{ID: diameter.ProxyInfo}
	unknown := func(f diameter.AVPFlags) diameter.AVP {
		return diameter.AVP{ID: diameter.ID{Code: 263, Vendor: 9}, Flags: f | diameter.VendorSpecific, Data: []byte("abc")}
	}
	for _, c := range []struct {
		name   string
		avps   []diameter.AVP
		code   diameter.ResultCode
		failed string
	}{
		{"what is required", []diameter.AVP{session, state}, 2001, ""},
		{"in another order, with what may be there", []diameter.AVP{proxy, state, proxy, session, proxy}, 2001, ""},
		{"an unknown one that need not be known", []diameter.AVP{session, state, unknown(0)}, 2001, ""},
		{"an unknown one that must be known, of a vendor but with a known code", []diameter.AVP{session, unknown(diameter.Mandatory), state}, 5001, "00000107 C0 00000F 00000009 61626300"},
		{"nothing", nil, 5005, "00000107 40 000008"},
		{"the last is missing", []diameter.AVP{session}, 5005, "00000115 40 00000C 00000000"},
		{"one twice", []diameter.AVP{session, state, session}, 5009, "00000107 00 000009 73000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := grammar.Check(c.avps)
			var bad *diameter.Error
			switch {
			case err == nil && c.code == diameter.Success:
			case !errors.As(err, &bad):
				t.Errorf("got %v", err)
			case bad.Code != c.code || !bytes.Equal(bad.Failed, unhex(c.failed)):
				t.Errorf("got %d %x, want %d %s", bad.Code, bad.Failed, c.code, c.failed)
			}
		})
	}
}

func TestAnAnswersHeader(t *testing.T) {
	asked := diameter.Header{Flags: diameter.Request | diameter.Proxiable | diameter.Retransmitted | 1, Command: 324, Application: 1, HopByHop: 2, EndToEnd: 3}
	for code, flags := range map[diameter.ResultCode]diameter.Flags{diameter.Success: diameter.Proxiable, diameter.InvalidAVPValue: diameter.Proxiable,
		diameter.CommandUnsupported: diameter.Proxiable | diameter.IsError} {
		want := asked
		want.Flags = flags
		if got := asked.Answer(code); got != want {
			t.Errorf("%d: got %+v, want %+v", code, got, want)
		}
	}
}

func TestAFailedAVPThatIsTooLongIsLeftOut(t *testing.T) {
	a := diameter.AVP{ID: diameter.UserName, Data: make([]byte, diameter.MaxBytes/2)}
	if got := a.Invalid("x").AppendFailed(nil); len(got) != 0 {
		t.Errorf("%d bytes", len(got))
	}
}

// FuzzDecode: what is read is written again as the same bytes, and so is each group in it. What is refused has a Result-Code, and a
// Failed-AVP that can be read.
func FuzzDecode(f *testing.F) {
	f.Add(question())
	f.Add(message(0x80, "00000001 C0 000010 00000000 61616161"))
	f.Add(message(0x80, "00000001 40 FFFFFF 61616161"))
	f.Add(message(0x00, "0000011C 40 000018 00000118 40 00000B 61626300 00000021 40 000009 62000000"))
	codes := []diameter.ResultCode{3008, 3009, 5011, 5012, 5014, 5015}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode(data)
		if err == nil {
			if again := m.Append(nil); !bytes.Equal(again, data) {
				t.Fatalf("%x became %x", data, again)
			}
			for i := range m.AVPs {
				inside, err := m.AVPs[i].Group(nil)
				var again []byte
				for j := range inside {
					again = inside[j].Append(again)
				}
				if err == nil && !bytes.Equal(again, m.AVPs[i].Data) {
					t.Errorf("the group %x became %x", m.AVPs[i].Data, again)
				}
			}
			return
		}
		var bad *diameter.Error
		if !errors.As(err, &bad) || !slices.Contains(codes, bad.Code) {
			t.Fatalf("%x: %v", data, err)
		}
		answer := bad.AppendFailed(diameter.AppendUint32(diameter.Begin(nil, m.Header.Answer(bad.Code)), diameter.ResultCodeAVP, uint32(bad.Code)))
		diameter.End(answer, 0)
		if _, err := decode(answer); err != nil {
			t.Errorf("the answer to %x is %x: %v", data, answer, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	bytes := question()
	var m diameter.Message
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Decode(bytes); err != nil {
			b.Fatal(err)
		}
	}
}
