package registrar

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
)

// Names of the home network; Kamailio and HSS tell each other theirs (RFC 6733 section 5.3).
const (
	Realm     = "ims.mnc001.mcc001.3gppnetwork.org"
	hssHost   = "hss." + Realm
	scscfHost = "scscf." + Realm
)

// Commands and AVPs of RFC 6733 and TS 29.229 clause 6.
const (
	cmdCapabilities, cmdWatchdog, cmdDisconnect = 257, 280, 282
	cmdServerAssignment, cmdMultimediaAuth      = 301, 303

	avpUserName, avpHostIP, avpVendorApp, avpSessionID = 1, 257, 260, 263
	avpOriginHost, avpSupportedVendor, avpVendorID     = 264, 265, 266
	avpResult, avpProduct, avpAuthState, avpRealm      = 268, 269, 277, 296
	avpAuthApp, avpExperimental, avpExperimentalCode   = 258, 297, 298
	avpPublicIdentity, avpUserData, avpAuthItems       = 601, 606, 607
	avpScheme, avpAuthenticate, avpAuthorization       = 608, 609, 610
	avpAuthItem, avpItemNumber, avpAssignment          = 612, 613, 614
	avpCK, avpIK                                       = 625, 626

	cxApplication = 16777216

	resultSuccess, resultUnsupported = 2001, 3001 // RFC 6733 section 7.1
	errorUserUnknown                 = 5001       // TS 29.229 clause 6.2.2.1
)

// HSS is a home subscriber server with the part of the Cx interface that an S-CSCF needs: multimedia authentication and server
// assignment (TS 29.228 clauses 6.3 and 6.1.2). User data hold one initial filter criterion: every REGISTER goes to the
// application server, with the original one in its body.
type HSS struct {
	Addr string // host:port

	listener    net.Listener
	subscribers []Subscriber
	as          string // SIP URI of the application server
	observe     Observer

	mutex sync.Mutex
	sqn   uint64
	open  map[net.Conn]bool
	done  sync.WaitGroup
}

// StartHSS starts it on a free port of loopback. as is the SIP URI of the application server; observe may be nil.
func StartHSS(ctx context.Context, subscribers []Subscriber, as string, observe Observer) (*HSS, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", loopback)
	if err != nil {
		return nil, fmt.Errorf("starting the HSS: %w", err)
	}
	h := &HSS{Addr: listener.Addr().String(), listener: listener, subscribers: append([]Subscriber{probe}, subscribers...), as: as, observe: observe, open: make(map[net.Conn]bool)}
	h.done.Go(h.serve)
	return h, nil
}

// Close ends it and its connections.
func (h *HSS) Close() error {
	err := h.listener.Close()
	h.mutex.Lock()
	for c := range h.open {
		c.Close()
	}
	h.mutex.Unlock()
	h.done.Wait()
	return err
}

func (h *HSS) serve() {
	for {
		c, err := h.listener.Accept()
		if err != nil {
			return // closed
		}
		h.mutex.Lock()
		h.open[c] = true
		h.mutex.Unlock()
		h.done.Go(func() {
			h.converse(c)
			h.mutex.Lock()
			delete(h.open, c)
			h.mutex.Unlock()
			c.Close()
		})
	}
}

// converse answers the requests of a peer until it goes, or says what is no Diameter.
func (h *HSS) converse(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		m, err := readDiameter(r)
		if err != nil {
			return
		}
		if !m.request {
			continue
		}
		if _, err := c.Write(h.answer(m)); err != nil {
			return
		}
	}
}

func (h *HSS) answer(m *diameterMessage) []byte {
	switch m.command {
	case cmdCapabilities:
		return answerTo(m, append(origin(resultSuccess), octets(avpHostIP, []byte{0, 1, 127, 0, 0, 1}), number(avpVendorID, vendor3GPP), text(avpProduct, "imei-attest test HSS"),
			number(avpSupportedVendor, vendor3GPP), vendorApplication())...)
	case cmdWatchdog, cmdDisconnect:
		return answerTo(m, origin(resultSuccess)...)
	case cmdMultimediaAuth:
		return h.answerCx(m, h.authenticate)
	case cmdServerAssignment:
		return h.answerCx(m, h.assign)
	}
	return answerTo(m, origin(resultUnsupported)...)
}

func origin(result uint32) []avp {
	return []avp{number(avpResult, result), text(avpOriginHost, hssHost), text(avpRealm, Realm)}
}

func userUnknown() []avp {
	return []avp{group(avpExperimental, number(avpVendorID, vendor3GPP), number(avpExperimentalCode, errorUserUnknown)),
		text(avpOriginHost, hssHost), text(avpRealm, Realm)}
}

func vendorApplication() avp {
	return group(avpVendorApp, number(avpVendorID, vendor3GPP), number(avpAuthApp, cxApplication))
}
