// Package submit brings evidence to a verifier over HTTP: it asks for a nonce, and hands the token in. It is the
// device's only user of net/http and is not linked into the minimal agent. Start with [New].
package submit

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"imei-attest/attest"
)

// requestTime bounds one exchange with the verifier; a registration does not wait longer.
const requestTime = 10 * time.Second

// maxAnswerBytes bounds what is read of an answer.
const maxAnswerBytes = 64 << 10

// Client speaks to one verifier.
type Client struct {
	base *url.URL
	http *http.Client
}

// New takes the verifier's address, such as https://verifier.example:8443.
func New(address string) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("verifier address %q: want http://HOST:PORT or https://HOST:PORT", address)
	}
	// A redirect would carry the token, and so the IMEI, to an address that nobody configured.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, http: &http.Client{Timeout: requestTime, CheckRedirect: stay}}, nil
}

// IsConfidential reports that nobody on the way reads what is handed in: it goes over TLS, or does not leave this machine.
func (c *Client) IsConfidential() bool {
	host := c.base.Hostname()
	return c.base.Scheme == "https" || host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Session is a challenge of the verifier.
type Session struct {
	Nonce    attest.Nonce
	location *url.URL
}

// NewSession asks the verifier for a nonce.
func (c *Client) NewSession(ctx context.Context) (*Session, error) {
	address := c.base.JoinPath("challenge-response/v1/newSession")
	var body struct {
		Nonce string `json:"nonce"`
	}
	header, err := c.post(ctx, address, "", nil, http.StatusCreated, &body)
	if err != nil {
		return nil, fmt.Errorf("asking the verifier for a nonce: %w", err)
	}
	location, err := address.Parse(header.Get("Location"))
	if err != nil || header.Get("Location") == "" || location.Host != address.Host {
		return nil, errors.New("asking the verifier for a nonce: it gave no session on the same host")
	}
	nonce, err := decodeBase64(body.Nonce)
	if err != nil || len(nonce) == 0 {
		return nil, errors.New("asking the verifier for a nonce: it gave none")
	}
	return &Session{Nonce: nonce, location: location}, nil
}

// Verdict is what the verifier said. The device acts on nothing in it and does not check its signature: that is for
// those who rely on it.
type Verdict struct {
	Status  attest.Status
	Reasons []attest.Reason
	Result  string // EAR, a JWT
}

// Submit hands the evidence in to its session. With signalled, the IMEI URN that the device shows to the network, the
// verifier also compares that; it is the device's own word and can only make the verdict worse.
func (c *Client) Submit(ctx context.Context, s *Session, token []byte, signalled string) (*Verdict, error) {
	var body struct {
		Result string `json:"result"`
	}
	address := *s.location
	if signalled != "" {
		address.RawQuery = url.Values{"signalled": {signalled}}.Encode()
	}
	if _, err := c.post(ctx, &address, attest.EvidenceMediaType, token, http.StatusOK, &body); err != nil {
		return nil, fmt.Errorf("handing the evidence in: %w", err)
	}
	return readResult(body.Result)
}

func (c *Client) post(ctx context.Context, address *url.URL, contentType string, body []byte, want int, into any) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreached(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, fmt.Errorf("reading the verifier's answer: %w", err)
	}
	if response.StatusCode != want {
		return nil, c.refusal(response, raw)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return nil, errors.New("the verifier's answer is not the JSON expected: is this address a verifier's?")
	}
	return response.Header, nil
}

// unreached tells who does not answer from who answers what is not believed.
func (c *Client) unreached(err error) error {
	host := c.base.Host
	var unknown x509.UnknownAuthorityError
	var distrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("the verifier at %s shows a certificate by an authority that this system does not trust: "+
			"name the file of the authority's certificate in SSL_CERT_FILE, or its folder in SSL_CERT_DIR (%w)", host, unknown)
	case errors.As(err, &distrusted):
		return fmt.Errorf("the verifier at %s shows a certificate that is not good for it: check address and clock: %w", host, distrusted.Err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("the server at %s speaks no TLS: check the port of the verifier's address", host)
	}
	return fmt.Errorf("the verifier at %s does not answer: %w", host, errors.Unwrap(err))
}

// refusal shows the detail of a problem document (RFC 9457) where there is one.
func (c *Client) refusal(response *http.Response, body []byte) error {
	var problem struct {
		Detail string `json:"detail"`
	}
	switch {
	case json.Unmarshal(body, &problem) == nil && problem.Detail != "":
		return fmt.Errorf("the verifier refused: %s: %s", response.Status, problem.Detail)
	case response.StatusCode == http.StatusBadRequest && c.base.Scheme == "http": // as servers with TLS answer who speaks none
		return fmt.Errorf("the verifier refused: %s: if it speaks TLS, its address begins with https://", response.Status)
	}
	return fmt.Errorf("the verifier refused: %s", response.Status)
}

// earSubmod is one part of an EAR in the dialect that challenge-response answers in.
type earSubmod struct {
	Status  string          `json:"ear.status"`
	Reasons []attest.Reason `json:"imei-attest.reasons"`
}

// readResult reads status and reasons out of an EAR.
func readResult(token string) (*Verdict, error) {
	var claims struct {
		Submods map[string]earSubmod `json:"submods"`
	}
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := decodeBase64(payload)
	if err != nil || json.Unmarshal(raw, &claims) != nil || len(claims.Submods) == 0 {
		return nil, errors.New("the verifier's result is no EAR")
	}
	v := &Verdict{Status: attest.StatusAffirming, Result: token}
	for _, name := range slices.Sorted(maps.Keys(claims.Submods)) {
		sub := claims.Submods[name]
		v.Status = v.Status.Worse(attest.ParseStatus(sub.Status))
		for _, r := range sub.Reasons {
			if !slices.Contains(v.Reasons, r) {
				v.Reasons = append(v.Reasons, r)
			}
		}
	}
	return v, nil
}

// decodeBase64 takes base64 and base64url, padded or not: verifiers write their nonces either way.
func decodeBase64(text string) ([]byte, error) {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	return base64.RawURLEncoding.DecodeString(text)
}
