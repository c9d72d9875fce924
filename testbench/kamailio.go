package testbench

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"imei-attest/testbench/registrar"
	"imei-attest/verifier/sipfront"
)

// openGate starts Kamailio with the gate, which asks over HTTP: as an S-CSCF, or as a plain registrar for who has a password.
func (w *World) openGate(ctx context.Context, h *home, who registrar.Subscriber, see registrar.Observer) error {
	dir, err := w.folder("kamailio")
	if err != nil {
		return err
	}
	var k *registrar.Kamailio
	h.next = "S-CSCF"
	if who.ByPassword {
		h.next = "registrar"
		k, err = registrar.StartRegistrar(ctx, dir, w.Verifier)
	} else {
		k, err = registrar.StartSCSCF(ctx, registrar.SCSCF{Dir: dir, Subscribers: []registrar.Subscriber{who}, Verifier: w.Verifier, Observe: see})
	}
	if err != nil {
		return err
	}
	h.closers = append(h.closers, k.Stop)
	h.network, h.proxy, h.gates = "tcp", k.Addr, true
	w.watch.as(h.next, see)
	return nil
}

// openSCSCF starts Kamailio as S-CSCF, its HSS, and the verifier's SIP application server, which the filter criteria name.
func (w *World) openSCSCF(ctx context.Context, h *home, who registrar.Subscriber, see registrar.Observer) error {
	answered := make(chan int, decisions)
	as, err := w.startServer(ctx, h, func(o sipfront.Outcome) {
		see.See("S-CSCF", "AS", "REGISTER, third-party; the UE's own in message/sip: "+o.Original)
		see.See("AS", "S-CSCF", fmt.Sprint(o.Code))
		select {
		case answered <- o.Code:
		default:
		}
	})
	if err != nil {
		return err
	}
	dir, err := w.folder("kamailio")
	if err != nil {
		return err
	}
	k, err := registrar.StartSCSCF(ctx, registrar.SCSCF{Dir: dir, Subscribers: []registrar.Subscriber{who}, Server: "sip:" + as, Observe: see})
	if err != nil {
		return err
	}
	h.closers = append(h.closers, k.Stop)
	h.network, h.proxy, h.next = "tcp", k.Addr, "S-CSCF" // a REGISTER with a token is longer than UDP is for (RFC 3261 section 18.1.1)
	h.server = func(ctx context.Context) (int, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		select {
		case code := <-answered:
			return code, nil
		case <-ctx.Done():
			return 0, fmt.Errorf("the application server did not answer: %w", ctx.Err())
		}
	}
	return nil
}

// startServer starts the SIP application server in front of the World's verifier, and returns host:port.
func (w *World) startServer(ctx context.Context, h *home, answered func(sipfront.Outcome)) (string, error) {
	packets, streams, err := registrar.Listen(ctx)
	if err != nil {
		return "", err
	}
	server, err := sipfront.New(sipfront.Config{Verifier: w.judge, Peers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Reauthenticates: true,
		InFlight: decisions, Now: time.Now, Log: slog.New(slog.DiscardHandler), Answered: answered, Limited: func(string) {}})
	if err != nil {
		return "", err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, packets, streams, time.Second) }()
	h.closers = append(h.closers, func() error {
		stop()
		return <-ended
	})
	return packets.LocalAddr().String(), nil
}
