package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"imei-attest/attest"
)

// answerTime is how long a client waits for an answer.
const answerTime = 10 * time.Second

// client asks on a connection that it keeps. It writes and reads HTTP/1.1 itself, as much of it as this server speaks, and decodes nothing
// that it can compare: what it costs takes from what the server can have where both share the processors.
type client struct {
	load   *Load
	crowd  *Crowd
	conn   net.Conn
	read   *bufio.Reader
	random *rand.Rand
	turns  []*device // those that take their turn next
	out    []byte
	answer []byte
}

// Bounds of what is prepared: tokens a second of all clients, and how many in all, at some 600 bytes each. What is more is made in between.
const (
	preparedRate = 8000
	preparedMost = 200_000
)

func newClient(l *Load, crowd *Crowd) *client {
	return &client{load: l, crowd: crowd, random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
}

// prepare draws the devices whose turn it will be. To be checked, a device needs no key.
func (c *client) prepare(ctx context.Context) error {
	if c.load.Check || c.load.S13 {
		return nil
	}
	turns := make([]*device, min(preparedRate*int(c.load.Time.Seconds()), preparedMost)/c.load.Clients)
	for i := range turns {
		d, err := c.next()
		if err == nil {
			err = d.prepare()
		}
		if err = cmp.Or(err, context.Cause(ctx)); err != nil {
			return err
		}
		turns[i] = d
	}
	c.turns = turns
	return nil
}

func (c *client) dial() (err error) {
	if c.conn, err = net.Dial("tcp", c.load.Address); err == nil {
		c.read = bufio.NewReader(c.conn)
	}
	return err
}

// next is the device whose turn it is.
func (c *client) next() (*device, error) {
	if n := len(c.turns); n > 0 {
		d := c.turns[n-1]
		c.turns = c.turns[:n-1]
		return d, nil
	}
	return c.crowd.device(c.random.IntN(c.load.Devices))
}

// post asks and reads the answer, which must have the status. It is good until the next one.
func (c *client) post(path, mediaType string, body []byte, want int) (location string, answer []byte, err error) {
	c.out = append(append(append(append(c.out[:0], "POST "...), path...), " HTTP/1.1\r\nHost: "...), c.load.Address...)
	c.out = append(append(append(c.out, "\r\nContent-Type: "...), mediaType...), "\r\nContent-Length: "...)
	c.out = append(append(strconv.AppendInt(c.out, int64(len(body)), 10), "\r\n\r\n"...), body...)
	if err := c.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return "", nil, err
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return "", nil, err
	}
	status, location, err := c.receive()
	if err == nil && status != want {
		err = fmt.Errorf("%s answers %d %s: %s", path, status, http.StatusText(status), bytes.TrimSpace(c.answer))
	}
	return location, c.answer, err
}

// receive reads an answer (RFC 9112 section 4) whose length is told.
func (c *client) receive() (status int, location string, err error) {
	line, err := c.line()
	if err != nil {
		return 0, "", err
	}
	const version = "HTTP/1.1 "
	if status, err = strconv.Atoi(string(line[min(len(version), len(line)):min(len(version)+3, len(line))])); err != nil {
		return 0, "", fmt.Errorf("the server answers %.40q", line)
	}
	length := -1
	for {
		if line, err = c.line(); err != nil {
			return 0, "", err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, "", fmt.Errorf("the answer's length: %w", err)
			}
		case "Location":
			location = string(value)
		}
	}
	const longest = 64 << 10
	if length < 0 || length > longest {
		return 0, "", fmt.Errorf("the answer does not tell its length, or has more than %d bytes", longest)
	}
	c.answer = slices.Grow(c.answer[:0], length)[:length]
	_, err = io.ReadFull(c.read, c.answer)
	return status, location, err
}

// line reads a line without its end; it is good until the next one.
func (c *client) line() ([]byte, error) {
	line, err := c.read.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

const jsonType = "application/json"

// attest is one device in challenge-response: two requests, a token, and an EAR that affirms it.
func (c *client) attest(d *device) error {
	const sessions = "/challenge-response/v1/"
	location, answer, err := c.post(sessions+"newSession", jsonType, nil, http.StatusCreated)
	if err != nil {
		return err
	}
	text, err := field(answer, "nonce")
	if err != nil {
		return err
	}
	nonce, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("the session's nonce: %w", err)
	}
	token, err := d.token(nonce, nil)
	if err != nil {
		return err
	}
	if _, answer, err = c.post(sessions+location, attest.EvidenceMediaType, token, http.StatusOK); err != nil {
		return err
	}
	result, err := field(answer, "result")
	if err != nil {
		return err
	}
	return affirmed(result)
}

// field is a text of a JSON object that stands in it once, and in which nothing is escaped.
func field(object []byte, name string) (string, error) {
	_, rest, found := bytes.Cut(object, []byte(`"`+name+`":"`))
	text, _, ends := bytes.Cut(rest, []byte(`"`))
	if !found || !ends || bytes.IndexByte(text, '\\') >= 0 {
		return "", fmt.Errorf("the answer tells no %s: %.200s", name, object)
	}
	return string(text), nil
}

// affirmed reads the status of each part in an EAR. Its signature is not looked at: that is the Relying Party's work.
func affirmed(ear string) error {
	_, rest, _ := strings.Cut(ear, ".")
	payload, _, _ := strings.Cut(rest, ".")
	claims, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return err
	}
	const status = `"ear.status":"`
	all, affirming := bytes.Count(claims, []byte(status)), bytes.Count(claims, []byte(status+attest.StatusAffirming.String()+`"`))
	if all == 0 || affirming < all {
		return fmt.Errorf("%d of the %d parts of the result are affirming: %.400s", affirming, all, claims)
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
	status, err := field(answer, "status")
	if err != nil {
		return err
	}
	if status != attest.StatusAffirming.String() {
		return fmt.Errorf("the registration is %s: %s", status, answer)
	}
	return nil
}
