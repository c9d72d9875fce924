package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"imei-attest/verifier/strictyaml"
)

type reader struct {
	strictyaml.Reader
	config *Config
	folder string // of the file
}

func (r *reader) defaults() {
	for _, s := range settings {
		r.config.origins[s.key] = byDefault
		if s.initial == "" {
			continue
		}
		if err := s.set(r.config, s.initial); err != nil {
			panic(err) // a test reads the table
		}
	}
}

func (r *reader) file(text []byte) {
	root := r.Document(text)
	if root == nil {
		return
	}
	known := map[string]strictyaml.Field{
		"clients": r.List(r.client),
		"unnamed": r.unnamed,

		"s13_peers": r.List(r.peer),
	}
	groups := make(map[string]map[string]strictyaml.Field)
	for _, s := range settings {
		group, name, nested := strings.Cut(s.key, ".")
		switch {
		case !nested:
			known[s.key] = r.setting(s)
			continue
		case groups[group] == nil:
			groups[group] = make(map[string]strictyaml.Field)
			known[group] = r.Group(groups[group])
		}
		groups[group][name] = r.setting(s)
	}
	r.Fields(root, "", known)
}

func (r *reader) setting(s setting) strictyaml.Field {
	return func(value *yaml.Node, key string) {
		text, ok := r.Text(value, key)
		if !ok {
			return
		}
		if s.path && !filepath.IsAbs(text) {
			text = filepath.Join(r.folder, text)
		}
		r.config.lines[key] = value.Line
		r.set(s, text, value.Line, key, fmt.Sprintf("line %d", value.Line))
	}
}

// set gives a setting its value, or keeps a mistake at the place where it was given.
func (r *reader) set(s setting, text string, line int, place, origin string) {
	if err := s.set(r.config, text); err != nil {
		r.Wrong(line, place, "%v", err)
		return
	}
	r.config.origins[s.key] = origin
}

func (r *reader) environment(variables []string) {
	names := make(map[string]setting)
	for _, s := range settings {
		names[EnvironmentName(s.key)] = s
	}
	for _, variable := range variables {
		name, text, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, environmentPrefix) {
			continue
		}
		s, known := names[name]
		switch {
		case !known:
			r.Wrong(0, name, "is no setting%s", strictyaml.Meant(name, slices.Sorted(maps.Keys(names))))
		case strings.TrimSpace(text) == "":
			r.Wrong(0, name, "is empty: give a value, or unset the variable")
		default:
			r.set(s, text, 0, name, "environment "+name)
		}
	}
}

func (r *reader) flags(given map[string]string) {
	for _, s := range settings {
		if text, ok := given[s.key]; ok && s.flag {
			r.set(s, text, 0, "--"+s.key, "flag --"+s.key)
		}
	}
}

// unnamed: an empty list is none, and not the default.
func (r *reader) unnamed(value *yaml.Node, key string) {
	r.config.Unnamed = []string{}
	r.List(into(r, &r.config.Unnamed, role))(value, key)
}

// client reads one entry of clients.
func (r *reader) client(value *yaml.Node, key string) {
	var c Client
	before := len(r.Mistakes)
	r.Fields(value, key, map[string]strictyaml.Field{
		"name":         strictyaml.Into(&r.Reader, &c.Name, clientName),
		"certificates": r.List(into(r, &c.Certificates, certificateName)),
		"roles":        r.List(into(r, &c.Roles, role)),
		"rate":         strictyaml.Into(&r.Reader, &c.Rate, rate),
		"burst":        strictyaml.Into(&r.Reader, &c.Burst, strictyaml.Count),
	}, "name", "certificates", "roles")
	if len(r.Mistakes) > before {
		return
	}
	if c.Burst == 0 {
		c.Burst = max(1, int(2*c.Rate))
	}
	r.config.lines[key] = value.Line
	r.config.Clients = append(r.config.Clients, c)
}

// into adds an item to a list in which none stands twice.
func into(r *reader, to *[]string, parse func(string) (string, error)) strictyaml.Field {
	return func(value *yaml.Node, key string) {
		var item string
		before := len(r.Mistakes)
		strictyaml.Into(&r.Reader, &item, parse)(value, key)
		switch {
		case len(r.Mistakes) > before:
		case slices.Contains(*to, item):
			r.Wrong(value.Line, key, "%q stands twice: remove one", item)
		default:
			*to = append(*to, item)
		}
	}
}

func role(text string) (string, error) {
	if slices.Contains(Roles(), text) {
		return text, nil
	}
	return "", fmt.Errorf("unknown role %q%s", text, strictyaml.Meant(text, Roles()))
}

// clientName is a label of metrics, so it is short and plain.
func clientName(text string) (string, error) {
	const most = 32
	if len(text) > most || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", fmt.Errorf("%q: want at most %d small letters, digits and hyphens, such as pcscf-1", text, most)
	}
	return text, nil
}

func certificateName(text string) (string, error) {
	name, isDNS := strings.CutPrefix(text, "dns:")
	scheme, rest, isURI := strings.Cut(text, "://")
	if isDNS && name != "" && !strings.ContainsAny(name, "*/ ") || isURI && scheme != "" && rest != "" {
		return text, nil
	}
	return "", fmt.Errorf("%q names no certificate: want a URI such as spiffe://operator.example/pcscf, or dns: and a name, such as dns:pcscf.operator.example", text)
}
