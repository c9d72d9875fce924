package registrar

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	loopback = "127.0.0.1:0"
	// timerE is the first interval of retransmission over UDP, timerF the end of patience (RFC 3261 section 17.1.2.2).
	timerE = 500 * time.Millisecond
	timerF = 32 * time.Second
	// maxSIPBytes is what UDP carries.
	maxSIPBytes = 64 << 10
)

// line is a way to a SIP server, for one request at a time.
type line struct {
	net.Conn
	network string // udp or tcp
	local   string // host:port
	reader  *bufio.Reader
}

func dial(ctx context.Context, network, server string) (*line, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	return &line{c, network, c.LocalAddr().String(), bufio.NewReaderSize(c, maxSIPBytes)}, nil
}

// Response is a final response.
type Response struct {
	Code   int
	Reason string
	Header textproto.MIMEHeader
}

// Status is code and reason.
func (r *Response) Status() string { return strconv.Itoa(r.Code) + " " + r.Reason }

// details are the parts that matter here.
func (r *Response) details() (list []string) {
	if challenge := r.Header.Get("Www-Authenticate"); challenge != "" {
		algorithm, kind := cmp.Or(parameter(challenge, "algorithm"), "MD5"), "a nonce"
		if strings.HasPrefix(algorithm, "AKA") {
			kind = "a nonce made of RAND and AUTN"
		}
		list = append(list, "WWW-Authenticate: "+algorithm+", "+kind)
	}
	if contact := r.Header.Get("Contact"); strings.Contains(contact, "+sip.instance") {
		list = append(list, "Contact with +sip.instance "+parameter(strings.ReplaceAll(contact, ";", " "), `\+sip\.instance`))
	}
	return list
}

// exchange sends a request and waits for its final response. Over UDP the request is sent again, as RFC 3261 says.
func (l *line) exchange(ctx context.Context, request []byte) (*Response, error) {
	end := time.Now().Add(timerF)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	stop := context.AfterFunc(ctx, func() { l.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	wanted := between(string(request), "CSeq: ", "\r\n")
	interval := timerE
	for send := true; ; send = l.network == "udp" {
		if send {
			if _, err := l.Write(request); err != nil {
				return nil, fmt.Errorf("sending a request: %w", err)
			}
		}
		patience := end
		if l.network == "udp" {
			patience = earlier(end, time.Now().Add(interval))
			interval = min(2*interval, 8*timerE)
		}
		response, err := l.await(ctx, patience, wanted)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(end) || ctx.Err() != nil {
			return response, err
		}
	}
}

// await reads until a final response to the request comes: others are late ones to an earlier request.
func (l *line) await(ctx context.Context, until time.Time, cseq string) (*Response, error) {
	if err := l.SetReadDeadline(until); err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		r, err := readResponse(l.reader)
		if err != nil {
			return nil, fmt.Errorf("waiting for the answer: %w", err)
		}
		if r.Code >= 200 && r.Header.Get("Cseq") == cseq {
			return r, nil
		}
	}
	return nil, ctx.Err()
}

// readResponse reads one response; a datagram is read as a whole, as the buffer has room for it.
func readResponse(r *bufio.Reader) (*Response, error) {
	t := textproto.NewReader(r)
	first, err := t.ReadLine()
	if err != nil {
		return nil, err
	}
	version, rest, _ := strings.Cut(first, " ")
	code, reason, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(code)
	if version != "SIP/2.0" || err != nil {
		return nil, fmt.Errorf("%.40q is no SIP response", first)
	}
	header, err := t.ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	length, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil || length < 0 {
		return nil, errors.New("a SIP response without a Content-Length")
	}
	if _, err := io.CopyN(io.Discard, r, int64(length)); err != nil {
		return nil, err
	}
	return &Response{n, reason, header}, nil
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
