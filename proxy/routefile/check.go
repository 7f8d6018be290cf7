package routefile

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Check: the mistakes that only show when records are looked at together. The
// bytes alone decide, so that a Terraform plan can ask the same question.

// Check returns every mistake of the files as one set, sorted, those that Parse
// found in each included: names and single keys that stand in two files, unknown
// pools and listeners, captures that a pattern lacks, routes that are ambiguous
// or that no request can reach. It reads nothing from the disk; see CheckFiles.
func Check(files ...*File) Errors {
	c := newChecker(files)
	c.single("trusted_proxies")
	c.single("shutdown")
	c.checkListeners()
	c.checkPools()
	c.checkRoutes()
	c.checkMatch()
	c.checkConsent()
	return tidy(c.errs)
}

// checker holds the set as it is looked at. Of a name that stands twice the
// first file's record counts.
type checker struct {
	files     []*File
	errs      []*Error
	hints     int // near names looked for
	listeners map[string]placed[*Listener]
	pools     map[string]placed[*Pool]
	routes    map[string]placed[*Route]
}

// placed is a record with the file it stands in.
type placed[T any] struct {
	file *File
	it   T
}

func newChecker(files []*File) *checker {
	c := &checker{files: byPath(files)}
	for _, f := range c.files {
		c.errs = append(c.errs, f.errs...)
	}
	c.listeners = gather(c, "listener", func(f *File) map[string]*Listener { return f.Listeners })
	c.pools = gather(c, "pool", func(f *File) map[string]*Pool { return f.Pools })
	c.routes = gather(c, "route", func(f *File) map[string]*Route { return f.Routes })
	return c
}

// gather puts a section's records of all files together and notes the names that stand in two.
func gather[T interface{ pos() Pos }](c *checker, what string, section func(*File) map[string]T) map[string]placed[T] {
	all := map[string]placed[T]{}
	for _, f := range c.files {
		for _, name := range sortedNames(section(f)) {
			it := section(f)[name]
			if before, twice := all[name]; twice {
				c.note(it.pos(), what+"s."+name, recordOf(what, name), "stands in two files, first at %s", before.it.pos())
				continue
			}
			all[name] = placed[T]{f, it}
		}
	}
	return all
}

func recordOf(what, name string) string { return fmt.Sprintf("%s %q", what, yamledit.Clip(name)) }

func (c *checker) note(pos Pos, key, record, format string, args ...any) {
	c.errs = append(c.errs, &Error{Pos: pos, Key: key, Record: record, Text: fmt.Sprintf(format, args...)})
}

// at notes a mistake at a key of a file, or at the longest beginning of it that is written.
func (c *checker) at(f *File, keys []string, record, format string, args ...any) {
	c.note(f.nearestPos(keys...), strings.Join(keys, "."), record, format, args...)
}

// single notes a key that may stand in one file of a set only.
func (c *checker) single(key string) {
	var first *File
	for _, f := range c.files {
		k := keyOf(f.node, key)
		switch {
		case k == nil:
		case first == nil:
			first = f
		default:
			c.note(f.pos(k), key, "", "%s stands in two files, first at %s", key, first.pos(keyOf(first.node, key)))
		}
	}
}

// checkConsent wants the key routes in some file: a set without any is more
// likely half-written than meant.
func (c *checker) checkConsent() {
	for _, f := range c.files {
		if f.RoutesWritten || f.node == nil {
			return
		}
	}
	if len(c.files) > 0 {
		f := c.files[0]
		c.note(f.nearestPos("routes"), "routes", "", "no routes: write routes: {} to serve nothing")
	}
}

func (c *checker) checkListeners() {
	ports := map[string]*port{}
	for _, name := range sortedNames(c.listeners) {
		l := c.listeners[name]
		if l.it.HTTP2 == On && l.it.TLS == nil {
			c.at(l.file, []string{"listeners", name, "http2"}, recordOf("listener", name), "http2 is offered in TLS only: add tls or leave it out")
		}
		if other := take(ports, l.it.Address, name); other != "" {
			c.at(l.file, []string{"listeners", name, "address"}, recordOf("listener", name),
				"address %q is taken by listener %q at %s", l.it.Address, other, c.listeners[other].it.Pos)
		}
	}
}

// port is who listens on one port, or one socket: by host, and on every address.
type port struct {
	hosts        map[string]string
	every, first string
}

// take gives an address to a listener, or names the one that has it already: an
// address without a host, 0.0.0.0 and :: are every address of the machine.
func take(ports map[string]*port, address, name string) (other string) {
	host, number, _ := splitPort(address)
	if strings.HasPrefix(address, "unix:") {
		host, number = "socket", address
	}
	if address == "" || number == "0" {
		return ""
	}
	p := ports[number]
	if p == nil {
		p = &port{hosts: map[string]string{}, first: name}
		ports[number] = p
	} else if isEveryAddress(host) {
		other = p.first
	}
	other = cmp.Or(p.hosts[host], p.every, other)
	if p.hosts[host] = name; isEveryAddress(host) {
		p.every = name
	}
	return other
}

func isEveryAddress(host string) bool { return host == "" || host == "0.0.0.0" || host == "[::]" }

func (c *checker) checkPools() {
	for _, name := range sortedNames(c.pools) {
		p := c.pools[name]
		if len(p.it.Backends) == 0 && p.it.Resolve == nil && !p.it.spoilt {
			c.at(p.file, []string{"pools", name, "backends"}, recordOf("pool", name), "backends is empty, wanted at least one")
		}
		c.checkBalance(p)
		c.checkBackends(p)
		c.checkRouteNames(p)
		c.checkSticky(p)
		c.checkHealth(p)
		c.checkResolve(p)
		c.checkRebalance(p)
	}
}

// checkBackends notes servers that stand twice: a tunnel knows its backend by pool, scheme and authority.
func (c *checker) checkBackends(p placed[*Pool]) {
	first := map[string]string{}
	for _, name := range sortedNames(p.it.Backends) {
		b := p.it.Backends[name]
		keys, record := []string{"pools", p.it.Name, "backends", name}, recordOf("pool", p.it.Name)
		if b.URL.Host == "" {
			continue
		}
		identity := b.URL.Scheme + "://" + b.URL.Host
		if before, twice := first[identity]; twice {
			c.at(p.file, append(keys, "url"), record, "backends.%s.url %q is backend %q too: every server stands once", name, b.URL.Raw, before)
			continue
		}
		first[identity] = name
		if b.Spare && b.Standby {
			c.at(p.file, append(keys, "standby"), record, "backends.%s is spare and standby: wanted one of them", name)
		}
		if b.TLS != (TLSSettings{}) && b.URL.Scheme != "wss" && b.URL.Scheme != "https" {
			c.at(p.file, append(keys, "tls"), record, "backends.%s.tls without effect: the scheme %s uses no TLS, wanted wss or https", name, b.URL.Scheme)
		}
	}
}

func (c *checker) checkRoutes() {
	for _, name := range sortedNames(c.routes) {
		r := c.routes[name]
		c.checkListenerOf(r)
		if r.it.To != nil {
			c.checkPoolOf(r)
			c.checkHashedCapture(r)
		}
		for _, t := range templatesOf(r.it) {
			if err := t.check(r.it.Match.pattern(), r.it.spoilt); err != nil {
				c.at(r.file, []string{"routes", name, t.key, t.below}, recordOf("route", name), "%s %q: %v", t.key, yamledit.Clip(t.raw), err)
			}
		}
	}
}

func (c *checker) checkListenerOf(r placed[*Route]) {
	name := r.it.Match.Listener
	_, found := c.listeners[name]
	if name == "" || found || len(c.listeners) == 0 && name == DefaultListener {
		return
	}
	names := sortedNames(c.listeners)
	if len(names) == 0 {
		names = []string{DefaultListener}
	}
	c.at(r.file, []string{"routes", r.it.Name, "match", "listener"}, recordOf("route", r.it.Name),
		"listener %q: unknown listener%s", name, didYouMeanOr(name, names))
}

func (c *checker) checkPoolOf(r placed[*Route]) {
	to := r.it.To
	if _, found := c.pools[to.Host]; to.Scheme != "pool" || found || checkName(to.Host) != nil {
		return
	}
	hint := ": there are no pools"
	if len(c.pools) > 0 {
		hint = c.hint(to.Host)
	}
	c.at(r.file, []string{"routes", r.it.Name, "to"}, recordOf("route", r.it.Name), "to %q: unknown pool %q%s", yamledit.Clip(to.Raw), to.Host, hint)
}

// maxHints bounds the search for near names: ten thousand unknown pools among
// ten thousand others would take minutes.
const maxHints = 100

// hint is the nearest pool's name, for the first mistakes of a set.
func (c *checker) hint(name string) string {
	if c.hints++; c.hints > maxHints {
		return ""
	}
	return didYouMean(name, sortedNames(c.pools))
}

// checkMatch compiles the conditions of all routes together.
func (c *checker) checkMatch() {
	rules := make([]rule, 0, len(c.routes))
	spoilt := map[string]bool{}
	for _, name := range sortedNames(c.routes) {
		r := c.routes[name].it
		rules, spoilt[name] = append(rules, r.rule()), r.spoilt
	}
	for _, p := range problemsOf(rules, spoilt) {
		r := c.routes[p.Rule]
		keys := []string{"routes", p.Rule, "match"}
		if p.Field != "" {
			keys = append(keys, strings.SplitN(p.Field, ".", 2)...)
		}
		c.at(r.file, keys, recordOf("route", p.Rule), "%s", p.Text)
		if p.Other != "" {
			c.errs[len(c.errs)-1].Other = recordOf("route", p.Other)
		}
	}
}
