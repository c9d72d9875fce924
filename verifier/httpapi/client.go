package httpapi

import "net/http"

// Client is who asks, as the listener knows him.
type Client struct {
	Name  string // for the log; empty for somebody of whom nothing is known
	Roles Role
}

// Role is what a client may do: a set of the roles below. The zero value may read what is for everybody.
type Role uint8

// The roles.
const (
	RoleDevice      Role = 1 << iota // challenge-response
	RoleNetwork                      // tells what the network saw: registrations, one-shot appraisal, results
	RoleChooseNonce                  // answers itself for a nonce's being new
	RoleEndorser                     // submits endorsements and reference values
	RoleAdmin                        // the operator's own interface
)

// String is the first role of the set, by its name in configurations and messages.
func (r Role) String() string {
	for i, name := range [...]string{"device", "network", "choose-nonce", "endorser", "admin"} {
		if r&(1<<i) != 0 {
			return name
		}
	}
	return "none"
}

// Anybody is for a listener that asks nobody who he is: whoever reaches it has the roles.
func Anybody(roles Role) func(*http.Request) Client {
	return func(*http.Request) Client { return Client{Roles: roles} }
}

// forbid refuses who lacks a role.
func forbid(w http.ResponseWriter, needed Role) {
	refuse(w, http.StatusForbidden, "this needs the role %s: let the verifier's operator give it to you", needed)
}
