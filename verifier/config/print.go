package config

import (
	"fmt"
	"io"
	"strings"
)

// Effective writes the configuration as a file that gives the same, with a comment where each value comes from. Mask is applied to
// each value: what looks like a secret must not get into a terminal's log because it was put into the wrong place.
func (c *Config) Effective(w io.Writer, mask func(string) string) error {
	var b strings.Builder
	open := "" // the group that was begun
	for _, s := range settings {
		group, name, nested := strings.Cut(s.key, ".")
		shown := s.show(c)
		if shown == "" {
			fmt.Fprintf(&b, "# %s: none\n", s.key)
			continue
		}
		line := group + ": " + quote(mask(shown))
		if nested {
			line = "  " + name + ": " + quote(mask(shown))
		}
		if nested && group != open {
			fmt.Fprintf(&b, "%s:\n", group)
			open = group
		}
		fmt.Fprintf(&b, "%-50s # %s\n", line, c.origins[s.key])
	}
	fmt.Fprintf(&b, "unnamed: [%s]\n", strings.Join(c.Unnamed, ", "))
	c.printClients(&b, mask)
	c.printPeers(&b, mask)
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Config) printClients(b *strings.Builder, mask func(string) string) {
	if len(c.Clients) > 0 {
		b.WriteString("clients:\n")
	}
	for _, client := range c.Clients {
		var certificates []string
		for _, name := range client.Certificates {
			certificates = append(certificates, quote(mask(name)))
		}
		fmt.Fprintf(b, "  - name: %s\n    certificates: [%s]\n    roles: [%s]\n    rate: %v\n    burst: %d\n", quote(client.Name), strings.Join(certificates, ", "),
			strings.Join(client.Roles, ", "), client.Rate, client.Burst)
	}
}

// quote writes a text so that YAML reads the same.
func quote(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-./_") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// Sample writes a file with every setting, each that is not needed at its default and commented out.
func (c *Config) Sample(w io.Writer) error {
	var b strings.Builder
	open := ""
	for _, s := range settings {
		group, name, nested := strings.Cut(s.key, ".")
		shown, mark := s.show(c), "# "
		if c.given(s.key) {
			mark = ""
		}
		if nested && group != open {
			fmt.Fprintf(&b, "# %s:\n", group)
			open = group
		}
		if !nested {
			name = group
		} else {
			mark += "  "
		}
		if shown != "" {
			shown = " " + quote(shown)
		}
		b.WriteString(mark + name + ":" + shown + "\n")
	}
	b.WriteString(sampleLists)
	_, err := io.WriteString(w, b.String())
	return err
}

// sampleLists has the default of unnamed where there is no tls.client_ca.
const sampleLists = `# unnamed: [device, network] # with tls.client_ca: [device]
# clients:
#   - name: pcscf-1
#     certificates: ["spiffe://operator.example/pcscf", "dns:pcscf.operator.example"]
#     roles: [network]
#     rate: 500
# s13_peers:
#   - host: mme1.epc.mnc001.mcc001.3gppnetwork.org
#     addresses: [192.0.2.7]
#   - host: dra.epc.mnc001.mcc001.3gppnetwork.org
#     certificate: "dns:dra.epc.mnc001.mcc001.3gppnetwork.org"
`
