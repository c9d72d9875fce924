package sqlite_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"imei-attest/attest"
	"imei-attest/attest/attesttest"
	"imei-attest/attest/imei"
	"imei-attest/attest/tpmprofile"
	"imei-attest/testbench/peertest"
	"imei-attest/verifier"
	"imei-attest/verifier/store/sqlite"
)

// victim is the environment variable that makes the test binary the process which is killed: the path of its store.
const victim = "IMEI_ATTEST_CRASH_STORE"

// crashers is how many devices attest at once.
const crashers = 16

// crashDevice has a TPM whose counter rises with each token.
type crashDevice struct {
	key        *ecdsa.PrivateKey
	id         imei.IMEI
	credential attest.Credential
	proof      attest.CounterProof
}

func newCrashDevice(number int) *crashDevice {
	d := &crashDevice{key: attesttest.Key(fmt.Sprint("crash ", number)), proof: attesttest.Proof()}
	d.id, _ = imei.FromBody(fmt.Sprintf("35693803%06d", number))
	c := attesttest.Credential()
	c.Key, c.Slots = &d.key.PublicKey, []imei.IMEI{d.id}
	c.Storage.Kind, c.Storage.Boot, c.Storage.NV = attest.StorageTPMDiscrete, attest.BootMeasured, attest.NVPlatform
	binding, err := attest.BindingHash(c.OEMID, c.Slots, c.Storage.RecordID)
	if err == nil {
		profile := tpmprofile.Profile{NVKey: public("nv"), BootPrimary: public("boot"), BootStandby: public("standby"), Variant: c.Storage.NV, Boot: c.Storage.Boot}
		c.Storage.KeyName, err = profile.KeyName(c.Key, binding)
	}
	if err != nil {
		panic(err)
	}
	d.credential = c
	return d
}

func public(name string) *ecdsa.PublicKey { return &attesttest.Key(name).PublicKey }

func (d *crashDevice) kid() attest.KeyID { return attest.KeyIDOf(&d.key.PublicKey) }

// token answers a nonce under a counter. Another age makes it another token.
func (d *crashDevice) token(nonce attest.Nonce, counter uint64, age time.Duration) []byte {
	c := attesttest.Claims()
	c.Nonce, c.Provisioned, c.ReadingAge = nonce, []imei.IMEI{d.id}, age
	c.Observed[0].IMEI = d.id
	p := d.proof
	p.Counter, p.Clock = counter, p.Clock+1000*counter
	raw, err := attest.SignEvidence(nil, c, attesttest.Signer(d.key), d.kid(), attest.Enclosure{
		Credential: attesttest.SignedCredential(d.credential), Prove: attesttest.Prove(d.key, d.credential, p)})
	if err != nil {
		panic(err)
	}
	return raw
}

// crashVerifier is the real one, on a store.
func crashVerifier(s verifier.Store) (*verifier.Verifier, error) {
	nonces, err := attest.NewNonceKeys(0, make([]byte, 32), nil)
	if err != nil {
		return nil, err
	}
	trust := &verifier.Trust{Generation: 1}
	err = trust.Keys.Add(&attesttest.OEMKey.PublicKey, &verifier.Anchor{Issuer: attesttest.Credential().Issuer, OEMID: attesttest.Credential().OEMID,
		StorageKinds: []attest.StorageKind{attest.StorageTPMDiscrete}, NVKey: public("nv"), BootKey: public("boot"), BootKeyStandby: public("standby")})
	if err != nil {
		return nil, err
	}
	return verifier.New(verifier.Config{Store: s, Nonces: nonces, Trust: trust})
}

func TestMain(m *testing.M) {
	if path := os.Getenv(victim); path != "" {
		fmt.Fprintln(os.Stderr, attestUntilKilled(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func crashConfig(path string) sqlite.Config {
	return sqlite.Config{Path: path, Devices: verifier.PseudonymKeys{Current: verifier.PseudonymKey{1}},
		Subscribers: verifier.PseudonymKeys{Current: verifier.PseudonymKey{2}}, Signer: attesttest.Signer(verifierKey),
		KeyID: attest.KeyIDOf(&verifierKey.PublicKey), Program: "victim"}
}

// attestUntilKilled has all devices attest and prints a line for each decision once it was answered.
func attestUntilKilled(path string) error {
	s, err := sqlite.Open(context.Background(), crashConfig(path))
	if err != nil {
		return err
	}
	v, err := crashVerifier(s)
	if err != nil {
		return err
	}
	failed := make(chan error, crashers)
	for number := range crashers {
		go func() { failed <- attestForever(s, v, number) }()
	}
	return <-failed
}

func attestForever(s *sqlite.Store, v *verifier.Verifier, number int) error {
	d := newCrashDevice(number)
	kept, err := s.State(context.Background(), d.kid())
	if err != nil {
		return err
	}
	for counter := kept.Counter + 1; ; counter++ {
		nonce, _, err := v.MintNonce(rand.Reader, attesttest.Now, attest.DefaultNonceBytes)
		if err != nil {
			return err
		}
		verdict, err := v.Appraise(context.Background(), verifier.Input{Evidence: d.token(nonce, counter, 0), Now: attesttest.Now})
		if err != nil || verdict.Status() != attest.StatusAffirming {
			return fmt.Errorf("%v %v, %w", verdict.Status(), verdict.Reasons(), err)
		}
		fmt.Printf("%d %d %x %s\n", number, counter, []byte(nonce), verdict.ID) // one write, so that it is whole or not at all
	}
}

// acknowledged is a decision that the victim answered.
type acknowledged struct {
	device  int
	counter uint64
	nonce   attest.Nonce
	id      verifier.DecisionID
}

// TestKilledWhileItWrites kills a verifier under load, again and again, and looks whether all that it had answered is there.
func TestKilledWhileItWrites(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	if os.Getenv("IMEI_ATTEST_SOAK") == "1" {
		rounds = 200
	}
	path := filepath.Join(t.TempDir(), "store.db")
	var all, lost, twice int
	for round := range rounds {
		answered := killOne(t, path)
		if len(answered) == 0 {
			t.Fatalf("round %d: nothing was answered before the kill", round+1)
		}
		l, d := examine(t, path, answered)
		all, lost, twice = all+len(answered), lost+l, twice+d
	}
	told := fmt.Sprintf("kill -9 of the verifier's store under load: %d rounds, %d acknowledged, %d lost, %d accepted twice", rounds, all, lost, twice)
	t.Log(told)
	peertest.Show(t, "\n"+told+"\n")
	if lost > 0 || twice > 0 {
		t.Errorf("%d lost, %d accepted twice", lost, twice)
	}
}

// killOne runs the victim until some time after its first answers.
func killOne(t *testing.T, path string) (answered []acknowledged) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env, c.Stderr = append(os.Environ(), victim+"="+path), os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var a acknowledged
		var nonce []byte
		var id string
		if n, err := fmt.Sscanf(lines.Text(), "%d %d %x %s", &a.device, &a.counter, &nonce, &id); n != 4 || err != nil {
			t.Fatalf("the victim says %q", lines.Text())
		}
		a.nonce = nonce
		if a.id, err = verifier.ParseDecisionID(id); err != nil {
			t.Fatal(err)
		}
		answered = append(answered, a)
		once.Do(func() {
			const longest = 400 * time.Millisecond
			time.AfterFunc(mathrand.N(longest), func() { _ = c.Process.Kill() })
		})
	}
	_ = c.Wait() // it was killed
	return answered
}

// examine counts what was answered and is not there, and the nonces that would be accepted once more.
func examine(t *testing.T, path string, answered []acknowledged) (lost, twice int) {
	t.Helper()
	s, err := sqlite.Open(ctx, crashConfig(path))
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	v, err := crashVerifier(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range answered {
		d := newCrashDevice(a.device)
		_, found, err := s.Record(ctx, a.id)
		state, stateErr := s.State(ctx, d.kid())
		if err != nil || stateErr != nil {
			t.Fatal(err, stateErr)
		}
		if !found || state.Counter < a.counter {
			lost++
		}
	}
	for _, a := range answered {
		token := newCrashDevice(a.device).token(a.nonce, a.counter+1<<32, time.Second)
		verdict, err := v.Appraise(ctx, verifier.Input{Evidence: token, Now: attesttest.Now})
		if err != nil {
			t.Fatal(err)
		}
		if reasons := fmt.Sprint(verdict.Reasons()); reasons != "[nonce-expired]" { // another token of the same device
			t.Logf("%s, for a nonce that was used", reasons)
			twice++
		}
	}
	if problems, err := s.Check(ctx); len(problems) > 0 || err != nil {
		t.Fatalf("Check: %q, %v", problems, err)
	}
	if _, err := verify(s); err != nil {
		t.Fatal(err)
	}
	return lost, twice
}
