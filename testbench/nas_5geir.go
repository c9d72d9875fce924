package testbench

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"imei-attest/testbench/registrar"
	"imei-attest/verifier/eirfront"
)

// open5GEIR is the home network of the front http, with an AMF that asks the verifier as its 5G-EIR when the device is in.
func (w *World) open5GEIR(ctx context.Context, h *home, who registrar.Subscriber, see registrar.Observer) error {
	if err := w.openStandIn(ctx, h, who, see); err != nil {
		return err
	}
	handler, err := eirfront.New(eirfront.Config{Verifier: w.judge, InFlight: decisions, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second, Protocols: withoutTLS()}
	h.closers = append(h.closers, server.Close)
	go server.Serve(listener) //nolint:errcheck // it ends with Close, and its error is that
	h.nas = func(ctx context.Context, going *registering) (*Equipment, error) {
		return w.askEIR(ctx, "http://"+listener.Addr().String(), going.inNAS.Digits(), imsiOf(who), see)
	}
	return nil
}

// withoutTLS is HTTP/2 by prior knowledge, as network functions speak it (TS 29.500 clause 5.2.1).
func withoutTLS() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// askEIR is the AMF's part (TS 29.511 clause 5.2.2.2).
func (w *World) askEIR(ctx context.Context, root, digits, imsi string, see registrar.Observer) (*Equipment, error) {
	query := url.Values{"pei": {"imei-" + digits}, "supi": {"imsi-" + imsi}}.Encode()
	see.See("AMF", "5G-EIR", "GET "+eirfront.Path, "pei imei-"+digits, "supi imsi-"+imsi)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, root+eirfront.Path+"?"+query, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Protocols: withoutTLS()}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("asking the 5G-EIR: %w", err)
	}
	defer response.Body.Close()
	var said struct {
		Status any // a text, or the number of a problem
		Cause  string
	}
	if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
		return nil, fmt.Errorf("the 5G-EIR's answer: %w", err)
	}
	got := &Equipment{Asker: "AMF", Status: said.Cause}
	if text, ok := said.Status.(string); ok {
		got.Status = text
	}
	see.See("5G-EIR", "AMF", fmt.Sprintf("%d %s", response.StatusCode, got.Status))
	got.Verdict, err = w.verdict(ctx)
	return got, err
}
