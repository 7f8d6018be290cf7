package routefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Changes to headers, and rewriting of responses.

// Header is one header line to add or set.
type Header struct {
	Name  string
	Value string
}

// HeaderEdits changes headers of requests to the backend and of responses to the client
// (the 101 too): remove, then set, then add.
type HeaderEdits struct {
	Request  HeaderEdit
	Response HeaderEdit
}

// HeaderEdit is one direction of HeaderEdits.
type HeaderEdit struct {
	Set    []Header
	Add    []Header
	Remove []string
}

// Rewriting replaces the backend's own address in its responses, as ProxyPassReverse does.
type Rewriting struct {
	Location     Switch            // Location, Content-Location, URI
	CookiePath   map[string]string // backend path -> public path
	CookieDomain map[string]string // backend domain -> public domain ("" drops the attribute)
}

func headerEditsKeys() []*Key {
	return []*Key{
		key("request", "Headers of requests to the backend, upgrades included.",
			mapping(func(h *HeaderEdits) *HeaderEdit { return &h.Request }, headerEditKeys()...), example("{remove: [X-Debug]}")),
		key("response", "Headers of responses to the client, the 101 included.",
			mapping(func(h *HeaderEdits) *HeaderEdit { return &h.Response }, headerEditKeys()...), example("{set: {X-Frame-Options: DENY}}")),
	}
}

func headerEditKeys() []*Key {
	return []*Key{
		key("set", "Headers to set, replacing existing ones. "+placeholderHelp,
			headerEdits(func(h *HeaderEdit) *[]Header { return &h.Set }), example("{X-Env: prod}")),
		key("add", "Header lines to add to existing ones. "+placeholderHelp,
			headerLists(func(h *HeaderEdit) *[]Header { return &h.Add }), example("{Vary: [Origin, Cookie]}")),
		key("remove", "Headers to remove.",
			texts(func(h *HeaderEdit) *[]string { return &h.Remove }, checkEditedHeader), example("[X-Debug]")),
	}
}

func rewriteKeys() []*Key {
	return []*Key{
		key("location", "Replaces the backend by the proxy in Location, Content-Location and URI headers.",
			toggle(func(r *Rewriting) *Switch { return &r.Location }), byDefault("false"), example("true")),
		key("cookie_path", "Maps cookie paths of the backend to public paths.",
			textMap(func(r *Rewriting) *map[string]string { return &r.CookiePath }, checkCookiePath), example("{/app: /}")),
		key("cookie_domain", "Maps cookie domains of the backend to public domains; an empty one drops the attribute.",
			textMap(func(r *Rewriting) *map[string]string { return &r.CookieDomain }, checkCookieDomain), example("{backend.internal: example.com}")),
	}
}

// headerValues reads names to one value each, sorted by name. check is for the value,
// beyond the grammar of headers; nil accepts any.
func headerValues[T any](field func(*T) *[]Header, check func(string) error) *Key {
	return headersOf(field, nil, check)
}

// headerEdits is headerValues where an empty mapping overrides the defaults. The values
// may have placeholders.
func headerEdits[T any](field func(*T) *[]Header) *Key {
	return headersOf(field, []Header{}, checkText)
}

func headersOf[T any](field func(*T) *[]Header, empty []Header, check func(string) error) *Key {
	k := values(func(t *T) { *field(t) = empty }, func(p *parser, dst *T, key, value node) {
		p.header(field(dst), key, value, check)
	})
	return sortedHeaders(k, field)
}

// headerLists reads names to one value or a list of values.
func headerLists[T any](field func(*T) *[]Header) *Key {
	start := func(t *T) { *field(t) = []Header{} }
	k := values(start, func(p *parser, dst *T, key, value node) {
		p.items(&Key{Kind: "value or a list of values", Filled: true}, value, func(item node) { p.header(field(dst), key, item, checkText) })
	})
	k.Kind = KindValueLists
	return sortedHeaders(k, field)
}

func (p *parser) header(list *[]Header, key, value node, check func(string) error) {
	if err := checkEditedHeader(key.Value); err != nil {
		p.fail(key, "%v", err)
		return
	}
	if p.wantScalar(value) && p.passes(value, checkHeaderValue) && p.passes(value, check) {
		*list = append(*list, Header{Name: key.Value, Value: value.Value})
	}
}

// sortedHeaders sorts what k read by name, keeping the values of one name in order.
func sortedHeaders[T any](k *Key, field func(*T) *[]Header) *Key {
	set := k.set
	k.write = writes(field, headerMapping)
	k.set = func(p *parser, k *Key, n node, dst any) {
		set(p, k, n, dst)
		slices.SortStableFunc(*field(dst.(*T)), func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	}
	return k
}

// textMap reads texts to texts.
func textMap[T any](field func(*T) *map[string]string, check func(from, to string) error) *Key {
	start := func(t *T) { *field(t) = map[string]string{} }
	k := values(start, func(p *parser, dst *T, key, value node) {
		if !p.wantText(value, nil) {
			return
		}
		if err := check(key.Value, value.Value); err != nil {
			p.note(value, fmt.Sprintf("%s: %v", p.name(), err))
			return
		}
		(*field(dst))[key.Value] = value.Value
	})
	k.write = writes(field, textMapping)
	return k
}

func textMapping(texts map[string]string) node {
	var m yamledit.Mapping
	for _, from := range sortedNames(texts) {
		m.Add(from, yamledit.TextNode(texts[from]))
	}
	return m.Node()
}

// shortRewrite is `rewrite_response: true` for the location alone, false for nothing.
func shortRewrite(k *Key) {
	k.Short = []Short{{Kind: KindSwitch, Meaning: "true is {location: true}, false turns all of it off"}}
	k.short = func(p *parser, k *Key, n node, dst any) bool {
		if n.Kind != yamledit.ScalarNode || yamledit.IsNull(n) {
			return false
		}
		on, ok := p.boolean(n)
		r := k.open(dst).(*Rewriting)
		if ok {
			r.Location = switchOf(on)
		}
		if ok && !on {
			r.CookiePath, r.CookieDomain = map[string]string{}, map[string]string{}
		}
		return true
	}
}

// ownedHeaders are written only by the proxy: those that frame a message or belong to one
// connection (RFC 9110 section 7.6.1), and those of the handshake (RFC 6455 section 11.3).
var ownedHeaders = map[string]string{
	"connection": "belongs to one connection", "keep-alive": "belongs to one connection",
	"proxy-connection": "belongs to one connection", "proxy-authenticate": "belongs to one connection",
	"proxy-authorization": "belongs to one connection", "te": "belongs to one connection",
	"trailer": "belongs to one connection", "upgrade": "belongs to one connection",
	"http2-settings": "belongs to one connection", "transfer-encoding": "frames the message",
	"content-length": "frames the message", "host": "is set by the proxy: see preserve_host",
	"sec-websocket-key": "belongs to the handshake", "sec-websocket-accept": "belongs to the handshake",
	"sec-websocket-version": "belongs to the handshake", "sec-websocket-extensions": "belongs to the handshake",
	"sec-websocket-protocol": "belongs to the handshake",
}

// checkEditedHeader accepts the name of a header that a route may change.
func checkEditedHeader(s string) error {
	if err := checkToken(s); err != nil {
		return err
	}
	if why, owned := ownedHeaders[strings.ToLower(s)]; owned {
		return fmt.Errorf("cannot be changed: it %s", why)
	}
	return nil
}

// checkHeaderValue is RFC 9110 section 5.5: no control byte but a tab, no blanks at the ends.
func checkHeaderValue(s string) error {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("byte %#02x is not allowed in a header", c)
		}
	}
	if strings.Trim(s, " \t") != s {
		return errors.New("wanted no leading or trailing blanks")
	}
	return nil
}

func checkCookiePath(from, to string) error {
	if !isCookiePath(from) || !isCookiePath(to) {
		return errors.New("wanted two paths that begin with \"/\", without \";\", blanks or control bytes")
	}
	return nil
}

// isCookiePath is the path-value of RFC 6265 section 4.1.1.
func isCookiePath(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == ';' || r >= 0x7f })
}

func checkCookieDomain(from, to string) error {
	if err := httpsyntax.CheckHostName(strings.TrimPrefix(from, ".")); err != nil {
		return err
	}
	if to == "" {
		return nil
	}
	return httpsyntax.CheckHostName(strings.TrimPrefix(to, "."))
}
