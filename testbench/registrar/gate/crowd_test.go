package gate

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"imei-attest/attest"
	"imei-attest/verifier/bench"
)

// domain is where all register: the home network of the crowd's IMSIs (TS 23.003 clause 13.2).
const domain = "ims.mnc001.mcc001.3gppnetwork.org"

func newCrowd(t *testing.T) *bench.Crowd {
	t.Helper()
	secret := make([]byte, bench.SecretBytes)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	crowd, err := bench.NewCrowd(secret)
	if err != nil {
		t.Fatal(err)
	}
	return crowd
}

// enroll lets devices attest by challenge and response, so that the verifier knows them and tokens in a REGISTER can be small.
func (s *service) enroll(crowd *bench.Crowd, devices int) {
	s.t.Helper()
	each(devices, func(i int) {
		nonce, at := s.session()
		shown, err := crowd.Show(i, nonce, true)
		if err != nil {
			s.t.Error(err)
			return
		}
		var done struct{ Status string }
		if s.post(at, attest.EvidenceMediaType, shown.Token, &done); done.Status != "complete" {
			s.t.Errorf("device %d: %s", i, done.Status)
		}
	})
}

// session opens one and returns its nonce and where the evidence goes.
func (s *service) session() (nonce attest.Nonce, at string) {
	s.t.Helper()
	const sessions = "/challenge-response/v1/"
	var session struct{ Nonce attest.Nonce }
	answer := s.post(sessions+"newSession", "application/json", nil, &session)
	return session.Nonce, sessions + answer.Header.Get("Location")
}

// atOnce is how many devices do something at a time.
const atOnce = 16

// each does something for the numbers below n.
func each(n int, do func(i int)) {
	var next sync.Mutex
	at := 0
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for {
				next.Lock()
				i := at
				at++
				next.Unlock()
				if i >= n {
					return
				}
				do(i)
			}
		})
	}
	all.Wait()
}

// deviceRow is what a device puts into a REGISTER, as testdata/register.xml takes it.
type deviceRow struct {
	number        int
	impi          string
	urn           string
	authorization string
	token         []byte
}

func (r deviceRow) String() string {
	user, _, _ := strings.Cut(r.impi, "@")
	return strings.Join([]string{user, domain, r.impi, r.urn, r.authorization, base64.StdEncoding.EncodeToString(r.token), r.callID()}, ";")
}

// callID is the device's own and looks random (RFC 3261 section 8.1.1.4): Kamailio finds a transaction by a sum over it.
func (r deviceRow) callID() string {
	digest := sha256.Sum256([]byte(r.impi))
	return hex.EncodeToString(digest[:12])
}

// signFor lets the devices from one number up to another sign for nonces of the verifier, which count for two minutes.
func (s *service) signFor(crowd *bench.Crowd, from, to int) []deviceRow {
	s.t.Helper()
	rows := make([]deviceRow, to-from)
	each(len(rows), func(i int) {
		nonce, _ := s.session()
		rows[i] = s.show(crowd, from+i, nonce, "-")
	})
	return rows
}

// show lets a device sign for a nonce, and answer a registrar's challenge in the form that a stub takes.
func (s *service) show(crowd *bench.Crowd, number int, nonce attest.Nonce, challenge string) deviceRow {
	s.t.Helper()
	shown, err := crowd.Show(number, nonce, false)
	if err != nil {
		s.t.Fatal(err)
	}
	return deviceRow{number: number, impi: shown.IMPI, urn: shown.InstanceID, token: shown.Token,
		authorization: fmt.Sprintf("Authorization: Digest username=%q, realm=%q, nonce=%q, uri=\"sip:%s\", response=\"%032d\"", shown.IMPI, domain, challenge, domain, 0)}
}

// digest lets sipp answer the challenge itself.
func (r deviceRow) digest() deviceRow {
	r.authorization = fmt.Sprintf("[authentication username=%s password=secret]", r.impi)
	return r
}

// spoofing shows the IMEI of another device.
func (r deviceRow) spoofing(other deviceRow) deviceRow {
	r.urn = other.urn
	return r
}

func texts(rows []deviceRow, change func(int, deviceRow) deviceRow) (all []string) {
	for i, r := range rows {
		if change != nil {
			r = change(i, r)
		}
		all = append(all, r.String())
	}
	return all
}
