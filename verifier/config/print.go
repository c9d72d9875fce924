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
