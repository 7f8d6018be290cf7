// Sec-WebSocket-Extensions (RFC 6455 section 9.1) and the parameters of
// permessage-deflate (RFC 7692 section 7.1). Names are what the proxy compares;
// parameters are between the two ends, so that any syntax passes in them.

package wsproto

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// Extension is one element of Sec-WebSocket-Extensions.
type Extension struct {
	Name   string
	Params []Param
}

// Param is one parameter of an extension. Value is "" exactly where there is
// none: a parameter that is not of the form name or name=value, both of them
// tokens, is a Name, unchanged.
type Param struct {
	Name  string
	Value string // unquoted
}

// String prints the extension as in a header.
func (e Extension) String() string {
	var b strings.Builder
	b.WriteString(e.Name)
	for _, p := range e.Params {
		b.WriteString("; " + p.String())
	}
	return b.String()
}

// String prints the parameter as in a header.
func (p Param) String() string {
	if p.Value == "" {
		return p.Name
	}
	return p.Name + "=" + p.Value
}

// maxAgreed bounds the extensions of one answer, because each is compared with
// the others.
const maxAgreed = 64

var (
	errQuote             = errors.New("bad Sec-WebSocket-Extensions: unclosed quote")
	errTooManyExtensions = errors.New("too many extensions")
)

// extensionNames are the names of the extensions that are offered, in order.
func extensionNames(h http.Header) []string {
	var names []string
	for _, line := range h["Sec-Websocket-Extensions"] {
		for more := true; more; {
			var element string
			element, line, more, _ = cutUnquoted(line, ',')
			name, _, _ := strings.Cut(element, ";")
			if name = httpsyntax.TrimOWS(name); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// parseExtensions reads what an answer agrees to. Empty elements and empty lines
// are none. The error is of a line whose elements cannot be told apart.
func parseExtensions(h http.Header) ([]Extension, error) {
	var all []Extension
	for _, line := range h["Sec-Websocket-Extensions"] {
		for more := true; more; {
			var element string
			var closed bool
			element, line, more, closed = cutUnquoted(line, ',')
			switch element = httpsyntax.TrimOWS(element); {
			case !closed:
				return nil, errQuote
			case element == "":
			case len(all) == maxAgreed:
				return nil, errTooManyExtensions
			default:
				all = append(all, parseExtension(element))
			}
		}
	}
	return all, nil
}

func parseExtension(element string) Extension {
	name, rest, more, _ := cutUnquoted(element, ';')
	ext := Extension{Name: httpsyntax.TrimOWS(name)}
	for more {
		var param string
		param, rest, more, _ = cutUnquoted(rest, ';')
		ext.Params = append(ext.Params, parseParam(httpsyntax.TrimOWS(param)))
	}
	return ext
}

func parseParam(text string) Param {
	name, value, _ := strings.Cut(text, "=")
	name, value = httpsyntax.TrimOWS(name), httpsyntax.TrimOWS(value)
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	if !httpsyntax.IsToken(name) || !httpsyntax.IsToken(value) {
		return Param{Name: text}
	}
	return Param{Name: name, Value: value}
}

// cutUnquoted cuts s at the first sep that is not in a quoted string (RFC 9110
// section 5.6.4). closed says that before ends no quoted string in the middle.
func cutUnquoted(s string, sep byte) (before, after string, found, closed bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && s[i] == sep:
			return s[:i], s[i+1:], true, true
		}
	}
	return s, "", false, !quoted
}

// deflateName is the extension that owns RSV1 (RFC 7692 section 6).
const deflateName = "permessage-deflate"

// forgets reports whether permessage-deflate with these parameters, as an answer
// has them, keeps nothing from one message to the next either way. A parameter
// that is unknown, has a value that it cannot have, or occurs twice may mean
// anything.
func forgets(params []Param) bool {
	server, client := false, false
	for i, p := range params {
		if slices.ContainsFunc(params[:i], func(q Param) bool { return q.Name == p.Name }) {
			return false
		}
		switch p.Name {
		case "server_no_context_takeover":
			server = p.Value == ""
		case "client_no_context_takeover":
			client = p.Value == ""
		case "server_max_window_bits", "client_max_window_bits":
			if !isWindowBits(p.Value) {
				return false
			}
		default:
			return false
		}
	}
	return server && client
}

// isWindowBits accepts 8 to 15 without leading zeros (RFC 7692 section 7.1.2).
func isWindowBits(s string) bool {
	return s == "8" || s == "9" || len(s) == 2 && s[0] == '1' && '0' <= s[1] && s[1] <= '5'
}
