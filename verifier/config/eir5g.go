package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// EIR5G is the front that AMFs ask as their 5G-EIR (TS 29.511).
type EIR5G struct {
	Listen      string  // address, HOST:PORT; "" for no such front
	Plain       bool    // HTTP/2 without TLS may leave the machine, in both directions
	TLS         TLS     // the front's own: callers must show a certificate that ClientCA signed
	Rate        float64 // requests a second of each address that shows no certificate of a client; 0 is not limited
	Instance    string  // NF instance id, a UUID
	Advertise   string  // HOST:PORT that the NRF tells AMFs; "" for Listen
	NRF         string  // URI of the NRF's apiRoot; "" for none
	TokenKey    string  // file of the NRF's public key: callers need an access token; "" if they need none
	TokenIssuer string  // NF instance id of the NRF
	Upstream    string  // URI of the apiRoot of the operator's own EIR; "" for none
	Fail        Outage  // what counts while that one does not answer
	PeerCA      string  // file of who signs the certificates of the NRF and of that EIR; "" for whom the system trusts
}

// checkEIR5G looks at the front for AMFs.
func (r *reader) checkEIR5G() {
	e := &r.config.EIR5G
	if e.Listen == "" {
		r.needListen()
		return
	}
	r.checkTLS("eir_5g", e.TLS)
	if !Loopback(e.Listen) && e.TLS.Certificate == "" && !e.Plain {
		r.at("eir_5g.listen", "%s can be reached from other machines, and there is no TLS: give eir_5g.certificate and eir_5g.key, listen on 127.0.0.1, or say plain: true if something else protects the way", e.Listen)
	}
	if (e.Listen == r.config.Listen || e.Listen == r.config.Admin) && !portIsFree(e.Listen) {
		r.at("eir_5g.listen", "is the address of listen or of admin: AMFs need one of their own")
	}
	r.checkNRF(e)
	r.checkPlain("eir_5g.nrf", e.NRF, e.Plain)
	r.checkPlain("eir_5g_upstream.root", e.Upstream, e.Plain)
	if e.Fail != OutageIgnore && e.Upstream == "" {
		r.at("eir_5g_upstream.fail", "is of no use without eir_5g_upstream.root")
	}
	if e.PeerCA != "" && !strings.HasPrefix(e.NRF, "https:") && !strings.HasPrefix(e.Upstream, "https:") {
		r.at("eir_5g.peer_ca", "is of no use: neither eir_5g.nrf nor eir_5g_upstream.root begins with https")
	}
}

// needListen finds the settings of a front that is not there.
func (r *reader) needListen() {
	for _, s := range settings {
		if strings.HasPrefix(s.key, "eir_5g") && s.show(r.config) != s.initial {
			r.at(s.key, "is of no use without eir_5g.listen, the address for AMFs")
			return
		}
	}
}

// checkPlain: what is told or asked without TLS stays on the machine, or somebody said that it need not.
func (r *reader) checkPlain(key, root string, plain bool) {
	u, err := url.Parse(root)
	if err == nil && u.Scheme == "http" && !plain && !Loopback(net.JoinHostPort(u.Hostname(), "0")) {
		r.at(key, "%s is another machine, and there is no TLS: give https://, or say eir_5g.plain: true if something else protects the way", u.Host)
	}
}

func (r *reader) checkNRF(e *EIR5G) {
	switch {
	case e.Instance == "" && e.NRF != "":
		r.at("eir_5g.nrf", "needs eir_5g.instance, the NF instance id to register by: uuidgen makes one")
	case e.Instance == "" && e.TokenKey != "":
		r.at("eir_5g.token_key", "needs eir_5g.instance, the NF instance id that access tokens are for")
	}
	if (e.TokenKey == "") != (e.TokenIssuer == "") {
		r.at("eir_5g.token_key", "goes with eir_5g.token_issuer: want the NRF's public key and its NF instance id")
	}
	if e.NRF != "" && e.Advertise == "" && isEverywhere(e.Listen) {
		r.at("eir_5g.advertise", "is missing: %s is no address that an AMF can ask", e.Listen)
	}
}

// isEverywhere: all addresses of the machine, and so none to be told others.
func isEverywhere(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}
