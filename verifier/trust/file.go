package trust

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"go.yaml.in/yaml/v4"
)

// File is one manufacturer's file as written: every value is text, and nothing is checked before [File.Anchor] or
// [File.Encode]. Keys are PEM, digests and key ids hex.
type File struct {
	Issuer            string   `yaml:"issuer"`
	OEMID             string   `yaml:"oemid"`
	CredentialKeys    []string `yaml:"credential_keys"` // a block CERTIFICATE stands for the key in it
	NVKey             string   `yaml:"nv_key"`
	BootKey           string   `yaml:"boot_key"`
	BootKeyStandby    string   `yaml:"boot_key_standby"`
	TACs              []string `yaml:"tacs"` // 8 digits each, two with a hyphen for a range, or "*" alone
	StorageKinds      []string `yaml:"storage_kinds"`
	Models            []Model  `yaml:"models,omitempty"`
	DeniedTPMFirmware []string `yaml:"denied_tpm_firmware,omitempty"` // 0x and 16 hex digits each
	Revoked           Revoked  `yaml:"revoked,omitempty"`
	Development       bool     `yaml:"development,omitempty"`
}

// Model is the reference values of one model (RFC 9334 section 8.3).
type Model struct {
	HWModel  string   `yaml:"hwmodel" json:"hwmodel"` // as [FormatHWModel] writes it
	Firmware []string `yaml:"firmware" json:"firmware"`
}

// Revoked is what the manufacturer vouches for no longer.
type Revoked struct {
	Credentials    []string        `yaml:"credentials,omitempty" json:"credentials,omitempty"`         // SHA-256, 64 hex digits
	DeviceKeys     []string        `yaml:"device_keys,omitempty" json:"device_keys,omitempty"`         // key ids, 32 hex digits
	CredentialKeys []string        `yaml:"credential_keys,omitempty" json:"credential_keys,omitempty"` // key ids of keys that stay in [File.CredentialKeys]
	Firmware       []FirmwareRange `yaml:"firmware,omitempty" json:"firmware,omitempty"`
}

// FirmwareRange is revisions of the firmware of devices, both ends included.
type FirmwareRange struct {
	TACs string `yaml:"tacs" json:"tacs"` // 8 digits, or two with a hyphen
	From string `yaml:"from" json:"from"`
	To   string `yaml:"to" json:"to"`
}

// maxFileBytes has room for the digests of some 100 000 revoked credentials.
const maxFileBytes = 8 << 20

// ReadFile reads a manufacturer's file. What stands in it is as [File.Anchor] demands.
func ReadFile(path string) (*File, error) {
	raw, err := readBounded(path)
	if err != nil {
		return nil, inFile(path, err)
	}
	f, err := decode(raw)
	if err == nil {
		_, err = f.Anchor()
	}
	if err != nil {
		return nil, inFile(path, err)
	}
	return f, nil
}

func inFile(path string, err error) error { return fmt.Errorf("trust file %s: %w", path, err) }

// readBounded opens no pipe or device, which would keep it waiting.
func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(raw) > maxFileBytes {
		err = fmt.Errorf("it has more than %d bytes", maxFileBytes)
	}
	return raw, err
}

const header = "# Anchor of a manufacturer, for the trust folder of a verifier. Written by a program, which keeps no other comment.\n"

// Encode writes the file, always in the same order and without the comments it was read with. What [File.Anchor]
// refuses is not written.
func (f *File) Encode() ([]byte, error) {
	if _, err := f.Anchor(); err != nil {
		return nil, err
	}
	body, err := yaml.Dump(f)
	if err == nil && len(header)+len(body) > maxFileBytes {
		err = fmt.Errorf("the file would have more than %d bytes", maxFileBytes)
	}
	if err != nil {
		return nil, err
	}
	return append([]byte(header), body...), nil
}

// decode refuses unknown keys, keys that stand twice, keys and entries without a value, and anything but one document.
func decode(raw []byte) (*File, error) {
	var tree yaml.Node
	if err := yaml.Load(raw, &tree, yaml.WithUniqueKeys()); err != nil {
		return nil, inPlainWords(err)
	}
	if line := lineOfNothing(&tree); line > 0 {
		return nil, fmt.Errorf("line %d: a value is missing: write it, or remove the key or the entry", line)
	}
	f := new(File)
	if err := tree.Load(f, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return nil, inPlainWords(err)
	}
	return f, nil
}

// lineOfNothing finds a null, which YAML reads where a value was forgotten and Go would read as an empty one.
func lineOfNothing(n *yaml.Node) int {
	if n.ShortTag() == "!!null" {
		return n.Line
	}
	for _, child := range n.Content {
		if line := lineOfNothing(child); line > 0 {
			return line
		}
	}
	return 0
}

// plainWords are for what the YAML library says in names of Go.
var plainWords = []struct {
	says  *regexp.Regexp
	means string
}{
	{regexp.MustCompile(`(?s)^field (.*) not found in type \S+$`), `unknown key "$1"`},
	{regexp.MustCompile(`(?s)^mapping key (".*") already defined at line (\d+)$`), `the key $1 stands in line $2 already`},
	{regexp.MustCompile(`(?s)^cannot construct !!(\w+) ?.* into \[\]\S+$`), "want a list, not !!$1"},
	{regexp.MustCompile(`(?s)^cannot construct !!(\w+) ?.* into string$`), "want a text, not !!$1"},
	{regexp.MustCompile(`(?s)^cannot construct !!(\w+) ?.* into bool$`), "want true or false, not !!$1"},
	{regexp.MustCompile(`(?s)^cannot construct !!(\w+) ?.* into \S+$`), "want keys with values, not !!$1"},
	{regexp.MustCompile(`^yaml: no documents in stream$`), "the file is empty"},
	{regexp.MustCompile(`^yaml: `), ""},
}

// inPlainWords is the first of the library's complaints, with its line.
func inPlainWords(err error) error {
	var first *yaml.LoadError
	if !errors.As(err, &first) {
		return err
	}
	text := first.Message
	for _, w := range plainWords {
		text = w.says.ReplaceAllString(text, w.means)
	}
	if first.Mark.Line > 0 {
		text = fmt.Sprintf("line %d: %s", first.Mark.Line, text)
	}
	return errors.New(text)
}
