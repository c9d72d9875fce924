package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"imei-attest/verifier/config"
	"imei-attest/verifier/strictyaml"
)

// least is a file with what is required.
const least = "listen: 127.0.0.1:8080\ntrust: trust\nstate: state\n"

// public is what a service beyond loopback needs.
const public = "listen: 0.0.0.0:8443\ntrust: trust\nstate: state\ntls: {certificate: c.pem, key: k.pem, client_ca: ca.pem}\n"

// someUUID is an NF instance id.
const someUUID = "b4f4a6a0-5a1e-4c3e-9f7e-000000000002"

// eir is a front of S13, and mme a peer of it.
const (
	eir = "s13: {listen: \"127.0.0.1:3868\", host: eir.example, realm: example}\n"
	mme = "s13_peers:\n  - {host: m.example, addresses: [192.0.2.0/28]}\n"
)

func load(text string, environment ...string) (*config.Config, error) {
	return config.Load(config.Input{Path: "/etc/imei-attest/verifier.yaml", Text: []byte(text), Environment: environment})
}

func mustLoad(t *testing.T, text string, environment ...string) *config.Config {
	t.Helper()
	c, err := load(text, environment...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAFlagGoesBeforeTheEnvironmentBeforeTheFileBeforeTheDefault(t *testing.T) {
	c, err := config.Load(config.Input{
		Path: "/etc/verifier.yaml", Text: []byte(least + "limits:\n  in_flight: 8\n  burst: 9\n"),
		Environment: []string{"IMEIATT_LISTEN=127.0.0.1:1", "IMEIATT_LIMITS_BURST=7", "IMEIATT_LOG=debug", "HOME=/root"},
		Flags:       map[string]string{"listen": "127.0.0.1:2", "state": "here"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][2]string{
		"listen":             {c.Listen, "127.0.0.1:2 flag --listen"},
		"trust":              {c.Trust, "/etc/trust line 2"},
		"state":              {c.State, "here flag --state"},
		"limits.in_flight":   {string(rune('0' + c.Limits.InFlight)), "8 line 5"},
		"limits.burst":       {string(rune('0' + c.Limits.Burst)), "7 environment IMEIATT_LIMITS_BURST"},
		"log":                {strings.ToLower(c.Log.String()), "debug environment IMEIATT_LOG"},
		"store":              {c.Store.String(), "sqlite default"},
		"limits.connections": {"", " default"},
	} {
		if got := want[0] + " " + c.Origin(key); got != want[1] {
			t.Errorf("%s is %q, want %q", key, got, want[1])
		}
	}
}

func TestWhatFollowsFromOtherSettings(t *testing.T) {
	for _, c := range []struct {
		name, text string
		rate       float64
		burst      int
		unnamed    string
	}{
		{"behind a proxy all callers have one address: no limit", least, 0, 1, "device network"},
		{"a stated limit holds on loopback too", least + "limits: {rate: 5}\n", 5, 10, "device network"},
		{"beyond loopback each address is limited, and only devices need no certificate", public, 100, 200, "device"},
		{"without a limit, if that is wanted", public + "limits: {rate: 0}\n", 0, 1, "device"},
		{"nothing without a certificate", public + "unnamed: []\n", 100, 200, ""},
		{"roles as they are listed", public + "unnamed: [device, choose-nonce]\n", 100, 200, "device choose-nonce"},
	} {
		got := mustLoad(t, c.text)
		if got.Limits.Rate != c.rate || got.Limits.Burst != c.burst || strings.Join(got.Unnamed, " ") != c.unnamed {
			t.Errorf("%s: got %+v, %q", c.name, got.Limits, got.Unnamed)
		}
	}
}

func TestClients(t *testing.T) {
	c := mustLoad(t, public+`clients:
  - name: pcscf-1
    certificates: ["spiffe://operator.example/pcscf", "dns:pcscf.operator.example"]
    roles: [network]
    rate: 500
  - {name: portal, certificates: ["https://portal.example/id"], roles: [endorser, admin]}
retention: {decisions: 24h, subscribers: 48h}
log: warn
`)
	want := []config.Client{
		{"pcscf-1", []string{"spiffe://operator.example/pcscf", "dns:pcscf.operator.example"}, []string{"network"}, 500, 1000},
		{"portal", []string{"https://portal.example/id"}, []string{"endorser", "admin"}, 0, 1},
	}
	if !reflect.DeepEqual(c.Clients, want) || c.Retention != (config.Retention{Decisions: 24 * time.Hour, Subscribers: 48 * time.Hour}) || c.Log != slog.LevelWarn {
		t.Errorf("got %+v", c)
	}
}

// mistakes are those that an error lists.
func mistakes(err error) (lines []string) {
	var bad *strictyaml.Error
	if errors.As(err, &bad) {
		for _, m := range bad.Mistakes {
			lines = append(lines, m.String())
		}
	}
	return lines
}

func TestMistakesAreListedWithLineAndRemedy(t *testing.T) {
	client := func(fields string) string { return public + "clients:\n  - {" + fields + "}\n" }
	const good = "name: a, certificates: [\"spiffe://a/b\"], roles: [network]"
	const there = "listen: '127.0.0.1:7777'"
	eir5g := func(fields string) string { return least + "eir_5g: {" + fields + "}\n" }
	for _, c := range []struct {
		name, text  string
		environment string
		want        []string
	}{
		{"an empty file", "", "", []string{"the file is empty: imei-verifier config print prints one to start from"}},
		{"no YAML", "a: [", "", []string{"not one document of YAML"}},
		{"two documents", least + "---\n", "", []string{"not one document"}},
		{"a list", "- a\n", "", []string{"line 1: want keys with values"}},
		{"nothing that is required", "log: info\n", "", []string{"listen: is missing: give it in the file, as IMEIATT_LISTEN or as --listen", "trust: is missing", "state: is missing"}},
		{"an unknown key", least + "polcy: p.yaml\n", "", []string{`line 4: unknown key "polcy": did you mean policy?`}},
		{"an unknown key in a group", least + "tls:\n  cert: c.pem\n", "", []string{`line 5, tls: unknown key "cert": want certificate, client_ca or key`}},
		{"a key that stands twice", least + "trust: other\n", "", []string{`"trust" stands twice, first in line 2`}},
		{"all mistakes at once", "listen: here\nstore: postgres\nlog: loud\nplain_http: yes\n", "", []string{
			`line 1, listen: "here" is no address: want HOST:PORT`, `line 2, store: unknown word "postgres": want sqlite or memory`,
			`line 3, log: unknown word "loud": want debug, info, warn or error`, `line 4, plain_http: "yes": want true or false`}},
		{"a 5G-EIR for other machines without TLS", eir5g("listen: '0.0.0.0:7777'"), "", []string{`line 4, eir_5g.listen: 0.0.0.0:7777 can be reached from other machines`}},
		{"settings of a 5G-EIR that is not there", eir5g("nrf: 'http://127.0.0.1:7777'"), "", []string{`line 4, eir_5g.nrf: is of no use without eir_5g.listen`}},
		{"a 5G-EIR at the address of others", eir5g("listen: '127.0.0.1:8080'"), "", []string{`line 4, eir_5g.listen: is the address of listen`}},
		{"a 5G-EIR with half a certificate", eir5g(there + ", certificate: c.pem"), "", []string{`line 4, eir_5g.certificate: needs eir_5g.key`}},
		{"a CA of AMFs without TLS", eir5g(there + ", client_ca: c.pem"), "", []string{`line 4, eir_5g.client_ca: needs eir_5g.certificate`}},
		{"an NRF and no instance", eir5g(there + ", nrf: 'http://127.0.0.1:7'"), "", []string{`line 4, eir_5g.nrf: needs eir_5g.instance`}},
		{"an instance that is no UUID", eir5g(there + ", instance: eir-1"), "", []string{`line 4, eir_5g.instance: "eir-1" is no NF instance id`}},
		{"an NRF that is told of every address", eir5g("listen: '0.0.0.0:7777', plain: true, nrf: 'http://127.0.0.1:7', instance: " + someUUID), "", []string{`eir_5g.advertise: is missing: 0.0.0.0:7777 is no address`}},
		{"an NRF on another machine without TLS", eir5g(there + ", nrf: 'http://192.0.2.1:7', instance: " + someUUID), "", []string{`line 4, eir_5g.nrf: 192.0.2.1:7 is another machine, and there is no TLS`}},
		{"an EIR on another machine without TLS", eir5g(there) + "eir_5g_upstream: {root: 'http://eir.example'}\n", "", []string{`line 5, eir_5g_upstream.root: eir.example is another machine`}},
		{"an EIR for a front that is not there", least + "eir_5g_upstream: {root: 'https://eir.example'}\n", "", []string{`line 4, eir_5g_upstream.root: is of no use without eir_5g.listen`}},
		{"an NRF that is no root", eir5g(there + ", nrf: '127.0.0.1:7777'"), "", []string{`line 4, eir_5g.nrf: "127.0.0.1:7777" is no root of an API`}},
		{"an upstream with a query", eir5g(there) + "eir_5g_upstream: {root: 'http://a/?b'}\n", "", []string{`line 5, eir_5g_upstream.root: "http://a/?b" is no root of an API`}},
		{"an upstream with a password", eir5g(there) + "eir_5g_upstream: {root: 'http://a:b@c/'}\n", "", []string{`is no root of an API`}},
		{"an upstream by another scheme", eir5g(there) + "eir_5g_upstream: {root: 'ftp://a/'}\n", "", []string{`is no root of an API`}},
		{"a key of tokens and nobody who makes them", eir5g(there + ", token_key: nrf.pem, instance: " + someUUID), "", []string{`line 4, eir_5g.token_key: goes with eir_5g.token_issuer`}},
		{"tokens for nobody", eir5g(there + ", token_key: nrf.pem, token_issuer: " + someUUID), "", []string{`line 4, eir_5g.token_key: needs eir_5g.instance`}},
		{"an outage of nobody", eir5g(there) + "eir_5g_upstream: {fail: deny}\n", "", []string{`line 5, eir_5g_upstream.fail: is of no use`}},
		{"an outage that means nothing", eir5g(there) + "eir_5g_upstream: {root: 'http://[::1]', fail: allow}\n", "", []string{`unknown word "allow": want ignore, track or deny`}},
		{"a CA of peers without TLS", eir5g(there+", peer_ca: ca.pem") + "eir_5g_upstream: {root: 'http://localhost'}\n", "", []string{`line 4, eir_5g.peer_ca: is of no use`}},
		{"an address without a port", "listen: 127.0.0.1\n", "", []string{"line 1, listen"}},
		{"a port that there is not", "listen: 127.0.0.1:80000\n", "", []string{`line 1, listen: "127.0.0.1:80000" is no address: want HOST:PORT, such as 127.0.0.1:8080 or [::]:8443, with a port of at most 65535`}},
		{"a port without a number", "listen: '127.0.0.1:'\n", "", []string{"line 1, listen"}},
		{"a port by name", least + "admin: 127.0.0.1:http\n", "", []string{"line 4, admin"}},
		{"a negative port", least + "admin: 127.0.0.1:-1\n", "", []string{"line 4, admin"}},
		{"a negative rate", least + "limits: {rate: -1}\n", "", []string{`line 4, limits.rate: "-1": want requests a second`}},
		{"a rate that is no number", least + "limits: {rate: NaN}\n", "", []string{"limits.rate"}},
		{"no request at a time", least + "limits: {in_flight: 0}\n", "", []string{"limits.in_flight"}},
		{"no connection", least + "limits: {connections: none}\n", "", []string{"limits.connections"}},
		{"a retention without a unit", least + "retention: {decisions: 90}\n", "", []string{`line 4, retention.decisions: "90" is no duration`}},
		{"a retention of an hour", least + "retention: {decisions: 1h}\n", "", []string{"1h is less than 24h"}},
		{"plain HTTP beyond loopback", "listen: 0.0.0.0:80\ntrust: t\nstate: s\n", "", []string{"line 1, listen: 0.0.0.0:80 can be reached from other machines, and there is no TLS"}},
		{"all addresses", "listen: :80\ntrust: t\nstate: s\n", "", []string{"say plain_http: true if something else protects the way"}},
		{"an operator's interface beyond loopback", least + "admin: 0.0.0.0:81\n", "", []string{"line 4, admin: 0.0.0.0:81 can be reached"}},
		{"an operator's interface at the address of the other", least + "admin: 127.0.0.1:8080\n", "", []string{"line 4, admin: is the address of listen"}},
		{"a certificate without a key", least + "tls: {certificate: c.pem}\n", "", []string{"line 4, tls.certificate: needs tls.key"}},
		{"a key without a certificate", least + "tls: {key: k.pem}\n", "", []string{"line 4, tls.key: is of no use"}},
		{"clients' certificates without TLS", least + "tls: {client_ca: ca.pem}\n", "", []string{"line 4, tls.client_ca: needs tls.certificate"}},
		{"an application server without peers", least + "sip: {listen: 127.0.0.1:5060}\n", "", []string{"line 4, sip.listen: needs sip.peers"}},
		{"peers without an application server", least + "sip: {peers: 192.0.2.10}\n", "", []string{"line 4, sip.peers: is of no use without sip.listen"}},
		{"peers by name", least + "sip: {listen: 127.0.0.1:5060, peers: scscf.ims.example}\n", "", []string{`line 4, sip.peers: "scscf.ims.example" is no address: want the S-CSCFs' IP addresses or networks, such as 192.0.2.10`}},
		{"a network with bits of a host", least + "sip: {listen: 127.0.0.1:5060, peers: 192.0.2.10/24}\n", "", []string{`"192.0.2.10/24" is no address`}},
		{"an empty peer", least + "sip: {listen: 127.0.0.1:5060, peers: \"192.0.2.10,\"}\n", "", []string{`"" is no address`}},
		{"peers as a list", least + "sip: {listen: 127.0.0.1:5060, peers: [192.0.2.10]}\n", "", []string{"line 4, sip.peers"}},
		{"an application server at the address for HTTP", least + "sip: {listen: 127.0.0.1:8080, peers: 192.0.2.10}\n", "", []string{"line 4, sip.listen: is an address for HTTP"}},
		{"an application server whose word is unclear", least + "sip: {listen: 127.0.0.1:5060, peers: 192.0.2.10, reauthenticates: sometimes}\n", "", []string{`line 4, sip.reauthenticates: "sometimes": want true or false`}},
		{"clients without a CA", least + "clients:\n  - {" + good + "}\n", "", []string{"line 5, clients: are known by their certificates"}},
		{"a client without a name", client("certificates: [\"spiffe://a/b\"], roles: [network]"), "", []string{"line 6, clients[1].name: is missing"}},
		{"a client with an unknown role", client("name: a, certificates: [\"spiffe://a/b\"], roles: [netwrok]"), "", []string{`line 6, clients[1].roles[1]: unknown role "netwrok": did you mean network?`}},
		{"a client without roles", client("name: a, certificates: [\"spiffe://a/b\"], roles: []"), "", []string{"line 6, clients[1]: has no roles"}},
		{"a client with a role twice", client("name: a, certificates: [\"spiffe://a/b\"], roles: [device, device]"), "", []string{`"device" stands twice`}},
		{"a client whose name is an IMEI's", client("name: \"490154203237518 x\", certificates: [\"spiffe://a/b\"], roles: [device]"), "", []string{"clients[1].name"}},
		{"a certificate's name of no kind", client("name: a, certificates: [pcscf], roles: [device]"), "", []string{`clients[1].certificates[1]: "pcscf" names no certificate`}},
		{"a certificate for all names", client("name: a, certificates: [\"dns:*.example\"], roles: [device]"), "", []string{"names no certificate"}},
		{"two clients of one name", client(good) + "  - {name: a, certificates: [\"spiffe://a/c\"], roles: [device]}\n", "", []string{`line 7, clients[2].name: "a" is that of the client in line 6`}},
		{"two clients with one certificate", client(good) + "  - {name: b, certificates: [\"spiffe://a/b\"], roles: [device]}\n", "", []string{"line 7, clients[2].certificates"}},
		{"the operator's interface for everybody", public + "unnamed: [admin]\n", "", []string{"unnamed: must not have the role admin"}},
		{"S13 beyond loopback", least + mme + "s13: {listen: \"0.0.0.0:3868\", host: e, realm: r}\n", "", []string{"line 6, s13.listen: 0.0.0.0:3868 can be reached from other machines without TLS: give s13.listen_tls in its place"}},
		{"S13 at the address for HTTP", least + mme + "s13: {listen: \"127.0.0.1:8080\", host: e, realm: r}\n", "", []string{"line 6, s13.listen: is the address of listen"}},
		{"S13 twice at one address", least + mme + "s13: {listen: \"127.0.0.1:3868\", listen_tls: \"127.0.0.1:3868\", host: e, realm: r}\n", "", []string{"s13.listen_tls: needs tls.certificate", "s13.listen_tls: is the address of listen, admin or s13.listen"}},
		{"S13 without a name", least + mme + "s13: {listen: \"127.0.0.1:3868\", realm: r}\n", "", []string{"line 6, s13.listen: needs s13.host and s13.realm"}},
		{"S13 for nobody", least + "s13: {listen: \"127.0.0.1:3868\", host: e, realm: r}\n", "", []string{"line 4, s13.listen: needs s13_peers"}},
		{"S13 over TLS without a certificate", least + mme + "s13: {listen_tls: \"127.0.0.1:5658\", host: e, realm: r}\n", "", []string{"line 6, s13.listen_tls: needs tls.certificate"}},
		{"S13 that nobody listens for", least + mme + "s13: {host: e}\n", "", []string{"line 6, s13.host: is of no use without s13.listen or s13.listen_tls", "line 5, s13_peers: are of no use"}},
		{"a name that is none", least + "s13: {host: \"e x\"}\n", "", []string{`line 4, s13.host: "e x" is no name of Diameter`}},
		{"a hasty watchdog", least + "s13: {watchdog: 5s}\n", "", []string{"line 4, s13.watchdog: 5s is less than 6s, the least (RFC 3539 section 3.4.1)"}},
		{"a peer that anybody could be", least + eir + "s13_peers:\n  - host: m\n", "", []string{"line 6, s13_peers[1]: has neither addresses nor a certificate"}},
		{"a peer without a name", least + eir + "s13_peers:\n  - addresses: [192.0.2.1]\n", "", []string{"line 6, s13_peers[1].host: is missing"}},
		{"a peer that stands twice", least + eir + mme + "  - {host: M.example, addresses: [192.0.2.1]}\n", "", []string{`line 7, s13_peers[2].host: "M.example" is that of the peer in line 6 already`}},
		{"an address of a peer that is none", least + eir + "s13_peers:\n  - {host: m, addresses: [mme]}\n", "", []string{`line 6, s13_peers[1].addresses[1]: "mme" is no address`}},
		{"a range of addresses with more", least + eir + "s13_peers:\n  - {host: m, addresses: [192.0.2.1/28]}\n", "", []string{`"192.0.2.1/28" is no address`}},
		{"an address that stands twice", least + eir + "s13_peers:\n  - {host: m, addresses: [192.0.2.1, \"::ffff:192.0.2.1\"]}\n", "", []string{`stands twice`}},
		{"a certificate without TLS", least + eir + "s13_peers:\n  - {host: m, certificate: \"dns:m\"}\n", "", []string{"line 6, s13_peers[1].certificate: is shown over TLS alone: give s13.listen_tls and tls.client_ca"}},
		{"another EIR that is not named", least + eir + mme + "s13_upstream: {address: \"127.0.0.1:1\", host: e}\n", "", []string{"line 7, s13_upstream.address: needs s13_upstream.host and s13_upstream.realm"}},
		{"another EIR without TLS", least + eir + mme + "s13_upstream: {address: \"192.0.2.1:1\", host: e, realm: r}\n", "", []string{"line 7, s13_upstream.address: 192.0.2.1:1 is another machine, and there is no TLS"}},
		{"the outage of nobody", least + eir + mme + "s13_upstream: {fail: deny}\n", "", []string{"line 7, s13_upstream.fail: is of no use without s13_upstream.address"}},
		{"an outage that means nothing", least + eir + mme + "s13_upstream: {fail: allow}\n", "", []string{`line 7, s13_upstream.fail: unknown word "allow": want ignore, track or deny`}},
		{"an unknown variable", least, "IMEIATT_LSTEN=127.0.0.1:1", []string{"IMEIATT_LSTEN: is no setting: did you mean IMEIATT_LISTEN?"}},
		{"a variable with a bad value", least, "IMEIATT_LIMITS_RATE=fast", []string{`IMEIATT_LIMITS_RATE: "fast": want requests a second`}},
		{"an empty variable", least, "IMEIATT_POLICY=", []string{"IMEIATT_POLICY: is empty"}},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			_, err := load(c.text, c.environment)
			got := mistakes(err)
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("got %q, want %q", got[i], want)
				}
			}
			if err == nil || !strings.Contains(err.Error(), "/etc/imei-attest/verifier.yaml") || strings.Contains(err.Error(), "490154203237518") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestWhatIsPrintedIsReadAgainAsTheSame(t *testing.T) {
	for _, text := range []string{least, public, least + "sip: {listen: \"[::]:5060\", peers: \"192.0.2.10, 2001:db8::/32, ::ffff:198.51.100.1\", reauthenticates: true}\n", least + "eir_5g: {listen: '127.0.0.1:7777'}\neir_5g_upstream: {root: 'http://[::1]:7777/eir', fail: track}\n", public + "admin: 127.0.0.1:1\npolicy: \"it's one\"\nlimits: {rate: 2.5}\nretention: {decisions: 30h15m, subscribers: 24h0m30s}\nclients:\n  - {name: a, certificates: [\"spiffe://a/b\"], roles: [network, admin], rate: 7}\n",
		least + eir + mme, public + "s13: {listen_tls: \"0.0.0.0:5658\", host: eir.example, realm: example, watchdog: 6s}\ns13_peers:\n  - {host: m, certificate: \"dns:m.example\"}\n  - {host: n, addresses: [192.0.2.1, \"2001:db8::/32\"]}\n" +
			"s13_upstream: {address: \"192.0.2.1:3868\", host: old.example, realm: example, ca: ca.pem, timeout: 250ms, fail: track}\n"} {
		c := mustLoad(t, text)
		var printed bytes.Buffer
		if err := c.Effective(&printed, func(text string) string { return text }); err != nil {
			t.Fatal(err)
		}
		again := mustLoad(t, printed.String())
		if fixed := config.Fixed(c, again); len(fixed) > 0 || !reflect.DeepEqual(c.S13, again.S13) {
			t.Errorf("other values of %v after\n%s", fixed, &printed)
		}
		var reprinted bytes.Buffer
		if err := again.Effective(&reprinted, func(text string) string { return text }); err != nil || withoutOrigins(reprinted.String()) != withoutOrigins(printed.String()) {
			t.Errorf("%v\n%s\nbecame\n%s", err, &printed, &reprinted)
		}
	}
}

func withoutOrigins(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " #")
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

// TestTheSampleIsAConfiguration: as it is, and with all that is commented out but has a value.
func TestTheSampleIsAConfiguration(t *testing.T) {
	var sample bytes.Buffer
	if err := mustLoad(t, least).Sample(&sample); err != nil {
		t.Fatal(err)
	}
	want := mustLoad(t, least)
	if got := mustLoad(t, sample.String()); len(config.Fixed(got, want)) > 0 {
		t.Errorf("as it is:\n%s", &sample)
	}
	if want := "\n# unnamed: [" + strings.Join(want.Unnamed, ", ") + "]"; !strings.Contains(sample.String(), want) {
		t.Errorf("the sample has not %q:\n%s", want, &sample)
	}
	values := map[string]string{"admin": "127.0.0.1:1", "policy": "p", "list": "l", "certificate": "c", "key": "k", "client_ca": "ca", "listen": "127.0.0.1:2", "listen_tls": "0.0.0.0:3",
		"host": "h", "peers": "192.0.2.10", "realm": "r", "address": "192.0.2.1:4", "ca": "ca",
		"instance": someUUID, "advertise": "eir:2", "nrf": "'https://nrf'", "token_key": "k", "token_issuer": someUUID, "root": "'https://eir'", "peer_ca": "ca"}
	all := regexp.MustCompile(`(?m)^ *([a-z_]+):$`).ReplaceAllStringFunc(strings.ReplaceAll(sample.String(), "\n# ", "\n"), func(line string) string {
		if value := values[strings.Trim(line, " :")]; value != "" {
			return line + " " + value
		}
		return line
	})
	got := mustLoad(t, all)
	if got.Limits.InFlight != want.Limits.InFlight || len(got.Clients) != 1 || got.Clients[0].Name != "pcscf-1" || len(got.S13.Peers) != 2 || got.S13.Upstream.Address != "192.0.2.1:4" {
		t.Errorf("in full: %+v of\n%s", got, all)
	}
}

// TestTheOperatorsPageShowsASettingOfS13ThatIsTaken, with that of the operator's own EIR.
func TestTheOperatorsPageShowsASettingOfS13ThatIsTaken(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## S13")
	section, _, _ = strings.Cut(section, "\n## ")
	text := public
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(section, -1) {
		text += m[1]
	}
	c := mustLoad(t, text)
	if len(c.S13.Peers) != 2 || c.S13.ListenTLS != "0.0.0.0:5658" || c.S13.Upstream.Timeout != 300*time.Millisecond {
		t.Errorf("got %+v", c.S13)
	}
}

func TestWhatIsPrintedIsMasked(t *testing.T) {
	var printed bytes.Buffer
	if err := mustLoad(t, least).Effective(&printed, func(string) string { return "hidden" }); err != nil || strings.Contains(printed.String(), "8080") {
		t.Errorf("%v\n%s", err, &printed)
	}
}

func TestFixedSettingsAreNamed(t *testing.T) {
	was, is := mustLoad(t, least), mustLoad(t, "listen: 127.0.0.1:9\ntrust: trust\nstate: other\nlog: debug\nlimits: {rate: 3}\n")
	if got, want := config.Fixed(was, is), []string{"listen", "state"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAnOperatorsAddressForNobodyIsWarnedOf(t *testing.T) {
	const desk = "clients:\n  - {name: desk, certificates: [\"spiffe://a/b\"], roles: [%s]}\n"
	for _, c := range []struct {
		name, text string
		warned     bool
	}{
		{"no address", public, false},
		{"on loopback", public + "admin: 127.0.0.1:1\n", false},
		{"beyond it, for nobody", public + "admin: 0.0.0.0:1\n", true},
		{"for a client of another role", public + "admin: 0.0.0.0:1\n" + fmt.Sprintf(desk, "network"), true},
		{"for an operator", public + "admin: 0.0.0.0:1\n" + fmt.Sprintf(desk, "network, admin"), false},
	} {
		if got := mustLoad(t, c.text).Warnings(); (len(got) == 1) != c.warned || len(got) > 0 && !strings.Contains(got[0], "0.0.0.0:1: give a client the role admin") {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestA5GEIRForEverybodyIsWarnedOf(t *testing.T) {
	eir5g := func(fields string) string { return least + "eir_5g: {" + fields + "}\n" }
	const secured = "listen: '0.0.0.0:7777', certificate: c.pem, key: k.pem"
	for _, c := range []struct {
		name, text string
		warned     bool
	}{
		{"on loopback", eir5g("listen: '127.0.0.1:7777'"), false},
		{"protected by something else", eir5g("listen: '0.0.0.0:7777', plain: true"), false},
		{"for whoever reaches it", eir5g(secured), true},
		{"for who shows a certificate", eir5g(secured + ", client_ca: ca.pem"), false},
		{"for who has a token", eir5g(secured + ", token_key: nrf.pem, token_issuer: " + someUUID + ", instance: " + someUUID), false},
	} {
		if got := mustLoad(t, c.text).Warnings(); (len(got) == 1) != c.warned || len(got) > 0 && !strings.Contains(got[0], "whoever reaches 0.0.0.0:7777") {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// FuzzLoad: what is accepted is printed so that it is read again as the same.
func FuzzLoad(f *testing.F) {
	f.Add(least)
	f.Add(public + "clients:\n  - {name: a, certificates: [\"spiffe://a/b\"], roles: [network]}\n")
	f.Add("listen: '[::1]:80'\ntrust: 'a #b'\nstate: \"'\"\nretention: {decisions: 25.5h}\n")
	f.Add(least + eir + mme)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := load(text)
		if err != nil {
			return
		}
		var printed bytes.Buffer
		if err := c.Effective(&printed, func(text string) string { return text }); err != nil {
			t.Fatal(err)
		}
		again, err := load(printed.String())
		if err != nil || len(config.Fixed(c, again)) > 0 || !reflect.DeepEqual(c.Clients, again.Clients) || !reflect.DeepEqual(c.S13, again.S13) || c.Limits != again.Limits || c.Retention != again.Retention {
			t.Errorf("%v\n%s", err, &printed)
		}
	})
}
