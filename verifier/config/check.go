package config

import (
	"fmt"
	"slices"
)

// check looks at what settings mean together. It is not reached if one of them could not be read.
func (r *reader) check() {
	r.required()
	r.checkTLS("tls", r.config.TLS)
	r.checkAddresses()
	r.checkEIR5G()
	r.checkSIP()
	r.checkClients()
	r.checkS13()
}

func (r *reader) required() {
	for _, key := range []string{"listen", "trust", "state"} {
		if !r.config.given(key) {
			r.Wrong(0, key, "is missing: give it in the file, as %s or as --%s", EnvironmentName(key), key)
		}
	}
}

// checkTLS looks at the TLS files of a group of settings.
func (r *reader) checkTLS(group string, tls TLS) {
	switch {
	case tls.Certificate == "" && tls.Key != "":
		r.at(group+".key", "is of no use without %s.certificate", group)
	case tls.Certificate != "" && tls.Key == "":
		r.at(group+".certificate", "needs %s.key, the file of its private key", group)
	case tls.ClientCA != "" && tls.Certificate == "":
		r.at(group+".client_ca", "needs %[1]s.certificate and %[1]s.key: certificates of clients are shown over TLS", group)
	}
}

// checkAddresses: what leaves the machine is protected, or somebody said that it need not be.
func (r *reader) checkAddresses() {
	c := r.config
	if c.given("listen") && !Loopback(c.Listen) && c.TLS.Certificate == "" && !c.PlainHTTP {
		r.at("listen", "%s can be reached from other machines, and there is no TLS: give tls.certificate and tls.key, listen on 127.0.0.1, or say plain_http: true if something else protects the way", c.Listen)
	}
	if c.Admin == "" {
		return
	}
	if c.Admin == c.Listen && !portIsFree(c.Admin) {
		r.at("admin", "is the address of listen: the operator's interface needs one of its own")
	}
	if !Loopback(c.Admin) && c.TLS.ClientCA == "" {
		r.at("admin", "%s can be reached from other machines: give tls.client_ca and a client with role admin, or an address on 127.0.0.1", c.Admin)
	}
}

// checkSIP: whoever reaches the application server as a peer is believed, so there is nobody by default.
func (r *reader) checkSIP() {
	sip := r.config.SIP
	switch {
	case sip.Listen != "" && len(sip.Peers) == 0:
		r.at("sip.listen", "needs sip.peers, the addresses of the S-CSCFs: what they say of a registration is believed")
	case sip.Listen == "" && len(sip.Peers) > 0:
		r.at("sip.peers", "is of no use without sip.listen, the address that the S-CSCFs send to")
	}
	if sip.Listen != "" && (sip.Listen == r.config.Listen || sip.Listen == r.config.Admin) && !portIsFree(sip.Listen) {
		r.at("sip.listen", "is an address for HTTP: the application server needs one of its own")
	}
}

// Warnings are what a configuration probably does not mean.
func (c *Config) Warnings() (warnings []string) {
	isAdmin := func(client Client) bool { return slices.Contains(client.Roles, RoleAdmin) }
	if c.Admin != "" && !Loopback(c.Admin) && !slices.ContainsFunc(c.Clients, isAdmin) {
		warnings = append(warnings, fmt.Sprintf("admin: nobody may ask for metrics and decisions at %s: give a client the role admin, or an address on 127.0.0.1", c.Admin))
	}
	if e := &c.EIR5G; e.Listen != "" && !Loopback(e.Listen) && !e.Plain && e.TLS.ClientCA == "" && e.TokenKey == "" {
		warnings = append(warnings, fmt.Sprintf("eir_5g: whoever reaches %s may ask about everybody's equipment: give eir_5g.client_ca or eir_5g.token_key", e.Listen))
	}
	return warnings
}

// portIsFree reports that the system chooses the port.
func portIsFree(address string) bool { return len(address) > 2 && address[len(address)-2:] == ":0" }

func (r *reader) checkClients() {
	c := r.config
	if len(c.Clients) > 0 && c.TLS.ClientCA == "" && c.EIR5G.TLS.ClientCA == "" {
		r.Wrong(r.config.lines["clients[1]"], "clients", "are known by their certificates: give tls.client_ca, the file of who signs them")
	}
	if slices.Contains(c.Unnamed, RoleAdmin) {
		r.Wrong(0, "unnamed", "must not have the role admin: give it to a client")
	}
	names, certificates := make(map[string]int), make(map[string]int)
	for i, client := range c.Clients {
		key := fmt.Sprintf("clients[%d]", i+1)
		r.once(names, key, "name", client.Name)
		for _, certificate := range client.Certificates {
			r.once(certificates, key, "certificates", certificate)
		}
		if len(client.Roles) == 0 || len(client.Certificates) == 0 {
			r.Wrong(c.lines[key], key, "has no roles or no certificates: give it some, or remove it")
		}
	}
}

// once keeps a mistake if another client has the same.
func (r *reader) once(seen map[string]int, key, what, text string) {
	line := r.config.lines[key]
	if first, twice := seen[text]; twice {
		r.Wrong(line, key+"."+what, "%q is that of the client in line %d already", text, first)
		return
	}
	seen[text] = line
}

// at keeps a mistake about a setting at the place where it was given.
func (r *reader) at(key, format string, args ...any) {
	line := 0
	if origin := r.config.Origin(key); origin == fmt.Sprintf("line %d", r.config.lines[key]) {
		line = r.config.lines[key]
	}
	r.Wrong(line, key, format, args...)
}
