package match

// The conditions on what a client wants to turn its connection into: the
// protocol and, for a WebSocket, the subprotocol.

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// upgradeIs is "any", "none" or a protocol in lower case.
type upgradeIs string

const (
	upgradeAny  upgradeIs = "any"
	upgradeNone upgradeIs = "none"
)

func compileUpgrade(s string) (condition, error) {
	protocol := httpsyntax.Lower(s)
	if name, version, ok := strings.Cut(protocol, "/"); ok && checkToken(name) == nil && checkToken(version) != nil {
		return nil, fmt.Errorf("upgrade %q: want a version after the slash", s)
	} else if err := checkToken(name); err != nil {
		return nil, fmt.Errorf("upgrade %q: want a protocol such as websocket, any or none", s)
	}
	if httpsyntax.NeverTunnelled(protocol) {
		return nil, fmt.Errorf("upgrade %q is never tunnelled: want another protocol, any or none", s)
	}
	return upgradeIs(protocol), nil
}

func (u upgradeIs) slot() string { return "upgrade" }

func (u upgradeIs) holds(r *Request) bool {
	switch u {
	case upgradeAny:
		return upgrades(r)
	case upgradeNone:
		return !upgrades(r)
	}
	return slices.Contains(r.Upgrade, string(u))
}

// upgrades does not count what is never tunnelled as an upgrade: Java's HttpClient
// offers h2c on every first request, and must still reach a route that asks for none.
func upgrades(r *Request) bool {
	for _, token := range r.Upgrade {
		if !httpsyntax.NeverTunnelled(token) {
			return true
		}
	}
	return false
}

func (u upgradeIs) why(r *Request) string {
	switch {
	case u == upgradeNone:
		return "upgrade none does not match Upgrade: " + strings.Join(r.Upgrade, ", ")
	case len(r.Upgrade) == 0:
		return fmt.Sprintf("upgrade %s: the request has no Upgrade header", string(u))
	}
	return fmt.Sprintf("upgrade %s does not match Upgrade: %s", string(u), strings.Join(r.Upgrade, ", "))
}

func (u upgradeIs) implies(other condition) bool {
	return u == other || u != upgradeNone && other == upgradeAny
}

func (u upgradeIs) meet(j *judgement, other condition, w *Request) decision {
	o := u
	if other != nil {
		o = other.(upgradeIs)
	}
	if u == upgradeNone || o == upgradeNone {
		return decide(u == o)
	}
	for _, protocol := range []upgradeIs{u, o} {
		if protocol != upgradeAny && !slices.Contains(w.Upgrade, string(protocol)) {
			w.Upgrade = append(w.Upgrade, string(protocol))
		}
	}
	if len(w.Upgrade) == 0 {
		w.Upgrade = []string{"websocket"}
	}
	return yes
}

// subprotocolOffered is a token that Sec-WebSocket-Protocol must offer (RFC
// 6455, section 4.1). A client may offer several, so two of these never
// exclude each other.
type subprotocolOffered string

const subprotocolHeader = "Sec-Websocket-Protocol" // canonical, as http.Header has it

func compileSubprotocol(s string) (condition, error) {
	if err := checkToken(s); err != nil {
		return nil, fmt.Errorf("subprotocol %w", err)
	}
	return subprotocolOffered(s), nil
}

func (s subprotocolOffered) slot() string                 { return "subprotocol" }
func (s subprotocolOffered) implies(other condition) bool { return s == other }

func (s subprotocolOffered) holds(r *Request) bool {
	for _, line := range r.Header[subprotocolHeader] {
		for line != "" {
			var token string
			token, line, _ = strings.Cut(line, ",")
			if strings.Trim(token, " \t") == string(s) {
				return true
			}
		}
	}
	return false
}

func (s subprotocolOffered) why(r *Request) string {
	if offered := r.Header[subprotocolHeader]; len(offered) > 0 {
		return fmt.Sprintf("subprotocol %s is not among those offered: %s", string(s), strings.Join(offered, ", "))
	}
	return fmt.Sprintf("subprotocol %s: the request offers none", string(s))
}

func (s subprotocolOffered) meet(j *judgement, other condition, w *Request) decision {
	offers := string(s)
	if other != nil && other != s {
		offers += ", " + string(other.(subprotocolOffered))
	}
	w.Header[subprotocolHeader] = []string{offers}
	return yes
}
