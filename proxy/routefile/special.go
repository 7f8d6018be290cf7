package routefile

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Keys that are read in a way of their own: records, conditions, headers, and
// those with a short form.

type (
	dur    = time.Duration
	prefix = netip.Prefix
)

// named makes a mapping of names, each of which opens one U with the keys.
func named[T, U any](section func(*T) map[string]*U, open func(p *parser, dst *T, name string, key node) *U, keys []*Key, more ...func(*Key)) *Key {
	one := &Key{Name: "*", Kind: KindMapping, keys: keys, optional: true, open: same, get: same}
	for _, m := range more {
		m(one)
	}
	return &Key{Kind: KindNamed, keys: []*Key{one}, each: func(p *parser, dst any, name string, key node) any {
		return open(p, dst.(*T), name, key)
	}, all: func(src any) iter.Seq2[string, any] {
		records := section(src.(*T))
		return func(yield func(string, any) bool) {
			for _, name := range sortedNames(records) {
				if !yield(name, records[name]) {
					return
				}
			}
		}
	}}
}

// same is the destination of an entry, which its keys fill themselves.
func same(dst any) any { return dst }

// listOf makes a list of mappings.
func listOf[T, U any](list func(*T) []U, open func(p *parser, dst *T, item node) *U, item *Key) *Key {
	return &Key{Kind: KindList, keys: []*Key{item}, each: func(p *parser, dst any, _ string, n node) any {
		return open(p, dst.(*T), n)
	}, all: func(src any) iter.Seq2[string, any] {
		items := list(src.(*T))
		return func(yield func(string, any) bool) {
			for i := range items {
				if !yield("", &items[i]) {
					return
				}
			}
		}
	}}
}

// begin starts a record that stands in a section of the top level.
func (p *parser) begin(what, name string, key node) Record {
	p.record = recordOf(what, name)
	p.within = len(p.path)
	p.checkName(what, name, key)
	return Record{Name: name, Pos: p.file.pos(key)}
}

func (p *parser) checkName(what, name string, key node) {
	if err := checkName(name); err != nil {
		p.note(key, fmt.Sprintf("name %q of a %s: %v", yamledit.Clip(name), what, err))
	}
}

func newListener(p *parser, f *File, name string, key node) *Listener {
	l := &Listener{Record: p.begin("listener", name, key)}
	f.Listeners[name] = l
	return l
}

func newPool(p *parser, f *File, name string, key node) *Pool {
	pool := &Pool{Record: p.begin("pool", name, key), Backends: make(map[string]*Backend)}
	f.Pools[name] = pool
	return pool
}

func newBackend(p *parser, pool *Pool, name string, key node) *Backend {
	p.checkName("backend", name, key)
	b := &Backend{Record: Record{Name: name, Pos: p.file.pos(key)}}
	pool.Backends[name] = b
	return b
}

func newRoute(p *parser, f *File, name string, key node) *Route {
	r := &Route{Record: p.begin("route", name, key)}
	f.Routes[name] = r
	return r
}

// routesWritten runs when the key holds a mapping, be it an empty one.
func routesWritten(_ *parser, _ node, f *File) { f.RoutesWritten = true }

// newCertificate appends; the pointer is used before the next one grows the list.
func newCertificate(p *parser, t *ListenerTLS, item node) *CertificateFiles {
	t.Certificates = append(t.Certificates, CertificateFiles{Pos: p.file.pos(item)})
	return &t.Certificates[len(t.Certificates)-1]
}

// addressKey reads a listener's address; a socket's path is resolved against the routes file.
func addressKey() *Key {
	write := writes(func(l *Listener) *string { return &l.Address }, yamledit.TextNode)
	return &Key{Kind: KindText, write: write, set: func(p *parser, k *Key, n node, dst any) {
		if !p.wantText(n) || !p.passes(n, CheckAddress) {
			return
		}
		address := n.Value
		if socket, ok := strings.CutPrefix(address, "unix:"); ok {
			address = "unix:" + p.file.resolve(socket)
		}
		dst.(*Listener).Address = address
	}}
}

// versionKey accepts 1 alone: a file written for another format must not be half understood.
func versionKey() *Key {
	return &Key{Kind: KindWhole, Enum: []string{"1"}, set: func(p *parser, k *Key, n node, dst any) {
		if p.wantScalar(n) && (n.Value != k.Enum[0] || !isNumber(n)) {
			p.bad(n, "this release reads version 1: write version: 1")
		}
	}}
}

// plainSwitch reads true or false where unsaid is false.
func plainSwitch[T any](field func(*T) *bool) *Key {
	return &Key{Kind: KindSwitch, write: writes(field, word(strconv.FormatBool)), set: func(p *parser, k *Key, n node, dst any) {
		if on, ok := p.boolean(n); ok {
			*field(dst.(*T)) = on
		}
	}}
}

// targetKey reads a target with its position. get returns nil where there is none.
func targetKey[T any](parse func(string) (Target, error), get func(*T) *Target, put func(*T, Target)) *Key {
	write := func(src any) node {
		if t := get(src.(*T)); t != nil {
			return yamledit.TextNode(t.Raw)
		}
		return nil
	}
	return &Key{Kind: KindText, write: write, set: func(p *parser, k *Key, n node, dst any) {
		if !p.wantText(n) {
			return
		}
		t, err := parse(n.Value)
		if err != nil {
			p.bad(n, "%v", err)
		}
		t.Pos = p.file.pos(n)
		put(dst.(*T), t)
	}}
}

// finishRespond refuses a body where the status says that there is none (RFC 9110 section 6.4.1).
func finishRespond(p *parser, n node, r *Respond) {
	if r.Body != "" && (r.Status == 204 || r.Status == 304) {
		p.fail(childOf(n, "body"), "stands beside status %d, which has no body", r.Status)
	}
}

// statusKey reads one of a few statuses.
func statusKey[T any](field func(*T) *int, statuses ...int) *Key {
	words := strings.Fields(strings.Trim(fmt.Sprint(statuses), "[]"))
	return &Key{Kind: KindWhole, Enum: words, write: writes(field, word(strconv.Itoa)), set: func(p *parser, k *Key, n node, dst any) {
		if !p.wantScalar(n) {
			return
		}
		for i, word := range words {
			if n.Value == word && isNumber(n) {
				*field(dst.(*T)) = statuses[i]
				return
			}
		}
		p.bad(n, "wanted %s%s", oneOf(words), unquote(n))
	}}
}

func closeCodeKey() *Key {
	write := writes(func(d *DrainPolicy) *int { return &d.Code }, word(strconv.Itoa))
	return &Key{Kind: KindWhole, Min: 1000, Max: 4999, write: write, set: func(p *parser, k *Key, n node, dst any) {
		code, ok := p.number(n, k.Min, k.Max)
		if !ok {
			return
		}
		if err := checkCloseCode(code); err != nil {
			p.bad(n, "%v", err)
			return
		}
		dst.(*DrainPolicy).Code = code
	}}
}

// headerValues reads names to one value each, sorted by name.
func headerValues[T any](field func(*T) *[]Header) *Key {
	return headersOf(field, nil)
}

// headerEdits is headerValues where an empty mapping hides what the defaults say.
func headerEdits[T any](field func(*T) *[]Header) *Key {
	return headersOf(field, []Header{})
}

func headersOf[T any](field func(*T) *[]Header, empty []Header) *Key {
	k := values(func(t *T) { *field(t) = empty }, func(p *parser, dst *T, key, value node) {
		p.header(field(dst), key, value)
	})
	return sortedHeaders(k, field)
}

// headerLists reads names to one value or a list of values.
func headerLists[T any](field func(*T) *[]Header) *Key {
	start := func(t *T) { *field(t) = []Header{} }
	k := values(start, func(p *parser, dst *T, key, value node) {
		p.items(&Key{Kind: "value or a list of values", Filled: true}, value, func(item node) { p.header(field(dst), key, item) })
	})
	k.Kind = KindValueLists
	return sortedHeaders(k, field)
}

func (p *parser) header(list *[]Header, key, value node) {
	if err := checkEditedHeader(key.Value); err != nil {
		p.fail(key, "%v", err)
		return
	}
	if p.wantScalar(value) && p.passes(value, checkHeaderValue) {
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
		if !p.wantText(value) {
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
	if err := checkHostName(strings.TrimPrefix(from, ".")); err != nil {
		return err
	}
	if to == "" {
		return nil
	}
	return checkHostName(strings.TrimPrefix(to, "."))
}

func checkNotEmpty(s string) error {
	if s == "" {
		return errors.New("wanted a text that is not empty")
	}
	return nil
}

// afterwards adds a check across the keys of a mapping.
func afterwards[U any](f func(*parser, node, *U)) func(*Key) {
	return func(k *Key) {
		k.after = func(p *parser, _ *Key, n node, dst any) { f(p, n, dst.(*U)) }
	}
}

// eachCondition appends a condition; the pointer is used before the next one grows the list.
func eachCondition(check func(string) error, field func(*Match) *[]Condition) func(*parser, any, string, node) any {
	return func(p *parser, dst any, name string, key node) any {
		if err := check(name); err != nil {
			p.fail(key, "is no name here: %v", err)
		}
		list := field(dst.(*Match))
		*list = append(*list, Condition{Name: name})
		return &(*list)[len(*list)-1]
	}
}

// allConditions yields the conditions of a match, which are sorted by name.
func allConditions(field func(*Match) *[]Condition) func(src any) iter.Seq2[string, any] {
	return func(src any) iter.Seq2[string, any] {
		return func(yield func(string, any) bool) {
			list := *field(src.(*Match))
			for i := range list {
				if !yield(list[i].Name, &list[i]) {
					return
				}
			}
		}
	}
}

func sortConditions(field func(*Match) *[]Condition) func(*parser, node, *Match) {
	return func(_ *parser, _ node, m *Match) {
		slices.SortStableFunc(*field(m), func(a, b Condition) int { return strings.Compare(a.Name, b.Name) })
	}
}

// shortValue is a condition's value itself.
func shortValue(k *Key) {
	k.Short = []Short{{Kind: KindValue, Meaning: "the value is exactly this"}}
	k.short = func(p *parser, k *Key, n node, dst any) bool {
		if n.Kind != yamledit.ScalarNode || yamledit.IsNull(n) {
			return false
		}
		dst.(*Condition).Value = n.Value
		return true
	}
	k.write = func(src any) node {
		if c := src.(*Condition); c.Regex == "" && !c.Present {
			return yamledit.TextNode(c.Value)
		}
		return nil
	}
}

func presentKey() *Key {
	return onlyTrue(func(c *Condition) *bool { return &c.Present }, "a request without it cannot be asked for")
}

// shortKeepalive is `keepalive: off`: no pings.
func shortKeepalive(k *Key) {
	k.Short = []Short{{Kind: KindText, Enum: []string{"off"}, Meaning: "no pings"}}
	k.short = func(p *parser, k *Key, n node, dst any) bool {
		if n.Kind != yamledit.ScalarNode || n.Value != "off" {
			return false
		}
		k.open(dst).(*Keepalive).Ping = -1
		return true
	}
}

// shortRewrite is `rewrite_response: true` for the location alone, false for nothing at all.
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

// upgradeKey reads one of upgradeWords, another protocol, or a list of protocols.
func upgradeKey() *Key {
	return &Key{Kind: KindTexts, Short: []Short{{Kind: KindText, Meaning: "websocket, any, none, unchecked or one other protocol"}},
		write: func(src any) node {
			u := &src.(*Settings).Upgrade
			return textsOrWord(u.Mode, u.Protocols)
		},
		set: func(p *parser, k *Key, n node, dst any) {
			u := &dst.(*Settings).Upgrade
			if n.Kind == yamledit.ScalarNode && known(n.Value, upgradeWords) {
				*u = Upgrade{Mode: n.Value}
				return
			}
			*u = Upgrade{Mode: "list", Protocols: p.words(k, n, checkListedUpgrade)}
		}}
}

// originsKey reads same-host, any, one origin, or a list of origins.
func originsKey() *Key {
	return &Key{Kind: KindTexts, Short: []Short{{Kind: KindText, Meaning: "same-host, any or one origin"}},
		write: func(src any) node {
			o := &src.(*Settings).Origins
			return textsOrWord(o.Mode, o.Allow)
		},
		set: func(p *parser, k *Key, n node, dst any) {
			o := &dst.(*Settings).Origins
			if n.Kind == yamledit.ScalarNode && (n.Value == "same-host" || n.Value == "any") {
				*o = Origins{Mode: n.Value}
				return
			}
			*o = Origins{Mode: "list"}
			for _, origin := range p.words(k, n, checkOrigin) {
				o.Allow = append(o.Allow, strings.ToLower(origin)) // as browsers send them
			}
		}}
}

// words reads one text or a list of them.
func (p *parser) words(k *Key, n node, check func(string) error) []string {
	var list []string
	p.items(k, n, func(item node) {
		if p.wantText(item) && p.passes(item, check) {
			list = append(list, item.Value)
		}
	})
	return list
}
