// Sec-WebSocket-Extensions: its grammar (RFC 6455 section 9.1) and the
// parameters of permessage-deflate (RFC 7692 section 7.1).

package wsproto

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Extension is one element of Sec-WebSocket-Extensions.
type Extension struct {
	Name   string
	Params []Param
}

// Param is one parameter of an extension. A parameter without a value and one
// with an empty value differ, but the latter is no valid syntax: so Value is
// "" exactly where there is none.
type Param struct {
	Name  string
	Value string // unquoted
}

// String prints the extension as it stands in a header.
func (e Extension) String() string {
	var b strings.Builder
	b.WriteString(e.Name)
	for _, p := range e.Params {
		b.WriteString("; " + p.String())
	}
	return b.String()
}

// String prints the parameter as it stands in a header.
func (p Param) String() string {
	if p.Value == "" {
		return p.Name
	}
	return p.Name + "=" + p.Value
}

// ParseExtensions reads every Sec-WebSocket-Extensions line of h, in order.
// No line is no error; a line without any extension is.
func ParseExtensions(h http.Header) ([]Extension, error) {
	var all []Extension
	for _, line := range h["Sec-Websocket-Extensions"] {
		p := extensionParser{rest: line}
		list, err := p.list()
		if err != nil {
			return nil, fmt.Errorf("bad Sec-WebSocket-Extensions: %w", err)
		}
		if all = append(all, list...); len(all) > maxOffered {
			return nil, errors.New("too many extensions")
		}
	}
	return all, nil
}

// extensionParser reads one line from left to right.
type extensionParser struct{ rest string }

func (p *extensionParser) list() ([]Extension, error) {
	var list []Extension
	for p.space(); p.rest != ""; p.space() {
		if p.take(',') {
			continue // an empty element (RFC 9110 section 5.6.1.2)
		}
		ext, err := p.extension()
		if err != nil {
			return nil, err
		}
		list = append(list, ext)
		if p.space(); p.rest != "" && !p.take(',') {
			return nil, fmt.Errorf("%q where a comma was expected", p.rest[:1])
		}
	}
	if list == nil {
		return nil, errors.New("no extension")
	}
	return list, nil
}

func (p *extensionParser) extension() (Extension, error) {
	name, err := p.token()
	ext := Extension{Name: name}
	for err == nil {
		if p.space(); !p.take(';') {
			return ext, nil
		}
		var param Param
		param, err = p.param()
		ext.Params = append(ext.Params, param)
	}
	return Extension{}, err
}

func (p *extensionParser) param() (Param, error) {
	p.space()
	name, err := p.token()
	if err != nil {
		return Param{}, err
	}
	p.space()
	if !p.take('=') {
		return Param{Name: name}, nil
	}
	p.space()
	value, err := p.value()
	return Param{Name: name, Value: value}, err
}

// value is a token, plain or quoted: what is inside the quotes must be one,
// too (RFC 6455 section 9.1).
func (p *extensionParser) value() (string, error) {
	if !p.take('"') {
		return p.token()
	}
	var b strings.Builder
	for p.rest != "" {
		if p.take('"') {
			if !isToken(b.String()) {
				return "", fmt.Errorf("quoted value %q is no token", b.String())
			}
			return b.String(), nil
		}
		p.take('\\')
		if p.rest != "" {
			b.WriteByte(p.rest[0])
			p.rest = p.rest[1:]
		}
	}
	return "", errors.New("unclosed quote")
}

func (p *extensionParser) token() (string, error) {
	n := 0
	for n < len(p.rest) && isTokenByte(p.rest[n]) {
		n++
	}
	if n == 0 {
		return "", fmt.Errorf("%.1q where a token was expected", p.rest)
	}
	token := p.rest[:n]
	p.rest = p.rest[n:]
	return token, nil
}

func (p *extensionParser) space() { p.rest = strings.TrimLeft(p.rest, " \t") }

func (p *extensionParser) take(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// deflateName is the extension that owns RSV1 (RFC 7692 section 6).
const deflateName = "permessage-deflate"

// deflate holds permessage-deflate's parameters. A window is 8 to 15 bits; 0
// where the parameter is absent, and -1 where a client offers
// client_max_window_bits without a value.
type deflate struct {
	serverNoTakeover, clientNoTakeover bool
	serverBits, clientBits             int
}

// parseDeflate checks names, values and repetitions (RFC 7692 section 7.1).
// Only in an offer may client_max_window_bits stand without a value.
func parseDeflate(params []Param, offer bool) (deflate, error) {
	var d deflate
	for i, p := range params {
		if slices.ContainsFunc(params[:i], func(q Param) bool { return q.Name == p.Name }) {
			return d, fmt.Errorf("%s: %q repeated", deflateName, p.Name)
		}
		if !d.set(p, offer) {
			return d, fmt.Errorf("%s: bad parameter %q", deflateName, p)
		}
	}
	return d, nil
}

func (d *deflate) set(p Param, offer bool) bool {
	switch p.Name {
	case "server_no_context_takeover":
		d.serverNoTakeover = true
		return p.Value == ""
	case "client_no_context_takeover":
		d.clientNoTakeover = true
		return p.Value == ""
	case "server_max_window_bits":
		d.serverBits = windowBits(p.Value)
		return d.serverBits != 0
	case "client_max_window_bits":
		if d.clientBits = windowBits(p.Value); offer && p.Value == "" {
			d.clientBits = -1
		}
		return d.clientBits != 0
	}
	return false
}

// windowBits reads 8 to 15 without leading zeros; 0 for anything else.
func windowBits(s string) int {
	switch {
	case s == "8" || s == "9":
		return int(s[0] - '0')
	case len(s) == 2 && s[0] == '1' && '0' <= s[1] && s[1] <= '5':
		return 10 + int(s[1]-'0')
	}
	return 0
}

// answers reports whether a server may answer offer with d (RFC 7692 sections
// 7.1.1 and 7.1.2): what the client asked of the server is granted, and the
// client's window is limited only where it said that it can.
func (d deflate) answers(offer deflate) bool {
	switch {
	case offer.serverNoTakeover && !d.serverNoTakeover:
		return false
	case offer.serverBits != 0 && (d.serverBits == 0 || d.serverBits > offer.serverBits):
		return false
	case d.clientBits != 0 && offer.clientBits == 0:
		return false
	case offer.clientBits > 0 && d.clientBits > offer.clientBits:
		return false
	}
	return true
}
