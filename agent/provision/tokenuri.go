package provision

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
)

// TokenURI names a private key in a PKCS #11 token (RFC 7512 section 2.3).
type TokenURI struct {
	Module string // path of the token's library
	Token  string // label of the token
	Serial string // of the token; empty takes any
	Object string // label of the key
	ID     []byte // of the key
}

// ParseTokenURI reads a pkcs11: URI. An attribute that it does not know is an error, because it would choose another
// key than the one meant; so is a PIN, for a URI is shown and stored.
func ParseTokenURI(text string) (u TokenURI, err error) {
	rest, found := strings.CutPrefix(strings.TrimSpace(text), TokenScheme)
	if !found {
		return u, fmt.Errorf("a key in a token is named by a URI that begins with %s", TokenScheme)
	}
	path, query, _ := strings.Cut(rest, "?")
	attributes := append(strings.Split(path, ";"), strings.Split(query, "&")...)
	seen := make(map[string]bool)
	for _, attribute := range attributes {
		if attribute == "" {
			continue
		}
		name, encoded, _ := strings.Cut(attribute, "=")
		value, err := url.PathUnescape(encoded)
		if err != nil || seen[name] {
			return u, fmt.Errorf("%s URI: attribute %q is not well formed, or stands twice", TokenScheme, name)
		}
		seen[name] = true
		if err := u.set(name, value); err != nil {
			return u, err
		}
	}
	if u.Module == "" || u.Token == "" || u.Object == "" && len(u.ID) == 0 {
		return u, fmt.Errorf("%s URI: want token, object or id, and module-path, as in pkcs11:token=oem;object=nv?module-path=/usr/lib/softhsm/libsofthsm2.so", TokenScheme)
	}
	return u, nil
}

func (u *TokenURI) set(name, value string) error {
	switch name {
	case "token":
		u.Token = value
	case "serial":
		u.Serial = value
	case "object":
		u.Object = value
	case "id":
		u.ID = []byte(value)
	case "module-path":
		u.Module = value
	case "type":
		if value != "private" {
			return fmt.Errorf("%s URI: type=%s: a private key is wanted", TokenScheme, value)
		}
	case "pin-value", "pin-source":
		return fmt.Errorf("%s URI: %s: the PIN comes from --pin-file or the terminal", TokenScheme, name)
	default:
		return fmt.Errorf("%s URI: attribute %q is not known", TokenScheme, name)
	}
	return nil
}

// String names the key for people.
func (u TokenURI) String() string {
	if u.Object == "" {
		return u.Token + "/" + hex.EncodeToString(u.ID)
	}
	return u.Token + "/" + u.Object
}
