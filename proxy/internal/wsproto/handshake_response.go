// The opening handshake as a client sees it: what a backend's 101 must look
// like before a byte is tunnelled (RFC 6455 section 4.1; RFC 9110 section 7.8).

package wsproto

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// Offer is what the request asked for as it was sent to the backend. It must
// be made from that request, not from the client's: the proxy may have changed
// the key or the extensions.
type Offer struct {
	Key        string
	Protocols  []string
	Extensions []string // names
	Lenient    Lenient
}

// OfferOf reads the offer from the request's header as sent to the backend.
func OfferOf(h http.Header, l Lenient) Offer {
	return Offer{
		Key:        h.Get("Sec-WebSocket-Key"),
		Protocols:  ListTokens(h, "Sec-WebSocket-Protocol"),
		Extensions: extensionNames(h),
		Lenient:    l,
	}
}

// Agreed is what a verified 101 has settled.
type Agreed struct {
	Protocol   string // "" for none
	Extensions []Extension
	// RSV are the reserved bits that the agreed extensions own: 0x40 for
	// permessage-deflate; all three (0x70) when an extension that is not known
	// here was agreed, since it may use any of them.
	RSV byte
}

// Same reports whether two backends have agreed to the same, so that a client of one
// may continue with the other.
func (a Agreed) Same(b Agreed) bool {
	return a.Protocol == b.Protocol && a.RSV == b.RSV && slices.EqualFunc(a.Extensions, b.Extensions, Extension.same)
}

// same compares without regard to the order of parameters, which means nothing.
func (e Extension) same(other Extension) bool {
	return e.Name == other.Name && len(e.Params) == len(other.Params) &&
		!slices.ContainsFunc(e.Params, func(p Param) bool { return !slices.Contains(other.Params, p) })
}

// Forgets reports whether no extension remembers anything from one message to the
// next, either way: none at all, or permessage-deflate without context takeover
// (RFC 7692 section 7.1.1). Of other extensions, and of parameters that are not
// known here, nothing is known.
func (a Agreed) Forgets() bool {
	for _, ext := range a.Extensions {
		if ext.Name != deflateName || !forgets(ext.Params) {
			return false
		}
	}
	return true
}

// CheckResponse verifies a backend's answer to a WebSocket handshake. Only
// when it returns no error may a tunnel begin; the error says which check
// failed.
//
// Whatever h says of a body means nothing: a 101 ends with its head (RFC 9112
// section 6.3), and servers do send Content-Length: 0 or Transfer-Encoding. Not to
// pass them on is for the caller.
func CheckResponse(status int, h http.Header, o Offer) (Agreed, error) {
	if status != http.StatusSwitchingProtocols {
		return Agreed{}, fmt.Errorf("status %d, wanted 101", status)
	}
	if err := CheckUpgradeResponse(h, "websocket"); err != nil {
		return Agreed{}, err
	}
	if err := checkAccept(h, o.Key); err != nil {
		return Agreed{}, err
	}
	protocol, err := agreedProtocol(h, o)
	if err != nil {
		return Agreed{}, err
	}
	exts, rsv, err := agreedExtensions(h, o.Extensions)
	if err != nil {
		return Agreed{}, err
	}
	return Agreed{Protocol: protocol, Extensions: exts, RSV: rsv}, nil
}

// CheckUpgradeResponse verifies what every 101 must have, WebSocket or not:
// Upgrade is exactly the one protocol that was asked for, and Connection has the
// token upgrade.
func CheckUpgradeResponse(h http.Header, token string) error {
	upgrade := ListTokens(h, "Upgrade")
	switch {
	case len(upgrade) == 0:
		return fmt.Errorf("no Upgrade in the 101, wanted %q", token)
	case len(upgrade) > 1 || !httpsyntax.EqualFold(upgrade[0], token):
		return fmt.Errorf("the 101's Upgrade is %q, wanted %q", upgrade, token)
	case !httpsyntax.HasToken(h["Connection"], "upgrade"):
		return errors.New("no Connection: upgrade in the 101")
	}
	return nil
}

func checkAccept(h http.Header, key string) error {
	lines := h["Sec-Websocket-Accept"]
	switch want := AcceptKey(key); {
	case len(lines) == 0:
		return errors.New("no Sec-WebSocket-Accept in the 101")
	case len(lines) > 1:
		return errors.New("more than one Sec-WebSocket-Accept in the 101")
	case lines[0] != want:
		return fmt.Errorf("Sec-WebSocket-Accept %q in the 101, wanted %q", lines[0], want)
	}
	return nil
}

// agreedProtocol compares byte by byte, as browsers do: RFC 6455 section 4.1
// asks for one of the offered names and says nothing of case. An empty line
// chooses none.
func agreedProtocol(h http.Header, o Offer) (string, error) {
	chosen := ""
	for _, line := range h["Sec-Websocket-Protocol"] {
		switch {
		case line == "":
		case chosen != "":
			return "", errors.New("more than one Sec-WebSocket-Protocol in the 101")
		case !slices.Contains(o.Protocols, line) && !(o.Lenient.Subprotocol && httpsyntax.IsToken(line)):
			return "", fmt.Errorf("subprotocol %q in the 101 was not offered", line)
		default:
			chosen = line
		}
	}
	return chosen, nil
}

// agreedExtensions verifies the names alone. Which parameters answer which offer
// is between the two ends, whose rules differ from RFC 7692 in practice.
func agreedExtensions(h http.Header, offered []string) (exts []Extension, rsv byte, err error) {
	exts, err = parseExtensions(h)
	if err != nil {
		return nil, 0, err
	}
	for i, ext := range exts {
		switch {
		case slices.ContainsFunc(exts[:i], ext.sameName):
			return nil, 0, fmt.Errorf("extension %q twice in the 101", ext.Name)
		case !slices.Contains(offered, ext.Name):
			return nil, 0, fmt.Errorf("extension %q in the 101 was not offered", ext.Name)
		}
		rsv |= reservedBits(ext.Name)
	}
	return exts, rsv, nil
}

func (e Extension) sameName(other Extension) bool { return e.Name == other.Name }

func reservedBits(extension string) byte {
	if extension == deflateName {
		return 0x40
	}
	return 0x70
}
