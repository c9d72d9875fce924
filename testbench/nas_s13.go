package testbench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"imei-attest/attest"
	"imei-attest/testbench/registrar"
	"imei-attest/verifier/diameterfront"
	"imei-attest/verifier/diameterfront/diameter"
)

// Names of Diameter in the laboratory.
const (
	realmS13 = "epc.example"
	hostEIR  = "eir." + realmS13
	hostMME  = "mme." + realmS13
)

// openS13 is the home network of the front http, with an MME that asks the verifier as its EIR when the device is in.
func (w *World) openS13(ctx context.Context, h *home, who registrar.Subscriber, see registrar.Observer) error {
	if err := w.openStandIn(ctx, h, who, see); err != nil {
		return err
	}
	front, err := diameterfront.New(diameterfront.Config{Judge: w.judge, Node: diameterfront.Node{Host: hostEIR, Realm: realmS13, Product: "testbench"}, InFlight: decisions,
		Peers: []diameterfront.Peer{{Host: hostMME, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- front.Serve(ctx, listener) }()
	h.closers = append(h.closers, func() error {
		stop()
		return <-ended
	})
	h.nas = func(ctx context.Context, going *registering) (*Equipment, error) {
		return w.askS13(ctx, listener.Addr().String(), going.inNAS.Body(), imsiOf(who), see)
	}
	return nil
}

// askS13 is the MME's part (TS 29.272 clause 6.2).
func (w *World) askS13(ctx context.Context, address, digits, imsi string, see registrar.Observer) (*Equipment, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to the EIR: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	from := bufio.NewReader(conn)
	if _, err := exchange(conn, from, capabilities(netip.MustParseAddrPort(conn.LocalAddr().String()).Addr())); err != nil {
		return nil, err
	}
	see.See("MME", "EIR", "ECR, ME-Identity-Check", "IMEI "+digits, "Software-Version 01", "User-Name "+imsi)
	answer, err := exchange(conn, from, identityCheck(digits, imsi))
	if err != nil {
		return nil, err
	}
	got := &Equipment{Asker: "MME"}
	if got.Status, err = statusIn(answer); err != nil {
		return nil, err
	}
	see.See("EIR", "MME", "ECA "+got.Status)
	got.Verdict, err = w.verdict(ctx)
	return got, err
}

func capabilities(own netip.Addr) []byte {
	b := fromMME(diameter.Header{Flags: diameter.Request, Command: diameter.CapabilitiesExchange})
	b = diameter.AppendAddress(b, diameter.HostIPAddress, own)
	b = diameter.AppendText(diameter.AppendUint32(b, diameter.VendorID, 0), diameter.ProductName, "testbench")
	b = diameter.AppendUint32(b, diameter.AuthApplicationID, diameter.ApplicationS13)
	diameter.End(b, 0)
	return b
}

func identityCheck(digits, imsi string) []byte {
	b := fromMME(diameter.Header{Flags: diameter.Request | diameter.Proxiable, Command: diameter.MEIdentityCheck, Application: diameter.ApplicationS13, HopByHop: 1, EndToEnd: 1})
	b = diameter.AppendText(b, diameter.SessionID, hostMME+";1;1")
	b = diameter.AppendUint32(b, diameter.AuthSessionState, diameter.NoStateMaintained)
	b = diameter.AppendText(b, diameter.DestinationRealm, realmS13)
	b = diameter.AppendGroup(b, diameter.TerminalInformation, func(b []byte) []byte {
		return diameter.AppendText(diameter.AppendText(b, diameter.IMEI, digits), diameter.SoftwareVersion, "01")
	})
	b = diameter.AppendText(b, diameter.UserName, imsi)
	diameter.End(b, 0)
	return b
}

func fromMME(h diameter.Header) []byte {
	return diameter.AppendText(diameter.AppendText(diameter.Begin(nil, h), diameter.OriginHost, hostMME), diameter.OriginRealm, realmS13)
}

// exchange sends a request and reads the answer.
func exchange(to io.Writer, from *bufio.Reader, request []byte) (*diameter.Message, error) {
	if _, err := to.Write(request); err != nil {
		return nil, fmt.Errorf("asking the EIR: %w", err)
	}
	const lengthBytes = 4 // with the version
	begin, err := from.Peek(lengthBytes)
	if err != nil {
		return nil, fmt.Errorf("the EIR's answer: %w", err)
	}
	length, err := diameter.Length(begin)
	if err != nil {
		return nil, err
	}
	whole := make([]byte, length)
	if _, err := io.ReadFull(from, whole); err != nil {
		return nil, fmt.Errorf("the EIR's answer: %w", err)
	}
	m := new(diameter.Message)
	return m, m.Decode(whole)
}

// statusIn reads an answer (TS 29.272 clause 7.2.20).
func statusIn(m *diameter.Message) (string, error) {
	if a := diameter.Find(m.AVPs, diameter.EquipmentStatus); a != nil {
		n, err := a.Uint32()
		if err != nil {
			return "", err
		}
		for _, known := range []attest.FrontAnswer{attest.AnswerPermit, attest.AnswerTrack, attest.AnswerProhibit} {
			if known.S13 == n {
				return known.EIR, nil
			}
		}
		return "", fmt.Errorf("the EIR answers with the Equipment-Status %d", n)
	}
	if group := diameter.Find(m.AVPs, diameter.ExperimentalResult); group != nil {
		inside, err := group.Group(nil)
		if code := diameter.Find(inside, diameter.ExperimentalCode); err == nil && code != nil {
			if n, err := code.Uint32(); err == nil && n == attest.S13Unknown {
				return unknownEquipment, nil
			}
		}
	}
	return "", errors.New("the EIR does not answer as an EIR does")
}
