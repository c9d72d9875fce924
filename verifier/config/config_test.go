package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
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
	eir := func(fields string) string { return least + "eir_5g: {" + fields + "}\n" }
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
		{"a 5G-EIR for other machines without TLS", eir("listen: '0.0.0.0:7777'"), "", []string{`line 4, eir_5g.listen: 0.0.0.0:7777 can be reached from other machines`}},
		{"settings of a 5G-EIR that is not there", eir("nrf: 'http://127.0.0.1:7777'"), "", []string{`line 4, eir_5g.nrf: is of no use without eir_5g.listen`}},
		{"a 5G-EIR at the address of others", eir("listen: '127.0.0.1:8080'"), "", []string{`line 4, eir_5g.listen: is the address of listen`}},
		{"a 5G-EIR with half a certificate", eir(there + ", certificate: c.pem"), "", []string{`line 4, eir_5g.certificate: needs eir_5g.key`}},
		{"a CA of AMFs without TLS", eir(there + ", client_ca: c.pem"), "", []string{`line 4, eir_5g.client_ca: needs eir_5g.certificate`}},
		{"an NRF and no instance", eir(there + ", nrf: 'http://127.0.0.1:7'"), "", []string{`line 4, eir_5g.nrf: needs eir_5g.instance`}},
		{"an instance that is no UUID", eir(there + ", instance: eir-1"), "", []string{`line 4, eir_5g.instance: "eir-1" is no NF instance id`}},
		{"an NRF that is told of every address", eir("listen: '0.0.0.0:7777', plain: true, nrf: 'http://127.0.0.1:7', instance: " + someUUID), "", []string{`eir_5g.advertise: is missing: 0.0.0.0:7777 is no address`}},
		{"an NRF that is no root", eir(there + ", nrf: '127.0.0.1:7777'"), "", []string{`line 4, eir_5g.nrf: "127.0.0.1:7777" is no root of an API`}},
		{"an upstream with a query", eir(there + ", upstream: 'http://a/?b'"), "", []string{`line 4, eir_5g.upstream: "http://a/?b" is no root of an API`}},
		{"an upstream with a password", eir(there + ", upstream: 'http://a:b@c/'"), "", []string{`is no root of an API`}},
		{"an upstream by another scheme", eir(there + ", upstream: 'ftp://a/'"), "", []string{`is no root of an API`}},
		{"a key of tokens and nobody who makes them", eir(there + ", token_key: nrf.pem, instance: " + someUUID), "", []string{`line 4, eir_5g.token_key: goes with eir_5g.token_issuer`}},
		{"tokens for nobody", eir(there + ", token_key: nrf.pem, token_issuer: " + someUUID), "", []string{`line 4, eir_5g.token_key: needs eir_5g.instance`}},
		{"an outage of nobody", eir(there + ", upstream_fail: deny"), "", []string{`line 4, eir_5g.upstream_fail: is of no use`}},
		{"an outage that means nothing", eir(there + ", upstream: 'http://a', upstream_fail: allow"), "", []string{`unknown word "allow": want ignore, track or deny`}},
		{"a CA of peers without TLS", eir(there + ", upstream: 'http://a', peer_ca: ca.pem"), "", []string{`line 4, eir_5g.peer_ca: is of no use`}},
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
		{"an unknown variable", least, "IMEIATT_LISTN=127.0.0.1:1", []string{"IMEIATT_LISTN: is no setting: did you mean IMEIATT_LISTEN?"}},
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
	for _, text := range []string{least, public, least + "eir_5g: {listen: '127.0.0.1:7777', upstream: 'http://[::1]:7777/eir', upstream_fail: track}\n", public + "admin: 127.0.0.1:1\npolicy: \"it's one\"\nlimits: {rate: 2.5}\nretention: {decisions: 30h15m, subscribers: 24h0m30s}\nclients:\n  - {name: a, certificates: [\"spiffe://a/b\"], roles: [network, admin], rate: 7}\n"} {
		c := mustLoad(t, text)
		var printed bytes.Buffer
		if err := c.Effective(&printed, func(text string) string { return text }); err != nil {
			t.Fatal(err)
		}
		again := mustLoad(t, printed.String())
		if fixed := config.Fixed(c, again); len(fixed) > 0 {
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
	all := strings.NewReplacer("\n# ", "\n", "admin:", "admin: 127.0.0.1:1", "policy:", "policy: p", "certificate:", "certificate: c", "key:", "key: k",
		"client_ca:", "client_ca: ca", "  listen:", "  listen: 127.0.0.1:2", "instance:", "instance: "+someUUID, "advertise:", "advertise: eir:2", "nrf:", "nrf: 'https://nrf'",
		"token_issuer:", "token_issuer: "+someUUID, "upstream:", "upstream: 'https://eir'", "peer_ca:", "peer_ca: ca").Replace(sample.String())
	got := mustLoad(t, all)
	if got.Limits.InFlight != want.Limits.InFlight || len(got.Clients) != 1 || got.Clients[0].Name != "pcscf-1" {
		t.Errorf("in full: %+v of\n%s", got, all)
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
	eir := func(fields string) string { return least + "eir_5g: {" + fields + "}\n" }
	const secured = "listen: '0.0.0.0:7777', certificate: c.pem, key: k.pem"
	for _, c := range []struct {
		name, text string
		warned     bool
	}{
		{"on loopback", eir("listen: '127.0.0.1:7777'"), false},
		{"protected by something else", eir("listen: '0.0.0.0:7777', plain: true"), false},
		{"for whoever reaches it", eir(secured), true},
		{"for who shows a certificate", eir(secured + ", client_ca: ca.pem"), false},
		{"for who has a token", eir(secured + ", token_key: nrf.pem, token_issuer: " + someUUID + ", instance: " + someUUID), false},
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
		if err != nil || len(config.Fixed(c, again)) > 0 || !reflect.DeepEqual(c.Clients, again.Clients) || c.Limits != again.Limits || c.Retention != again.Retention {
			t.Errorf("%v\n%s", err, &printed)
		}
	})
}
