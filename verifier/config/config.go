// Package config reads how the verifier's service is to run: one YAML file, environment variables IMEIATT_*, and flags. Start
// with [Load]. A flag goes before the environment, that before the file, and that before the default.
//
// A configuration with a mistake is not used at all. The error is a [*strictyaml.Error], which lists every mistake. The package
// opens nothing and changes nothing: what a setting names is looked at by whoever uses it.
package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"imei-attest/verifier/strictyaml"
)

// Config is how the service runs.
type Config struct {
	Listen    string // address of the interface, HOST:PORT
	Admin     string // address of the operator's interface; "" for none
	PlainHTTP bool   // HTTP without TLS may leave the machine
	TLS       TLS
	EIR5G     EIR5G
	SIP       SIP
	Trust     string // folder of anchors
	Policy    string // file; "" for the default policy
	List      string // file of the operator's list of equipment; "" for none
	State     string // folder of the server's keys and store
	Store     Engine
	Limits    Limits
	Retention Retention
	Log       slog.Level
	Clients   []Client
	Unnamed   []string // roles of who shows no certificate of a client
	S13       S13

	origins map[string]string // of a setting, by its key
	lines   map[string]int    // in the file, likewise
}

// SIP is the application server behind an S-CSCF.
type SIP struct {
	Listen          string // address for UDP and TCP, HOST:PORT; "" for none
	Peers           Peers  // who is believed as the S-CSCF
	Reauthenticates bool   // the S-CSCF authenticates every REGISTER, not only the first of a binding
}

// Peers are addresses, and networks of them.
type Peers []netip.Prefix

// String is the list as a file has it.
func (p Peers) String() string {
	var texts []string
	for _, prefix := range p {
		if text := prefix.String(); prefix.IsSingleIP() {
			texts = append(texts, prefix.Addr().String())
		} else {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, ", ")
}

// TLS names PEM files. All are read again when they change.
type TLS struct{ Certificate, Key, ClientCA string }

// Client is a network function that shows a certificate.
type Client struct {
	Name         string   // in logs and metrics
	Certificates []string // URIs, and DNS names after "dns:", of which its certificate has one
	Roles        []string
	Rate         float64 // requests a second; 0 is not limited
	Burst        int     // requests at once, where Rate is limited
}

// Limits bound what callers can take.
type Limits struct {
	Rate        float64 // requests a second of each address that shows no certificate of a client; 0 is not limited
	Burst       int     // requests at once of such an address
	Addresses   int     // how many of them are remembered
	InFlight    int     // requests that are judged at once
	Connections int     // open at once
}

// Retention is how long the store keeps what names somebody by a pseudonym.
type Retention struct{ Decisions, Subscribers time.Duration }

// Engine is a kind of store.
type Engine string

// The engines.
const (
	SQLite Engine = "sqlite" // a file in the state folder
	Memory Engine = "memory" // what is seen ends with the process
)

func (e Engine) String() string { return string(e) }

// The roles that a caller may have.
const (
	RoleDevice      = "device"       // challenge-response
	RoleNetwork     = "network"      // appraisal with what the network saw
	RoleChooseNonce = "choose-nonce" // opens sessions with a nonce of its own
	RoleEndorser    = "endorser"     // hands in endorsements
	RoleAdmin       = "admin"        // the operator's interface, beyond loopback
)

// Roles are all of them.
func Roles() []string {
	return []string{RoleDevice, RoleNetwork, RoleChooseNonce, RoleEndorser, RoleAdmin}
}

// Input is what a configuration is made of.
type Input struct {
	Path        string            // of the file, for messages and for the paths in it; "" without a file
	Text        []byte            // of the file
	Environment []string          // NAME=VALUE; only IMEIATT_* is looked at
	Flags       map[string]string // by name, without hyphens before it: those that were given
}

// Load reads a configuration and checks it as far as that is possible without opening anything.
func Load(in Input) (*Config, error) {
	c := &Config{origins: make(map[string]string), lines: make(map[string]int)}
	r := &reader{Reader: strictyaml.Reader{Remedy: "imei-verifier config print prints one to start from"}, config: c, folder: filepath.Dir(in.Path)}
	r.defaults()
	if in.Path != "" {
		r.file(in.Text)
	}
	r.environment(in.Environment)
	r.flags(in.Flags)
	c.derive()
	if len(r.Mistakes) == 0 {
		r.check()
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", in.name(), err)
	}
	return c, nil
}

func (in *Input) name() string {
	if in.Path == "" {
		return "configuration"
	}
	return "configuration file " + in.Path
}

// derive fills in what depends on other settings and was not given.
func (c *Config) derive() {
	const busyAddress = 100 // requests a second: a carrier's NAT with some thousand devices behind it
	if !c.given("limits.rate") && !Loopback(c.Listen) {
		c.Limits.Rate = busyAddress
	}
	if !c.given("limits.burst") {
		c.Limits.Burst = max(1, int(2*c.Limits.Rate))
	}
	if c.Unnamed == nil {
		if c.Unnamed = []string{RoleDevice, RoleNetwork}; c.TLS.ClientCA != "" {
			c.Unnamed = []string{RoleDevice}
		}
	}
}

func (c *Config) given(key string) bool { return c.origins[key] != byDefault }

// Origin tells where a setting comes from, such as "default" or "line 3".
func (c *Config) Origin(key string) string { return c.origins[key] }

// Fixed lists the settings that differ between two configurations and that only a restart can change.
func Fixed(was, is *Config) (keys []string) {
	for _, s := range settings {
		if s.fixed && s.show(was) != s.show(is) {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// Keys are the settings that are one value, and their defaults; "" for none.
func Keys() map[string]string {
	keys := make(map[string]string)
	for _, s := range settings {
		keys[s.key] = s.initial
	}
	return keys
}

// EnvironmentName is the variable of a setting.
func EnvironmentName(key string) string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}
