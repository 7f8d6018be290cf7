package wsproto

// Which requests are attempts at a tunnel, and which are HTTP like any other.

import (
	"net/http"
	"slices"
	"strings"
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
		a.protocols = append(a.protocols, Lower(p))
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
		if a.allows(Lower(token)) {
			return token
		}
	}
	return ""
}

// allows takes a token in lower case. The first that a route allows wins.
func (a *Attempts) allows(token string) bool {
	switch a.mode {
	case "any":
		return !neverTunnelled(token)
	case "list":
		return slices.Contains(a.protocols, token)
	}
	return token == websocket
}

// neverTunnelled: what would replace HTTP by HTTP is never allowed, whatever
// version it names: a proxy that lets h2c or TLS through no longer sees the
// requests inside. Package match has the same rule for what counts as an upgrade.
func neverTunnelled(token string) bool {
	name, _, _ := strings.Cut(token, "/")
	switch name {
	case "h2c", "h2", "tls", "http":
		return true
	}
	return false
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
		tokens[i] = Lower(token)
	}
	return tokens
}
