package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// adminServer is the operator's address of a server, and what is shown and trusted there beyond loopback.
type adminServer struct{ address, ca, certificate, key string }

func (a *adminServer) flags(c *cobra.Command) {
	c.Flags().StringVar(&a.address, "admin", "", "`URL` of a server's admin address, such as http://127.0.0.1:8081")
	c.Flags().StringVar(&a.ca, "ca", "", "PEM `file` of who signs the server's certificate, for an https --admin (default: whom the system trusts)")
	c.Flags().StringVar(&a.certificate, "cert", "", "PEM `file` of the certificate to show there, of a client with the role admin")
	c.Flags().StringVar(&a.key, "key", "", "PEM `file` of its private key")
}

// get asks the server; its problem documents are for people.
func (a *adminServer) get(ctx context.Context, path string) (io.ReadCloser, error) {
	base, err := url.Parse(a.address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("--admin %q: want http://HOST:PORT, or https://HOST:PORT beyond loopback", a.address)
	}
	switch {
	case (a.certificate == "") != (a.key == ""):
		return nil, errors.New("want --cert and --key together: a certificate is shown with its own key")
	case base.Scheme == "http" && a.ca+a.certificate != "":
		return nil, errors.New("--ca, --cert and --key are for an --admin that begins with https://")
	}
	transport, err := a.transport()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(a.address, "/")+path, nil)
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, unreached(err)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	var problem struct{ Detail string }
	_ = json.NewDecoder(io.LimitReader(response.Body, maxRecordBytes)).Decode(&problem) // another server's page: the status tells enough
	remedy := ""
	switch {
	case response.StatusCode == http.StatusForbidden && a.certificate == "":
		remedy = ": show the certificate of a client with that role, with --cert and --key"
	case response.StatusCode == http.StatusBadRequest && base.Scheme == "http" && problem.Detail == "":
		remedy = ": if it speaks TLS, want https:// and --ca"
	}
	return nil, fmt.Errorf("--admin: the server answered %s %s%s", response.Status, problem.Detail, remedy)
}

// unreached says what to do about a server that did not answer, or whose certificate is not trusted.
func unreached(err error) error {
	var unknown x509.UnknownAuthorityError
	var another x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("--admin: %w: name who signs its certificate, with --ca", err)
	case errors.As(err, &another):
		return fmt.Errorf("--admin: %w: name the server as its certificate does", err)
	}
	return fmt.Errorf("--admin: %w: is that the address that serve --admin listens on?", err)
}

// transport trusts and shows what the flags name.
func (a *adminServer) transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if a.ca != "" {
		text, err := os.ReadFile(a.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca: %s holds no certificate in PEM", a.ca)
		}
	}
	if a.certificate == "" {
		return t, nil
	}
	info, err := os.Stat(a.key)
	if err == nil {
		err = private(a.key, info)
	}
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	shown, err := tls.LoadX509KeyPair(a.certificate, a.key)
	if err != nil {
		return nil, fmt.Errorf("--cert and --key: %w: want the certificate and its own key, in PEM", err)
	}
	t.TLSClientConfig.Certificates = []tls.Certificate{shown}
	return t, nil
}
