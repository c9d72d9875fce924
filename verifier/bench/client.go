package bench

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"imei-attest/attest"
)

// answerTime is how long a client waits for an answer.
const answerTime = 10 * time.Second

// client asks on a connection that it keeps. It writes and reads HTTP/1.1 itself: what it costs takes from what the server can have
// where both share the processors.
type client struct {
	load   *Load
	crowd  *Crowd
	conn   net.Conn
	read   *bufio.Reader
	random *rand.Rand
	out    []byte
}

func (l *Load) dial(crowd *Crowd) (*client, error) {
	conn, err := net.Dial("tcp", l.Address)
	if err != nil {
		return nil, err
	}
	return &client{load: l, crowd: crowd, conn: conn, read: bufio.NewReader(conn), random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}, nil
}

// post asks and reads the answer, which must have the status.
func (c *client) post(path, mediaType string, body []byte, want int) (header http.Header, answer []byte, err error) {
	c.out = fmt.Appendf(c.out[:0], "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", path, c.load.Address, mediaType, len(body))
	if err := c.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, nil, err
	}
	if _, err := c.conn.Write(append(c.out, body...)); err != nil {
		return nil, nil, err
	}
	response, err := http.ReadResponse(c.read, nil)
	if err != nil {
		return nil, nil, err
	}
	answer, err = io.ReadAll(response.Body)
	if err == nil && response.StatusCode != want {
		err = fmt.Errorf("%s answers %s: %s", path, response.Status, bytes.TrimSpace(answer))
	}
	return response.Header, answer, err
}

const jsonType = "application/json"

// attest is one device in challenge-response: two requests, a token, and an EAR that affirms it.
func (c *client) attest(d *device) error {
	const sessions = "/challenge-response/v1/"
	header, answer, err := c.post(sessions+"newSession", jsonType, nil, http.StatusCreated)
	if err != nil {
		return err
	}
	var session struct {
		Nonce  attest.Nonce
		Result string
	}
	if err := json.Unmarshal(answer, &session); err != nil {
		return err
	}
	token, err := d.token(session.Nonce, nil)
	if err != nil {
		return err
	}
	if _, answer, err = c.post(sessions+header.Get("Location"), attest.EvidenceMediaType, token, http.StatusOK); err != nil {
		return err
	}
	if err := json.Unmarshal(answer, &session); err != nil {
		return err
	}
	return affirmed(session.Result)
}

// affirmed reads the status in an EAR. Its signature is not looked at: that is the Relying Party's work.
func affirmed(ear string) error {
	_, rest, _ := strings.Cut(ear, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return err
	}
	var claims struct {
		Submods map[string]struct {
			Status string `json:"ear.status"`
		}
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return err
	}
	if len(claims.Submods) == 0 {
		return fmt.Errorf("the result says nothing")
	}
	for name, s := range claims.Submods {
		if s.Status != attest.StatusAffirming.String() {
			return fmt.Errorf("%s is %s", name, s.Status)
		}
	}
	return nil
}

// check asks about a device that registers again, which an earlier result answers.
func (c *client) check(d *device) error {
	body, err := json.Marshal(map[string]any{"registration": d.registration()})
	if err != nil {
		return err
	}
	_, answer, err := c.post("/v1/registrations/check", jsonType, body, http.StatusOK)
	if err != nil {
		return err
	}
	var verdict struct{ Status string }
	if err := json.Unmarshal(answer, &verdict); err != nil {
		return err
	}
	if verdict.Status != attest.StatusAffirming.String() {
		return fmt.Errorf("the registration is %s: %s", verdict.Status, answer)
	}
	return nil
}
