package attest_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

// checkUsual proves that the library accepts what is read without it, and with the same values. It counts what was.
func checkUsual(t *testing.T, raw []byte) (read int) {
	t.Helper()
	for _, kind := range attest.UsualKinds {
		got, isUsual := kind.Read(raw)
		if !isUsual {
			continue
		}
		read++
		if want, err := kind.Decode(raw); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s %x: read as %+v, decoded as %+v, %v", kind.Name, raw, got, want, err)
		}
	}
	return read
}

// usualMessages are Credentials and Evidence such as this package writes, alone, with a Credential beside it and with a proof.
func usualMessages(rounds int) (messages [][]byte) {
	r := source()
	for range rounds {
		c := randomCredential(r)
		signed := attesttest.SignedCredential(c)
		messages = append(messages, signed, attesttest.Token(randomClaims(r), nil), attesttest.Token(randomClaims(r), signed))
		if c.Storage.Kind.IsTPM() {
			messages = append(messages, attesttest.ProvedToken(randomClaims(r), c, attesttest.Proof(), signed))
		}
	}
	return messages
}

// usualParts are the parts of messages that are read by themselves.
func usualParts(t testing.TB, rounds int) (parts [][]byte) {
	t.Helper()
	for _, raw := range usualMessages(rounds) {
		of, err := attest.PartsOf(raw)
		if err != nil {
			t.Fatalf("%x: %v", raw, err)
		}
		parts = append(parts, of...)
	}
	return parts
}

// TestUsualMessagesAreReadWithoutTheLibrary: else they would be read as slowly as any other, and nobody would see.
func TestUsualMessagesAreReadWithoutTheLibrary(t *testing.T) {
	for _, part := range usualParts(t, 100) {
		if checkUsual(t, part) != 1 {
			t.Errorf("%x is read by the library, or in two ways", part)
		}
	}
}

// TestWhatIsReadWithoutTheLibraryIsWhatItReads: each prefix of usual parts, each byte left out, each bit turned.
func TestWhatIsReadWithoutTheLibraryIsWhatItReads(t *testing.T) {
	const least = 10_000 // most turned bits are of hashes and points
	read := 0
	for _, part := range usualParts(t, 4) {
		part = bytes.Clone(part)
		for i := range part {
			read += checkUsual(t, part[:i]) + checkUsual(t, append(part[:i:i], part[i+1:]...))
			for bit := range 8 {
				part[i] ^= 1 << bit
				read += checkUsual(t, part)
				part[i] ^= 1 << bit
			}
		}
	}
	if read < least {
		t.Errorf("%d altered parts are usual, want at least %d", read, least)
	}
}

// TestWhatIsEmptyIsNotUsual where it would be left out: then the library refuses it.
func TestWhatIsEmptyIsNotUsual(t *testing.T) {
	parts, err := attest.PartsOf(attesttest.Token(attesttest.Claims(), attesttest.SignedCredential(attesttest.Credential())))
	if err != nil {
		t.Fatal(err)
	}
	header, claims, credential := parts[1], parts[2], parts[5]
	with := func(part []byte, label int64, change func(value any) any) []byte {
		var all map[any]any
		if err := cbor.Unmarshal(part, &all); err != nil {
			t.Fatal(err)
		}
		var key any = label
		if label >= 0 {
			key = uint64(label)
		}
		all[key] = change(all[key])
		raw, err := deterministic.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	member := func(label uint64, empty any) func(any) any {
		return func(value any) any {
			m, _ := value.(map[any]any)
			if m == nil {
				m = make(map[any]any)
			}
			m[label] = empty
			return m
		}
	}
	to := func(empty any) func(any) any { return func(any) any { return empty } }
	for name, part := range map[string][]byte{
		"a key id":          with(header, 4, to([]byte{})),
		"a typ":             with(header, 16, to(0)),
		"a manufacturer":    with(claims, -70002, member(1, "")),
		"a model":           with(claims, -70002, member(2, "")),
		"a revision":        with(claims, -70002, member(3, "")),
		"submods":           with(claims, 266, to(map[any]any{})),
		"an NV variant":     with(credential, -70012, member(3, 0)),
		"an EK Name's hash": with(credential, -70012, member(4, []byte{})),
		"rollback":          with(credential, -70012, member(6, false)),
		"a key Name":        with(credential, -70012, member(7, []byte{})),
	} {
		if checkUsual(t, part) != 0 {
			t.Errorf("%s that is empty is read", name)
		}
	}
}

func FuzzUsual(f *testing.F) {
	for _, part := range usualParts(f, 10) {
		f.Add(part)
	}
	for _, v := range loadVectors(f) {
		if parts, err := attest.PartsOf(v.Bytes()); err == nil {
			for _, part := range parts {
				f.Add(part)
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) { checkUsual(t, raw) })
}
