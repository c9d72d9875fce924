package corim_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"imei-attest/verifier/trust/corim"

	"github.com/fxamacker/cbor/v2"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew")

// vector is a payload, tagged-unsigned-corim-map, with the error that a reader of the subset must give, or "ok".
type vector struct {
	Title    string `json:"title"`
	Clause   string `json:"clause"`
	Hex      string `json:"hex"`
	Expected string `json:"expected"`
}

const (
	vectorFile = "testdata/vectors.json"
	minVectors = 60 // a file that lost its content must not pass
)

type m = map[any]any

// tree is a good document taken apart, to be spoiled.
type tree struct {
	t            testing.TB
	corim, comid m
}

func plant(t testing.TB) *tree {
	t.Helper()
	d := document(t)
	payload, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var root cbor.Tag
	if err := cbor.Unmarshal(payload, &root); err != nil {
		t.Fatal(err)
	}
	tr := &tree{t: t, corim: root.Content.(m)}
	tr.corim[uint64(4)] = m{uint64(0): tag(1, d.NotBefore.Unix()), uint64(1): tag(1, d.NotAfter.Unix())} // not as Go's times
	if err := cbor.Unmarshal(tr.corim[uint64(1)].([]any)[0].(cbor.Tag).Content.([]byte), &tr.comid); err != nil {
		t.Fatal(err)
	}
	return tr
}

var deterministic = func() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

func (tr *tree) encode(v any) []byte {
	raw, err := deterministic.Marshal(v)
	if err != nil {
		tr.t.Fatal(err)
	}
	return raw
}

// pack puts the CoMID back, and the whole under its tag.
func (tr *tree) pack() []byte {
	if tags, ok := tr.corim[uint64(1)].([]any); ok && len(tags) > 0 {
		if tag, ok := tags[0].(cbor.Tag); ok && tag.Number == 506 && tr.comid != nil {
			tags[0] = cbor.Tag{Number: 506, Content: tr.encode(tr.comid)}
		}
	}
	return tr.encode(cbor.Tag{Number: 501, Content: tr.corim})
}

func (tr *tree) triples() m { return tr.comid[uint64(4)].(m) }

// record is a triple of a kind; those of kind 10 stand in the order credential, device-key, credential-key, tpm-firmware, firmware.
func (tr *tree) record(kind uint64, n int) []any { return tr.triples()[kind].([]any)[n].([]any) }

// state is the environment and the claims of a condition.
func (tr *tree) state(n int) []any { return tr.record(10, n)[0].([]any)[0].([]any) }

// claim is the measurement of a condition.
func (tr *tree) claim(n int) m { return tr.state(n)[1].([]any)[0].(m) }

// promise is what a withdrawal endorses.
func (tr *tree) promise(n int) []any { return tr.record(10, n)[1].([]any)[0].([]any) }

func (tr *tree) class(kind uint64, n int) m {
	return tr.record(kind, n)[0].(m)[uint64(0)].(m)
}

func tag(number uint64, content any) cbor.Tag { return cbor.Tag{Number: number, Content: content} }

// spoilt are documents with one thing wrong each.
var spoilt = []struct {
	title, clause string
	spoil         func(*tree)
	expected      string
}{
	{"no tags", "4.1", func(tr *tree) { delete(tr.corim, uint64(1)) }, "CoRIM: key 1 is missing"},
	{"no id", "4.1", func(tr *tree) { delete(tr.corim, uint64(0)) }, "CoRIM: key 0 is missing"},
	{"an id that is a UUID", "4.1.1", func(tr *tree) { tr.corim[uint64(0)] = make([]byte, 16) }, "CoRIM, key 0: want a text"},
	{"an id of 129 bytes", "4.1.1", func(tr *tree) { tr.corim[uint64(0)] = strings.Repeat("i", 129) }, "CoRIM, key 0: want 1 to 128 bytes, not 129"},
	{"an id that moves the cursor", "4.1.1", func(tr *tree) { tr.corim[uint64(0)] = "\x1b[2K" }, "CoRIM, key 0: a character cannot be printed"},
	{"dependent rims", "4.1.3", func(tr *tree) { tr.corim[uint64(2)] = []any{m{uint64(0): tag(32, "u")}} }, "CoRIM: key 2 is not of the subset"},
	{"no profile", "4.1.4", func(tr *tree) { delete(tr.corim, uint64(3)) }, "CoRIM: key 3 is missing"},
	{"another profile", "4.1.4", func(tr *tree) { tr.corim[uint64(3)] = tag(32, "tag:other.example,2026:corim") }, "CoRIM, key 3: another profile"},
	{"a profile that is an OID", "4.1.4", func(tr *tree) { tr.corim[uint64(3)] = tag(111, []byte{1}) }, "CoRIM, key 3: want tag 32, not 111"},
	{"a profile without a tag", "4.1.4", func(tr *tree) { tr.corim[uint64(3)] = corim.Profile }, "CoRIM, key 3: want tag 32"},
	{"no validity", "4.1", func(tr *tree) { delete(tr.corim, uint64(4)) }, "CoRIM: key 4 is missing"},
	{"a validity without an end", "7.3", func(tr *tree) { delete(tr.corim[uint64(4)].(m), uint64(1)) }, "CoRIM, key 4: key 1 is missing"},
	{"a validity that ends before it begins", "7.3", func(tr *tree) { tr.corim[uint64(4)].(m)[uint64(1)] = tag(1, uint64(1)) }, "CoRIM, key 4: it ends before it begins"},
	{"a time that is a float", "7.3", func(tr *tree) { tr.corim[uint64(4)].(m)[uint64(1)] = tag(1, 1.5) }, "CoRIM, key 4, key 1: want an integer"},
	{"a time before 1970", "7.3", func(tr *tree) { tr.corim[uint64(4)].(m)[uint64(0)] = tag(1, int64(-1)) }, "CoRIM, key 4, key 0: want whole seconds"},
	{"a time after the year 9999", "7.3", func(tr *tree) { tr.corim[uint64(4)].(m)[uint64(1)] = tag(1, uint64(253402300800)) }, "CoRIM, key 4, key 1: want whole seconds"},
	{"entities", "4.1.5", func(tr *tree) { tr.corim[uint64(5)] = []any{m{uint64(0): "n", uint64(2): []any{uint64(1)}}} }, "CoRIM: key 5 is not of the subset"},
	{"a private entry of the CoRIM", "11.3", func(tr *tree) { tr.corim[int64(-1)] = "x" }, "CoRIM: key -1 is not of the subset"},
	{"a key that is a text", "4.1", func(tr *tree) { tr.corim["x"] = "x" }, "CoRIM: want a map with integer keys"},
	{"no tag in the list", "4.1.2", func(tr *tree) { tr.corim[uint64(1)] = []any{} }, "CoRIM, key 1: the array is empty"},
	{"two CoMIDs", "4.1.2", func(tr *tree) {
		tags := tr.corim[uint64(1)].([]any)
		tr.corim[uint64(1)] = []any{tags[0], tags[0]}
	}, "CoRIM, key 1: the array has 2 entries, the subset takes 1"},
	{"a CoSWID", "4.1.2", func(tr *tree) { tr.corim[uint64(1)] = []any{tag(505, []byte{0xa0})} }, "CoRIM, key 1, entry 1: want tag 506, not 505"},
	{"a CoMID that is not in bytes", "5", func(tr *tree) { tr.corim[uint64(1)] = []any{tag(506, m{})}; tr.comid = nil }, "CoRIM, key 1, entry 1: want a byte string"},
	{"a language", "5.1", func(tr *tree) { tr.comid[uint64(0)] = "en" }, "CoRIM, key 1, entry 1: key 0 is not of the subset"},
	{"another id of the CoMID", "5.1.1", func(tr *tree) { tr.comid[uint64(1)] = m{uint64(0): "x"} }, "CoRIM, key 1, entry 1, key 1, key 0: the CoMID must have the id"},
	{"a version of the CoMID", "5.1.1.2", func(tr *tree) { tr.comid[uint64(1)].(m)[uint64(1)] = uint64(1) }, "CoRIM, key 1, entry 1, key 1: key 1 is not of the subset"},
	{"a link to another tag", "5.1.3", func(tr *tree) { tr.comid[uint64(3)] = []any{m{uint64(0): "x", uint64(1): uint64(1)}} }, "CoRIM, key 1, entry 1: key 3 is not of the subset"},
	{"no triples", "5.1.4", func(tr *tree) { tr.comid[uint64(4)] = m{} }, "CoRIM, key 1, entry 1, key 4: no triples"},
	{"endorsed values", "5.1.6", func(tr *tree) { tr.triples()[uint64(1)] = tr.triples()[uint64(0)] }, "CoRIM, key 1, entry 1, key 4: key 1 is not of the subset"},
	{"an identity", "5.1.9", func(tr *tree) { tr.triples()[uint64(2)] = tr.triples()[uint64(3)] }, "key 4: key 2 is not of the subset"},
	{"a series", "5.1.8", func(tr *tree) { tr.triples()[uint64(8)] = []any{} }, "key 4: key 8 is not of the subset"},
	{"an empty list of triples", "5.1.4", func(tr *tree) { tr.triples()[uint64(0)] = []any{} }, "key 4, key 0: the array is empty"},
	{"a reference value for an instance", "5.1.4.3", func(tr *tree) { tr.record(0, 1)[0].(m)[uint64(1)] = tag(560, []byte{1}) }, "key 0, entry 2, entry 1: key 1 is not of the subset"},
	{"a reference value for no model", "5.1.4.2", func(tr *tree) { delete(tr.class(0, 0), uint64(2)) }, "key 0, entry 1, entry 1, key 0: key 2 is missing"},
	{"a layer of a model", "5.1.4.2", func(tr *tree) { tr.class(0, 0)[uint64(3)] = uint64(1) }, "entry 1, key 0: key 3 is not of the subset"},
	{"a model in another form", "5.1.4.2", func(tr *tree) { tr.class(0, 0)[uint64(2)] = "hex:41" }, "key 0, entry 1: a key, model, id or range is written in another form"},
	{"a model of 33 bytes", "5.1.4.2", func(tr *tree) { tr.class(0, 0)[uint64(2)] = strings.Repeat("m", 33) }, "key 0, entry 1: models: entry 1: hwmodel must have"},
	{"another manufacturer's model", "5.1.4.2", func(tr *tree) { tr.class(0, 2)[uint64(1)] = "tag:other.example,2026:x" }, "entry 3, entry 1, key 0: another manufacturer"},
	{"a class that is an OID", "5.1.4.2", func(tr *tree) { tr.class(0, 0)[uint64(0)] = tag(111, []byte{1}) }, "entry 1, key 0, key 0: want tag 560, not 111"},
	{"an OEM id of no form", "5.1.4.2", func(tr *tree) { tr.class(0, 0)[uint64(0)] = tag(560, []byte("pen:0")) }, "key 0, key 0: want the bytes of an OEM id"},
	{"an OEM id in another form", "5.1.4.2", func(tr *tree) { tr.class(0, 0)[uint64(0)] = tag(560, []byte("pen:032473")) }, "key 0, key 0: want the bytes of an OEM id"},
	{"two measurements of one state", "5.1.5", func(tr *tree) {
		claims := tr.record(0, 0)[1].([]any)
		tr.record(0, 0)[1] = []any{claims[0], claims[0]}
	}, "key 0, entry 1, entry 2: the array has 2 entries, the subset takes 1"},
	{"a reference value of another element", "5.1.4.5.1", func(tr *tree) { tr.record(0, 0)[1].([]any)[0].(m)[uint64(0)] = "bootloader" }, "entry 1, entry 2: a reference value is of the element \"firmware\" only"},
	{"a reference value without an element", "5.1.4.5", func(tr *tree) { delete(tr.record(0, 0)[1].([]any)[0].(m), uint64(0)) }, "entry 1, entry 2, entry 1: key 0 is missing"},
	{"an authority of its own", "5.1.4.5", func(tr *tree) { tr.record(0, 0)[1].([]any)[0].(m)[uint64(2)] = []any{tag(560, []byte{1})} }, "entry 2, entry 1: key 2 is not of the subset"},
	{"a digest for a reference value", "5.1.4.5.2", func(tr *tree) {
		tr.record(0, 0)[1].([]any)[0].(m)[uint64(1)] = m{uint64(2): []any{[]any{uint64(1), make([]byte, 32)}}}
	}, "entry 2, entry 1, key 1: key 2 is not of the subset"},
	{"a scheme of versions", "5.1.4.5.3", func(tr *tree) {
		tr.record(0, 0)[1].([]any)[0].(m)[uint64(1)] = m{uint64(0): m{uint64(0): "1", uint64(1): uint64(16384)}}
	}, "key 1, key 0: key 1 is not of the subset"},
	{"a revision of 33 bytes", "5.1.4.5.3", func(tr *tree) {
		tr.record(0, 0)[1].([]any)[0].(m)[uint64(1)] = m{uint64(0): m{uint64(0): strings.Repeat("1", 33)}}
	}, "key 0, entry 1: models: entry 1: firmware"},
	{"a reference value twice", "5.1.5", func(tr *tree) {
		tr.triples()[uint64(0)] = append(tr.triples()[uint64(0)].([]any), tr.record(0, 0))
	}, "CoRIM: models: entry 1: firmware: entry 3 says the same as entry 1"},
	{"two triples of keys", "5.1.10", func(tr *tree) { tr.triples()[uint64(3)] = []any{tr.record(3, 0), tr.record(3, 0)} }, "key 4, key 3: more than one"},
	{"a condition of keys", "5.1.10", func(tr *tree) { tr.triples()[uint64(3)] = []any{append(tr.record(3, 0), m{uint64(0): "x"})} }, "key 3, entry 1: the array has 3 entries, the subset takes 2"},
	{"keys of a model", "5.1.10", func(tr *tree) { tr.class(3, 0)[uint64(2)] = "bench" }, "key 3, entry 1, entry 1, key 0: key 2 is not of the subset"},
	{"a certificate", "5.1.4.6", func(tr *tree) { tr.record(3, 0)[1] = []any{tag(555, "x")} }, "key 3, entry 1, entry 2, entry 1: want tag 554, not 555"},
	{"a key that is no PEM", "5.1.4.6", func(tr *tree) { tr.record(3, 0)[1] = []any{tag(554, "x")} }, "entry 2, entry 1: credential_keys: entry 1: want one PEM block"},
	{"a key with something before it", "5.1.4.6", func(tr *tree) {
		keys := tr.record(3, 0)[1].([]any)
		keys[0] = tag(554, "x\n"+keys[0].(cbor.Tag).Content.(string))
	}, "entry 2, entry 1: a key, model, id or range is written in another form"},
	{"a key of 2 kB", "5.1.4.6", func(tr *tree) { tr.record(3, 0)[1] = []any{tag(554, strings.Repeat("x", 2000))} }, "entry 2, entry 1: a key of 2000 bytes"},
	{"a key twice", "5.1.10", func(tr *tree) {
		keys := tr.record(3, 0)[1].([]any)
		tr.record(3, 0)[1] = []any{keys[0], keys[0]}
	}, "CoRIM: credential_keys: entry 2 says the same as entry 1"},
	{"two conditions", "5.1.7", func(tr *tree) { tr.record(10, 0)[0] = []any{tr.state(0), tr.state(0)} }, "key 10, entry 1, entry 1: the array has 2 entries, the subset takes 1"},
	{"no endorsement", "5.1.7", func(tr *tree) { tr.record(10, 0)[1] = []any{} }, "key 10, entry 1, entry 2: want one endorsement"},
	{"two endorsements", "5.1.7", func(tr *tree) { tr.record(10, 0)[1] = []any{tr.promise(0), tr.promise(0)} }, "key 10, entry 1, entry 2: want one endorsement"},
	{"a vouching that is given again", "5.1.7", func(tr *tree) { tr.promise(1)[1].([]any)[0].(m)[uint64(1)] = m{int64(-70032): true} }, "key 10, entry 2, entry 2: want one endorsement"},
	{"a flag for an endorsement", "5.1.4.5.2", func(tr *tree) { tr.promise(1)[1].([]any)[0].(m)[uint64(1)] = m{uint64(3): m{uint64(1): false}} }, "key 10, entry 2, entry 2: want one endorsement"},
	{"an endorsement of another element", "5.1.7", func(tr *tree) { tr.promise(1)[1].([]any)[0].(m)[uint64(0)] = "credential" }, "key 10, entry 2, entry 2: want one endorsement"},
	{"a condition for a model", "5.1.7", func(tr *tree) { tr.state(1)[0].(m)[uint64(0)].(m)[uint64(2)] = "bench" }, "key 10, entry 2, entry 1, entry 1, entry 1, key 0: key 2 is not of the subset"},
	{"an element that nobody knows", "5.1.4.5.1", func(tr *tree) { tr.claim(0)[uint64(0)] = "person" }, "entry 1, entry 2, entry 1, key 1: an element that is not of the subset"},
	{"a digest by another algorithm", "7.7", func(tr *tree) { tr.claim(0)[uint64(1)] = m{uint64(2): []any{[]any{uint64(7), make([]byte, 32)}}} }, "key 1: want key 2 with a value of 32 bytes"},
	{"a digest of 31 bytes", "7.7", func(tr *tree) { tr.claim(0)[uint64(1)] = m{uint64(2): []any{[]any{uint64(1), make([]byte, 31)}}} }, "key 1: want key 2 with a value of 32 bytes"},
	{"a value that is too short", "5.1.4.5.2", func(tr *tree) { tr.claim(0)[uint64(1)] = m{uint64(2): []any{}} }, "key 1: too short for the element"},
	{"a whole key for a key id", "5.1.4.6", func(tr *tree) { tr.claim(1)[uint64(1)] = m{uint64(13): []any{tag(554, strings.Repeat("x", 64))}} }, "key 1: want key 13 with a value of 16 bytes"},
	{"a version of TPM firmware in 4 bytes", "5.1.4.5.2", func(tr *tree) { tr.claim(3)[uint64(1)] = m{uint64(4): tag(560, make([]byte, 4))} }, "key 1: want key 4 with a value of 8 bytes"},
	{"a range of firmware for all devices", "5.1.4.4", func(tr *tree) { delete(tr.state(4)[0].(m), uint64(2)) }, "key 10, entry 5, entry 1, entry 1, entry 1: key 2 is missing"},
	{"a key id for a group of devices", "5.1.4.4", func(tr *tree) { tr.state(1)[0].(m)[uint64(2)] = tag(560, []byte("49015420")) }, "entry 2, entry 1, entry 1, entry 1: key 2 is not of the subset"},
	{"a TAC of seven digits", "5.1.4.4", func(tr *tree) { tr.state(4)[0].(m)[uint64(2)] = tag(560, []byte("4901542")) }, "key 10, entry 5: revoked.firmware: entry 1: tacs"},
	{"a range of one TAC", "5.1.4.4", func(tr *tree) { tr.state(4)[0].(m)[uint64(2)] = tag(560, []byte("49015420-49015420")) }, "key 10, entry 5: a key, model, id or range"},
	{"a range without an end", "5.1.4.5.2", func(tr *tree) { tr.claim(4)[uint64(1)] = m{int64(-70031): []any{"1"}} }, "key -70031: the array has 1 entries, the subset takes 2"},
	{"a range from last to first", "5.1.4.5.2", func(tr *tree) { tr.claim(4)[uint64(1)] = m{int64(-70031): []any{"2", "1"}} }, "key 10, entry 5: revoked.firmware: entry 1: from"},
	{"a withdrawal twice", "5.1.7", func(tr *tree) {
		tr.triples()[uint64(10)] = append(tr.triples()[uint64(10)].([]any), tr.record(10, 1))
	}, "CoRIM: revoked.device_keys: entry 2 says the same as entry 1"},
}

// rawly are documents that are wrong below the level of values.
func rawly(t testing.TB) []vector {
	good := plant(t).pack()
	shown := func(title, clause string, raw []byte, expected string) vector {
		return vector{title, clause, hex.EncodeToString(raw), expected}
	}
	oldTag := bytes.Replace(good, []byte{0xd9, 0x01, 0xf5}, []byte{0xd9, 0x01, 0xf4}, 1)
	twice := bytes.Replace(good, []byte{0xd9, 0x01, 0xf5, 0xa4}, []byte{0xd9, 0x01, 0xf5, 0xa5, 0x00, 0x61, 'x'}, 1)
	longHead := bytes.Replace(good, []byte{0xd9, 0x01, 0xf5, 0xa4, 0x00}, []byte{0xd9, 0x01, 0xf5, 0xa4, 0x18, 0x00}, 1)
	endless := append(bytes.Replace(good, []byte{0xd9, 0x01, 0xf5, 0xa4}, []byte{0xd9, 0x01, 0xf5, 0xbf}, 1), 0xff)
	return []vector{
		shown("everything that the subset says", "4.1", good, "ok"),
		shown("tag 500, which the draft no longer has", "4.1", oldTag, "CoRIM: want tag 501, not 500"),
		shown("no tag", "4.1", good[3:], "CoRIM: want tag 501"),
		shown("nothing", "4.1", nil, "CoRIM: no CBOR"),
		shown("a byte behind the end", "4.1", append(bytes.Clone(good), 0), "CoRIM: no CBOR"),
		shown("a map key twice", "4.1", twice, "CoRIM: a map key stands twice"),
		shown("a number with a long head", "4.1.4", longHead, "CoRIM: want a map with integer keys in the deterministic encoding"),
		shown("an indefinite length", "4.1.4", endless, "CoRIM: no CBOR"),
		shown("a text that is no UTF-8", "4.1.1", bytes.Replace(good, []byte("sha256:"), []byte("sha256\xff"), 1), "CoRIM, key 0: no CBOR"),
		shown("nested too deep", "4.1", append(bytes.Repeat([]byte{0x81}, 40), 0), "CoRIM: no CBOR"),
	}
}

func generate(t testing.TB) []vector {
	all := rawly(t)
	for kind, keep := range map[uint64]string{0: "reference values alone", 3: "keys alone", 10: "withdrawals alone"} {
		tr := plant(t)
		tr.comid[uint64(4)] = m{kind: tr.triples()[kind]}
		all = append(all, vector{keep, "5.1.4", hex.EncodeToString(tr.pack()), "ok"})
	}
	for _, s := range spoilt {
		tr := plant(t)
		s.spoil(tr)
		all = append(all, vector{s.title, s.clause, hex.EncodeToString(tr.pack()), s.expected})
	}
	return all
}

func loadVectors(t testing.TB) (all []vector) {
	t.Helper()
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < minVectors {
		t.Fatalf("%d vectors, there must be at least %d", len(all), minVectors)
	}
	return all
}

func (v vector) bytes(t testing.TB) []byte {
	raw, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatalf("%s: %v", v.Title, err)
	}
	return raw
}

func TestVectors(t *testing.T) {
	if *update {
		raw, err := json.MarshalIndent(generate(t), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	titles, good := make(map[string]bool), 0
	for _, v := range loadVectors(t) {
		d, err := corim.Decode(v.bytes(t))
		switch format := new(corim.FormatError); {
		case titles[v.Title]:
			t.Errorf("%s: stands twice", v.Title)
		case v.Expected == "ok" && err == nil:
			good++
			if again, err := d.Encode(); err != nil || !bytes.Equal(again, v.bytes(t)) {
				t.Errorf("%s: encoded again %x, %v", v.Title, again, err)
			}
		case err == nil, v.Expected == "ok", !errors.As(err, &format), !strings.Contains(err.Error(), v.Expected):
			t.Errorf("%s: got %v, want %s", v.Title, err, v.Expected)
		}
		titles[v.Title] = true
	}
	if good != 4 {
		t.Errorf("%d vectors are good", good)
	}
}

// TestTheVectorsAreThoseOfTheTable: a line that is added needs -update.
func TestTheVectorsAreThoseOfTheTable(t *testing.T) {
	want := make(map[vector]bool)
	for _, v := range generate(t) {
		want[v] = true
	}
	for _, v := range loadVectors(t) {
		delete(want, v)
	}
	for v := range want {
		t.Errorf("%s is not in %s: run the tests once with -update", v.Title, vectorFile)
	}
}

func TestEveryPrefixIsRefused(t *testing.T) {
	good := plant(t).pack()
	for n := range good {
		if _, err := corim.Decode(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(good))
		}
	}
}

// FuzzCoRIM: what is accepted is written as the same bytes, and a file takes what it says or says why not.
func FuzzCoRIM(f *testing.F) {
	for _, v := range loadVectors(f) {
		f.Add(v.bytes(f))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := corim.Decode(payload)
		if format := new(corim.FormatError); err != nil {
			if !errors.As(err, &format) {
				t.Errorf("%x: an error of another kind: %v", payload, err)
			}
			return
		}
		if again, err := d.Encode(); err != nil || !bytes.Equal(again, payload) {
			t.Errorf("%x was accepted, and is written as %x, %v", payload, again, err)
		}
		said, file := d.Additions(), bare(t, "first", "second")
		if said.IsEmpty() {
			t.Errorf("%x says nothing", payload)
		}
		added, err := file.Add(said)
		if err != nil {
			return // the keys and TACs of somebody else
		}
		if more, err := file.Add(said); err != nil || !more.IsEmpty() {
			t.Errorf("%x was added twice: %+v, then %+v, %v", payload, added, more, err)
		}
	})
}
