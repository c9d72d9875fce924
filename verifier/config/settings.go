package config

import (
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"imei-attest/verifier/strictyaml"
)

const (
	environmentPrefix = "IMEIATT_"
	byDefault         = "default"
)

// setting is one that is a single value. The table is the one place that knows its key, its reader and its default.
type setting struct {
	key     string
	initial string // "" leaves the zero value
	flag    bool   // there is a flag of this name
	path    bool   // in a file, relative to the file's folder
	fixed   bool   // a change needs a restart
	set     func(*Config, string) error
	show    func(*Config) string
}

var settings = []setting{
	value("listen", "", hostPort, func(c *Config) *string { return &c.Listen }, isFlag, isFixed),
	value("admin", "", own, func(c *Config) *string { return &c.Admin }, isFlag, isFixed),
	value("plain_http", "false", yesNo, func(c *Config) *bool { return &c.PlainHTTP }, isFixed),
	value("tls.certificate", "", strictyaml.Text, func(c *Config) *string { return &c.TLS.Certificate }, isPath, isFixed),
	value("tls.key", "", strictyaml.Text, func(c *Config) *string { return &c.TLS.Key }, isPath, isFixed),
	value("tls.client_ca", "", strictyaml.Text, func(c *Config) *string { return &c.TLS.ClientCA }, isPath, isFixed),
	value("sip.listen", "", hostPort, func(c *Config) *string { return &c.SIP.Listen }, isFixed),
	value("sip.peers", "", peers, func(c *Config) *Peers { return &c.SIP.Peers }, isFixed),
	value("sip.reauthenticates", "false", yesNo, func(c *Config) *bool { return &c.SIP.Reauthenticates }, isFixed),
	value("trust", "", strictyaml.Text, func(c *Config) *string { return &c.Trust }, isFlag, isPath, isFixed),
	value("policy", "", strictyaml.Text, func(c *Config) *string { return &c.Policy }, isFlag, isPath, isFixed),
	value("list", "", strictyaml.Text, func(c *Config) *string { return &c.List }, isPath, isFixed),
	value("state", "", strictyaml.Text, func(c *Config) *string { return &c.State }, isFlag, isPath, isFixed),
	value("store", "sqlite", strictyaml.OneOf(SQLite, Memory), func(c *Config) *Engine { return &c.Store }, isFixed),
	value("limits.rate", "0", rate, func(c *Config) *float64 { return &c.Limits.Rate }),
	value("limits.burst", "1", strictyaml.Count, func(c *Config) *int { return &c.Limits.Burst }),
	value("limits.addresses", "65536", strictyaml.Count, func(c *Config) *int { return &c.Limits.Addresses }),
	value("limits.in_flight", "256", strictyaml.Count, func(c *Config) *int { return &c.Limits.InFlight }, isFixed),
	value("limits.connections", "4096", strictyaml.Count, func(c *Config) *int { return &c.Limits.Connections }, isFixed),
	value("retention.decisions", "2160h", retention, func(c *Config) *time.Duration { return &c.Retention.Decisions }, isFixed),
	value("retention.subscribers", "4392h", retention, func(c *Config) *time.Duration { return &c.Retention.Subscribers }, isFixed),
	value("eir_5g.listen", "", hostPort, func(c *Config) *string { return &c.EIR5G.Listen }, isFixed),
	value("eir_5g.plain", "false", yesNo, func(c *Config) *bool { return &c.EIR5G.Plain }, isFixed),
	value("eir_5g.certificate", "", strictyaml.Text, func(c *Config) *string { return &c.EIR5G.TLS.Certificate }, isPath, isFixed),
	value("eir_5g.key", "", strictyaml.Text, func(c *Config) *string { return &c.EIR5G.TLS.Key }, isPath, isFixed),
	value("eir_5g.client_ca", "", strictyaml.Text, func(c *Config) *string { return &c.EIR5G.TLS.ClientCA }, isPath, isFixed),
	value("eir_5g.rate", "0", rate, func(c *Config) *float64 { return &c.EIR5G.Rate }),
	value("eir_5g.instance", "", uuid, func(c *Config) *string { return &c.EIR5G.Instance }, isFixed),
	value("eir_5g.advertise", "", hostPort, func(c *Config) *string { return &c.EIR5G.Advertise }, isFixed),
	value("eir_5g.nrf", "", root, func(c *Config) *string { return &c.EIR5G.NRF }, isFixed),
	value("eir_5g.token_key", "", strictyaml.Text, func(c *Config) *string { return &c.EIR5G.TokenKey }, isPath, isFixed),
	value("eir_5g.token_issuer", "", uuid, func(c *Config) *string { return &c.EIR5G.TokenIssuer }, isFixed),
	value("eir_5g.peer_ca", "", strictyaml.Text, func(c *Config) *string { return &c.EIR5G.PeerCA }, isPath, isFixed),
	value("eir_5g_upstream.root", "", root, func(c *Config) *string { return &c.EIR5G.Upstream }, isFixed),
	value("eir_5g_upstream.fail", "ignore", strictyaml.OneOf(OutageIgnore, OutageTrack, OutageDeny), func(c *Config) *Outage { return &c.EIR5G.Fail }, isFixed),
	value("s13.listen", "", hostPort, func(c *Config) *string { return &c.S13.Listen }, isFixed),
	value("s13.listen_tls", "", hostPort, func(c *Config) *string { return &c.S13.ListenTLS }, isFixed),
	value("s13.plain", "false", yesNo, func(c *Config) *bool { return &c.S13.Plain }, isFixed),
	value("s13.host", "", diameterName, func(c *Config) *string { return &c.S13.Host }, isFixed),
	value("s13.realm", "", diameterName, func(c *Config) *string { return &c.S13.Realm }, isFixed),
	value("s13.in_flight", "256", strictyaml.Count, func(c *Config) *int { return &c.S13.InFlight }, isFixed),
	value("s13.watchdog", "30s", watchdog, func(c *Config) *time.Duration { return &c.S13.Watchdog }, isFixed),
	value("s13_upstream.address", "", hostPort, func(c *Config) *string { return &c.S13.Upstream.Address }, isFixed),
	value("s13_upstream.host", "", diameterName, func(c *Config) *string { return &c.S13.Upstream.Host }, isFixed),
	value("s13_upstream.realm", "", diameterName, func(c *Config) *string { return &c.S13.Upstream.Realm }, isFixed),
	value("s13_upstream.ca", "", strictyaml.Text, func(c *Config) *string { return &c.S13.Upstream.CA }, isPath, isFixed),
	value("s13_upstream.plain", "false", yesNo, func(c *Config) *bool { return &c.S13.Upstream.Plain }, isFixed),
	value("s13_upstream.timeout", "1s", strictyaml.Duration(time.Minute), func(c *Config) *time.Duration { return &c.S13.Upstream.Timeout }, isFixed),
	value("s13_upstream.fail", "ignore", strictyaml.OneOf(OutageIgnore, OutageTrack, OutageDeny), func(c *Config) *Outage { return &c.S13.Upstream.Fail }, isFixed),
	value("log", "info", level, func(c *Config) *slog.Level { return &c.Log }),
}

// value makes a setting of a reader of its text and the place where it is kept.
func value[T any](key, initial string, parse func(string) (T, error), place func(*Config) *T, traits ...func(*setting)) setting {
	s := setting{key: key, initial: initial,
		set: func(c *Config, text string) (err error) {
			got, err := parse(text)
			if err == nil {
				*place(c) = got
			}
			return err
		},
		show: func(c *Config) string { return text(*place(c)) },
	}
	for _, trait := range traits {
		trait(&s)
	}
	return s
}

func isFlag(s *setting)  { s.flag = true }
func isPath(s *setting)  { s.path = true }
func isFixed(s *setting) { s.fixed = true }

// text is a value as a file has it.
func text(value any) string {
	if l, ok := value.(slog.Level); ok {
		return strings.ToLower(l.String())
	}
	return fmt.Sprint(value)
}

func hostPort(text string) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", fmt.Errorf("%q is no address: want HOST:PORT, such as 127.0.0.1:8080 or [::]:8443, with a port of at most %d", text, math.MaxUint16)
	}
	return text, nil
}

// own is an address for the operator: without a host it is of this machine only.
func own(text string) (string, error) {
	text, err := hostPort(text)
	if err == nil && strings.HasPrefix(text, ":") {
		text = "127.0.0.1" + text
	}
	return text, err
}

// uuid is an NF instance id (TS 29.571 clause 5.3.2).
func uuid(text string) (string, error) {
	if !uuidForm.MatchString(text) {
		return "", fmt.Errorf("%q is no NF instance id: want a UUID, such as uuidgen prints", text)
	}
	return strings.ToLower(text), nil
}

var uuidForm = regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// root is an apiRoot (TS 29.501 clause 4.4.1): scheme, host, port, and perhaps a path before the API's.
func root(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(text, "?# ") {
		return "", fmt.Errorf("%q is no root of an API: want http://HOST:PORT or https://HOST:PORT", text)
	}
	return strings.TrimSuffix(text, "/"), nil
}

func yesNo(text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, fmt.Errorf("%q: want true or false", text)
	}
	return text == "true", nil
}

// peers are separated by commas.
func peers(text string) (all Peers, err error) {
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		prefix, err := netip.ParsePrefix(item)
		if address, single := netip.ParseAddr(item); single == nil {
			prefix, err = netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()), nil
		}
		if err != nil || prefix != prefix.Masked() || prefix.Addr().Zone() != "" {
			return nil, fmt.Errorf("%q is no address: want the S-CSCFs' IP addresses or networks, such as 192.0.2.10, 198.51.100.0/24", item)
		}
		all = append(all, prefix)
	}
	return all, nil
}

func rate(text string) (float64, error) {
	const most = 1e6
	r, err := strconv.ParseFloat(text, 64)
	if err != nil || !(r >= 0 && r <= most) || math.Signbit(r) {
		return 0, fmt.Errorf("%q: want requests a second, such as 100, at most %.0f; 0 is not limited", text, most)
	}
	return r, nil
}

// retention is at least a day: what is kept also answers retransmissions and re-registrations.
func retention(text string) (time.Duration, error) {
	const least, most = 24 * time.Hour, 10 * 365 * 24 * time.Hour
	d, err := strictyaml.Duration(most)(text)
	if err == nil && d < least {
		return 0, fmt.Errorf("%s is less than 24h, the least: re-registrations rest on what is kept", text)
	}
	return d, err
}

func level(text string) (slog.Level, error) {
	var l slog.Level
	switch text {
	case "debug", "info", "warn", "error":
		return l, l.UnmarshalText([]byte(text))
	}
	return l, fmt.Errorf("unknown word %q: want debug, info, warn or error", text)
}

// Loopback reports that an address can be reached from this machine only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
