package attest_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
)

func nonceKey(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func nonceKeys(t *testing.T, generation uint, current, earlier []byte) *attest.NonceKeys {
	t.Helper()
	k, err := attest.NewNonceKeys(generation, current, earlier)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mint(t *testing.T, k *attest.NonceKeys, rand io.Reader, now time.Time, size int) attest.Nonce {
	t.Helper()
	n, err := k.Mint(rand, now, size)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func seeded() io.Reader { return rand.NewChaCha8([32]byte{1}) }

func TestNonceLayout(t *testing.T) {
	const generation = 5
	key := nonceKey(1)
	for _, size := range []int{29, 33, 64} {
		n := mint(t, nonceKeys(t, generation, key, nil), seeded(), attesttest.Now, size)
		if len(n) != size || n[0] != 1<<4|generation {
			t.Errorf("%d bytes: %x", size, n)
		}
		body, tag := n[:size-16], n[size-16:]
		mac := hmac.New(sha256.New, key)
		mac.Write(body)
		if want := mac.Sum(nil)[:16]; !bytes.Equal(tag, want) {
			t.Errorf("%d bytes: tag %x, want %x", size, tag, want)
		}
		expiry := binary.BigEndian.Uint32(n[size-20:]) ^ binary.BigEndian.Uint32(n[1:])
		if want := attesttest.Now.Unix() + 120; int64(expiry) != want {
			t.Errorf("%d bytes: expires at %d, want %d", size, expiry, want)
		}
	}
}

func TestNonceSizes(t *testing.T) {
	k := nonceKeys(t, 1, nonceKey(1), nil)
	for size, ok := range map[int]bool{-1: false, 0: false, 28: false, 29: true, 33: true, 64: true, 65: false} {
		n, err := k.Mint(seeded(), attesttest.Now, size)
		if (err == nil) != ok {
			t.Errorf("%d bytes: got %v, want minted %v", size, err, ok)
		}
		if ok {
			_, err = k.Check(n, attesttest.Now)
		} else {
			_, err = k.Check(bytes.Repeat([]byte{0x11}, max(size, 0)), attesttest.Now)
		}
		if (err == nil) != ok {
			t.Errorf("%d bytes: checked with %v", size, err)
		}
	}
}

func TestNonceExpiresAfter120Seconds(t *testing.T) {
	k := nonceKeys(t, 1, nonceKey(1), nil)
	n := mint(t, k, seeded(), attesttest.Now, attest.DefaultNonceBytes)
	want := attesttest.Now.Add(120 * time.Second)
	for after, expected := range map[time.Duration]error{
		0: nil, 120*time.Second - 1: nil, 120 * time.Second: attest.ErrNonceExpired, time.Hour: attest.ErrNonceExpired,
	} {
		if expiry, err := k.Check(n, attesttest.Now.Add(after)); !errors.Is(err, expected) || !expiry.Equal(want) {
			t.Errorf("after %v: got %v, %v, want %v, %v", after, expiry, err, want, expected)
		}
	}
}

func TestNonceKeysRotate(t *testing.T) {
	for _, generation := range []uint{1, 14, 15, 16} { // the id wraps after 15
		first := nonceKeys(t, generation, nonceKey(1), nil)
		second := nonceKeys(t, generation+1, nonceKey(2), nonceKey(1))
		third := nonceKeys(t, generation+2, nonceKey(3), nonceKey(2))
		n := mint(t, first, seeded(), attesttest.Now, attest.DefaultNonceBytes)
		m := mint(t, second, seeded(), attesttest.Now, attest.DefaultNonceBytes)
		for name, tt := range map[string]struct {
			keys  *attest.NonceKeys
			nonce attest.Nonce
			want  error
		}{
			"its own key":               {first, n, nil},
			"the key that follows":      {second, n, nil},
			"the key after that":        {third, n, attest.ErrNonceForeign},
			"the newer nonce":           {second, m, nil},
			"the newer nonce, earlier":  {third, m, nil},
			"a key that is not yet out": {first, m, attest.ErrNonceForeign},
			"another key, same id":      {nonceKeys(t, generation, nonceKey(9), nil), n, attest.ErrNonceForeign},
		} {
			if _, err := tt.keys.Check(tt.nonce, attesttest.Now); !errors.Is(err, tt.want) {
				t.Errorf("generation %d, %s: got %v, want %v", generation, name, err, tt.want)
			}
		}
	}
	for _, bad := range [][2][]byte{{nil, nil}, {nonceKey(1)[:31], nil}, {nonceKey(1), nonceKey(2)[:31]}, {nonceKey(1), {}}} {
		if _, err := attest.NewNonceKeys(1, bad[0], bad[1]); err == nil {
			t.Errorf("keys of %d and %d bytes were taken", len(bad[0]), len(bad[1]))
		}
	}
}

func TestNonceWithAFlippedBitIsForeign(t *testing.T) {
	k := nonceKeys(t, 2, nonceKey(2), nonceKey(1))
	for _, size := range []int{29, 33, 64} {
		n := mint(t, k, seeded(), attesttest.Now, size)
		for bit := range 8 * size {
			flipped := slices.Clone(n)
			flipped[bit/8] ^= 1 << (bit % 8)
			if _, err := k.Check(flipped, attesttest.Now); !errors.Is(err, attest.ErrNonceForeign) {
				t.Errorf("%d bytes, bit %d: got %v, want %v", size, bit, err, attest.ErrNonceForeign)
			}
		}
	}
}

// counter counts draws: one read is one draw.
type counter struct {
	io.Reader
	reads int
}

func (c *counter) Read(b []byte) (int, error) { c.reads++; return c.Reader.Read(b) }

func TestNoncesReadTheSameInBase64(t *testing.T) {
	const bound = 1024
	k := nonceKeys(t, 1, nonceKey(1), nil)
	for _, size := range []int{29, 32, 33, 48, 64} {
		draws, minted, most := &counter{Reader: seeded()}, 0, 0
		for after := time.Duration(0); after < 60*24*time.Hour; after += 421 * time.Second {
			before := draws.reads
			n := mint(t, k, draws, attesttest.Now.Add(after), size)
			minted, most = minted+1, max(most, draws.reads-before)
			padded := base64.StdEncoding.EncodeToString(n)
			if base64.URLEncoding.EncodeToString(n) != padded || size == attest.DefaultNonceBytes && n.String() != padded {
				t.Fatalf("after %v: base64 %s, base64url %s", after, padded, n)
			}
		}
		t.Logf("%d nonces of %d bytes, %.1f draws on average, %d at most", minted, size, float64(draws.reads)/float64(minted), most)
		if most >= bound/2 {
			t.Errorf("%d draws are too near the bound of %d", most, bound)
		}
	}
	broken := &counter{Reader: ones{}}
	if n, err := k.Mint(broken, attesttest.Now, attest.DefaultNonceBytes); err == nil || broken.reads != bound {
		t.Errorf("a source of ones: got %v, %v after %d draws, want an error after %d", n, err, broken.reads, bound)
	}
	if n, err := k.Mint(bytes.NewReader(nil), attesttest.Now, 64); err == nil {
		t.Errorf("an empty source: got %v", n)
	}
}

func TestAnEnclosedNonceComesOutAgain(t *testing.T) {
	first := nonceKeys(t, 15, nonceKey(1), nil)
	second := nonceKeys(t, 16, nonceKey(2), nonceKey(1))
	third := nonceKeys(t, 17, nonceKey(3), nonceKey(2))
	want := attesttest.Now.Add(120 * time.Second)
	for size := range 70 {
		n := attest.Nonce(bytes.Repeat([]byte{0x11}, size))
		enclosed, err := first.Enclose(n, attesttest.Now.Add(999*time.Millisecond))
		if ok := size >= 8 && size <= 64; (err == nil) != ok {
			t.Errorf("%d bytes: %v, want enclosed %v", size, err, ok)
		}
		if err != nil {
			continue
		}
		for name, c := range map[string]struct {
			keys  *attest.NonceKeys
			after time.Duration
			want  error
		}{
			"at once":              {first, 0, nil},
			"the key that follows": {second, 120*time.Second - 1, nil},
			"the key after that":   {third, 0, attest.ErrNonceForeign},
			"too late":             {first, 120 * time.Second, attest.ErrNonceExpired},
			"another key, same id": {nonceKeys(t, 15, nonceKey(9), nil), 0, attest.ErrNonceForeign},
		} {
			got, expiry, err := c.keys.Disclose(enclosed, attesttest.Now.Add(c.after))
			if !errors.Is(err, c.want) || err != attest.ErrNonceForeign && (!bytes.Equal(got, n) || !expiry.Equal(want)) {
				t.Errorf("%d bytes, %s: %x until %v, %v", size, name, []byte(got), expiry, err)
			}
		}
		if _, err := first.Check(enclosed, attesttest.Now); !errors.Is(err, attest.ErrNonceForeign) {
			t.Errorf("%d bytes: enclosed, it passes for a nonce: %v", size, err)
		}
		for bit := range 8 * len(enclosed) {
			flipped := slices.Clone(enclosed)
			flipped[bit/8] ^= 1 << (bit % 8)
			if _, _, err := first.Disclose(flipped, attesttest.Now); !errors.Is(err, attest.ErrNonceForeign) {
				t.Fatalf("%d bytes, bit %d: %v", size, bit, err)
			}
		}
	}
	for _, size := range []int{29, 33, 64} {
		if _, _, err := first.Disclose(mint(t, first, seeded(), attesttest.Now, size), attesttest.Now); !errors.Is(err, attest.ErrNonceForeign) {
			t.Errorf("a minted nonce of %d bytes passes for an enclosed one: %v", size, err)
		}
	}
	if _, _, err := first.Disclose(nil, attesttest.Now); !errors.Is(err, attest.ErrNonceForeign) {
		t.Errorf("nothing: %v", err)
	}
}

type ones struct{}

func (ones) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 0xff
	}
	return len(b), nil
}

func TestNonceFrom401(t *testing.T) {
	want := sha256.Sum256([]byte("imei-attest-401-v1" + "dcd98b7102dd2f0e"))
	if got := attest.NonceFrom401("dcd98b7102dd2f0e"); !bytes.Equal(got, want[:]) {
		t.Errorf("got %x, want %x", []byte(got), want)
	}
}
