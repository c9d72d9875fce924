package main

import (
	"context"
	"io"
	"net"

	"imei-attest/verifier/sipfront"
)

// sipDoor opens the application server's sockets, of one address for TCP and UDP. Port 0 takes one that is free for both.
func (s *service) sipDoor() (door, error) {
	c := s.config.SIP
	server, err := sipfront.New(sipfront.Config{Verifier: s.verifier, Peers: c.Peers, Reauthenticates: c.Reauthenticates, InFlight: s.config.Limits.InFlight,
		Now: wallClock, Log: s.log, Answered: func(o sipfront.Outcome) { s.metrics.SIP(o.Method, o.Original, o.Code) }, Limited: s.metrics.Limited})
	if err != nil {
		return door{}, err
	}
	streams, _, err := s.listen("sip.listen", c.Listen, s.config.Limits.Connections, nil)
	if err != nil {
		return door{}, err
	}
	packets, err := net.ListenPacket("udp", streams.Addr().String())
	if err != nil {
		streams.Close()
		return door{}, s.cannotListen("sip.listen", err)
	}
	s.log.Info("listening for S-CSCFs", "address", streams.Addr().String(), "peers", c.Peers.String())
	return door{at: streams.Addr(), sockets: []io.Closer{streams, packets},
		serve: func(ctx context.Context) error { return server.Serve(ctx, packets, streams, drainTime) }}, nil
}
