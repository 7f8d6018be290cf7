package wsproto

// Which requests are attempts at a tunnel, and which are HTTP like any other.

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

const websocket = "websocket"

// Attempts says which requests of a route are attempts at a tunnel. Make it with
// NewAttempts; it is immutable.
type Attempts struct {
	mode      string
	protocols []string // "list": lower case
}

// NewAttempts returns the rule of a mode: "websocket", "list" (of protocols),
// "any", "none", or "unchecked", which asks neither Upgrade nor Connection.
func NewAttempts(mode string, protocols []string) Attempts {
	a := Attempts{mode: mode}
	for _, p := range protocols {
		a.protocols = append(a.protocols, httpsyntax.Lower(p))
	}
	return a
}

// Protocol returns the protocol that the request attempts to upgrade to, as the
// client spelled it, or "" when it is no attempt: then the request is HTTP, and
// whatever it says of upgrades is to be stripped.
func (a *Attempts) Protocol(r *http.Request) string {
	if a.mode == "unchecked" {
		if r.ProtoMajor == 1 && r.ProtoMinor == 1 {
			return websocket
		}
		return ""
	}
	if a.mode == "none" || !AsksUpgrade(r) {
		return ""
	}
	for token := range Tokens(r.Header, "Upgrade") {
		if a.allows(httpsyntax.Lower(token)) {
			return token
		}
	}
	return ""
}

// allows takes a token in lower case. The first that a route allows wins.
func (a *Attempts) allows(token string) bool {
	switch a.mode {
	case "any":
		return !httpsyntax.NeverTunnelled(token)
	case "list":
		return slices.Contains(a.protocols, token)
	}
	return token == websocket
}

// Offered is what a request without an attempt is told to upgrade to.
func (a *Attempts) Offered() string {
	if a.mode == "list" {
		return strings.Join(a.protocols, ", ")
	}
	return websocket
}

// UpgradeTokens are the tokens of the Upgrade header, in order, lower case; nil
// when there is none.
func UpgradeTokens(h http.Header) []string {
	if len(h["Upgrade"]) == 0 {
		return nil
	}
	tokens := ListTokens(h, "Upgrade")
	for i, token := range tokens {
		tokens[i] = httpsyntax.Lower(token)
	}
	return tokens
}
