package main

import (
	"net"

	"imei-attest/verifier/sipfront"
)

// sipDoor opens the application server's sockets, of one address for TCP and UDP. Port 0 takes one that is free for both.
func (s *service) sipDoor() (door, error) {
	c := s.config.SIP
	if c.Listen == "" {
		return door{}, nil
	}
	server, err := sipfront.New(sipfront.Config{Verifier: s.verifier, Peers: c.Peers, Reauthenticates: c.Reauthenticates, InFlight: s.config.Limits.InFlight,
		Now: wallClock, Log: s.log, Answered: func(o sipfront.Outcome) { s.metrics.SIP(o.Method, o.Original, o.Code) }, Limited: s.metrics.Limited})
	if err != nil {
		return door{}, err
	}
	d, err := s.listen("sip.listen", c.Listen, s.config.Limits.Connections, false)
	if err != nil {
		return door{}, err
	}
	if d.packets, err = net.ListenPacket("udp", d.Addr().String()); err != nil {
		d.Close()
		return door{}, s.cannotListen("sip.listen", err)
	}
	d.sip = server
	s.log.Info("listening for S-CSCFs", "address", d.Addr().String(), "peers", c.Peers.String())
	return d, nil
}
