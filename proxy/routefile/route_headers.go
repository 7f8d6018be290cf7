package routefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Changes to headers, and rewriting of responses.

// Header is one header line to add or set.
type Header struct {
	Name  string
	Value string
	File  string // instead of Value: the file that holds it; see HeaderValue
}

// HeaderEdits changes headers of requests to the backend and of responses to the client
// (the 101 too): remove, then set, then add, then default.
type HeaderEdits struct {
	Request  HeaderEdit
	Response HeaderEdit
}

// HeaderEdit is one direction of HeaderEdits.
type HeaderEdit struct {
	Set     []Header
	Add     []Header
	Default []Header // where there is none of the name
	Remove  []string
}

// QueryEdit changes the query of requests to the backend.
type QueryEdit struct {
	Remove []string // names of parameters
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
			mapping(func(h *HeaderEdits) *HeaderEdit { return &h.Request }, headerEditKeys("Headers to set, replacing existing ones. Host is the requested host, whatever preserve_host says.", settableInRequest)...), example("{remove: [X-Debug]}")),
		key("response", "Headers of responses to the client, the 101 included.",
			mapping(func(h *HeaderEdits) *HeaderEdit { return &h.Response }, headerEditKeys("Headers to set, replacing existing ones.", checkEditedHeader)...), example("{set: {X-Frame-Options: DENY}}")),
	}
}

func headerEditKeys(set string, checkSet func(string) error) []*Key {
	return []*Key{
		key("set", set+" "+placeholderHelp,
			headerEdits(func(h *HeaderEdit) *[]Header { return &h.Set }, checkSet), example("{X-Env: prod}")),
		key("add", "Header lines to add to existing ones. "+placeholderHelp,
			headerLists(func(h *HeaderEdit) *[]Header { return &h.Add }), example("{Vary: [Origin, Cookie]}")),
		key("default", "Headers to set where there are none of that name. "+placeholderHelp,
			headerEdits(func(h *HeaderEdit) *[]Header { return &h.Default }, checkEditedHeader), example("{Cache-Control: no-store}")),
		key("remove", "Headers to remove.",
			texts(func(h *HeaderEdit) *[]string { return &h.Remove }, checkEditedHeader), example("[X-Debug]")),
	}
}

// namedHeaders is a list of headers with the keys that lead to it.
type namedHeaders struct {
	keys []string
	list []Header
}

func (s *Settings) headerLists() []namedHeaders {
	request, response := &s.Headers.Request, &s.Headers.Response
	return []namedHeaders{
		{[]string{"headers", "request", "set"}, request.Set},
		{[]string{"headers", "request", "add"}, request.Add},
		{[]string{"headers", "request", "default"}, request.Default},
		{[]string{"headers", "response", "set"}, response.Set},
		{[]string{"headers", "response", "add"}, response.Add},
		{[]string{"headers", "response", "default"}, response.Default},
	}
}

func queryEditKeys() []*Key {
	return []*Key{
		key("remove", "Names of query parameters that the backend does not get. Conditions, sticky sessions and hashes see them all the same.",
			texts(func(q *QueryEdit) *[]string { return &q.Remove }, checkNotEmpty), example("[token]")),
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
	return headersOf(field, nil, headerRule{checkEditedHeader, check})
}

// headerEdits is headerValues where an empty mapping overrides the defaults. The values
// may have placeholders.
func headerEdits[T any](field func(*T) *[]Header, checkName func(string) error) *Key {
	return headersOf(field, []Header{}, headerRule{checkName, checkText})
}

func headersOf[T any](field func(*T) *[]Header, empty []Header, rule headerRule) *Key {
	k := values(func(t *T) { *field(t) = empty }, func(p *parser, dst *T, key, value node) {
		p.header(field(dst), key, value, rule)
	})
	return sortedHeaders(k, field)
}

// headerLists reads names to one value or a list of values.
func headerLists[T any](field func(*T) *[]Header) *Key {
	start := func(t *T) { *field(t) = []Header{} }
	rule := headerRule{checkEditedHeader, checkText}
	k := values(start, func(p *parser, dst *T, key, value node) {
		if value.Kind == yamledit.MappingNode {
			p.header(field(dst), key, value, rule)
			return
		}
		p.items(&Key{Kind: "value, {file: PATH} or a list of them", Filled: true}, value, func(item node) { p.header(field(dst), key, item, rule) })
	})
	k.Kind = KindValueLists
	return sortedHeaders(k, field)
}

// headerRule is what the names and values of a key's headers may be.
type headerRule struct {
	name, value func(string) error
}

func (p *parser) header(list *[]Header, key, value node, rule headerRule) {
	if err := rule.name(key.Value); err != nil {
		p.fail(key, "%v", err)
		return
	}
	h := Header{Name: key.Value}
	switch {
	case value.Kind == yamledit.MappingNode && isHost(h.Name):
		p.fail(value, "cannot be read from a file")
	case value.Kind == yamledit.MappingNode:
		if p.headerFile(value, &h); h.File != "" {
			*list = append(*list, h)
		}
	case p.wantScalar(value) && p.passes(value, checkHeaderValue) && p.passes(value, rule.value) && (!isHost(h.Name) || p.passes(value, checkHostValue)):
		h.Value = value.Value
		*list = append(*list, h)
	}
}

// headerFileKey reads {file: PATH}.
var headerFileKey = mapping(self[Header], key("file", "", file(func(h *Header) *string { return &h.File }), required))

func init() { headerFileKey.finish("") }

func (p *parser) headerFile(n node, h *Header) { p.mapping(headerFileKey, n, h) }

func isHost(name string) bool { return strings.EqualFold(name, "host") }

// checkHostValue accepts a host with an optional port. With placeholders, only a request
// shows it.
func checkHostValue(s string) error {
	text, err := match.ParseText(s)
	if err != nil {
		return err
	}
	if literal, ok := text.Literal(); ok {
		return checkAuthority(literal)
	}
	return nil
}

// HeaderValue is the value that a file holds for a header: its text, without the newline at
// its end. The error says nothing of the text.
func HeaderValue(data []byte) (string, error) {
	value := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case value == "":
		return "", errors.New("is empty")
	case len(value) > maxHeaderFile:
		return "", fmt.Errorf("has %d bytes, wanted at most %d", len(value), maxHeaderFile)
	}
	return value, checkHeaderValue(value)
}

// maxHeaderFile is as much as most servers accept of a line.
const maxHeaderFile = 8 << 10

// sortedHeaders sorts what k read by name, keeping the values of one name in order.
func sortedHeaders[T any](k *Key, field func(*T) *[]Header) *Key {
	set := k.set
	k.Files = true
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
	"content-length": "frames the message", "host": "is always sent, and once: see headers.request.set and preserve_host",
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

// settableInRequest is checkEditedHeader for headers that replace those of a request.
func settableInRequest(s string) error {
	if isHost(s) {
		return nil
	}
	return checkEditedHeader(s)
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
