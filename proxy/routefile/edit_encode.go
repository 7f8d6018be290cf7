package routefile

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// From records back to YAML, for those who hold a record and want it in the
// file. Only what a record says is written: a zero field is a key that is not there.

// EncodeRoute gives a route as Section.Set wants it, its keys in the order of
// the reference. Parsing the result gives an equal route, positions aside. Paths
// of files are written as the record has them; Parse resolves those of a
// file against its directory, so a parsed route's paths are no longer the ones written.
func EncodeRoute(r *Route) *yaml.Node {
	var f fieldNodes
	f.part("match", encodeMatch(&r.Match))
	if r.To != nil {
		f.text("to", r.To.text())
	}
	if r.Redirect != nil {
		f.add("redirect", encodeRedirect(r.Redirect))
	}
	if r.Respond != nil {
		f.add("respond", encodeRespond(r.Respond))
	}
	f.settings(&r.Settings)
	return f.mapping()
}

// EncodePool gives a pool as Section.Set wants it, its backends sorted by name.
func EncodePool(p *Pool) *yaml.Node {
	var f, backends fieldNodes
	f.text("balance", p.Balance)
	f.part("hash", encodeHash(&p.Hash))
	for _, name := range sortedNames(p.Backends) {
		backends.add(name, encodeBackend(p.Backends[name]))
	}
	if len(backends) > 0 || p.Resolve == nil {
		f.add("backends", backends.mapping())
	}
	if p.Sticky != nil {
		sticky := p.Sticky.encode()
		f.add("sticky", sticky.mapping())
	}
	f.part("health", encodeHealth(&p.Health))
	if p.Resolve != nil {
		f.add("resolve", encodeResolve(p.Resolve).mapping())
	}
	if p.Rebalance != nil {
		f.add("rebalance", encodeRebalance(p.Rebalance).mapping())
	}
	if p.Queue != nil {
		f.add("queue", encodeQueue(p.Queue).mapping())
	}
	return f.mapping()
}

// EncodeListener gives a listener as Section.Set wants it.
func EncodeListener(l *Listener) *yaml.Node {
	var f, limits fieldNodes
	f.text("address", l.Address)
	if l.TLS != nil {
		f.add("tls", encodeListenerTLS(l.TLS))
	}
	limits.duration("header_timeout", l.Limits.HeaderTimeout)
	limits.size("header_bytes", l.Limits.HeaderBytes)
	limits.count("headers", l.Limits.Headers)
	limits.count("connections", l.Limits.Connections)
	f.part("limits", limits)
	f.toggle("http2", l.HTTP2)
	return f.mapping()
}

func encodeListenerTLS(t *ListenerTLS) *yaml.Node {
	var f fieldNodes
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, c := range t.Certificates {
		var one fieldNodes
		one.text("certificate", c.Certificate)
		one.text("key", c.Key)
		list.Content = append(list.Content, one.mapping())
	}
	f.add("certificates", list)
	f.text("client_ca", t.ClientCA)
	return f.mapping()
}

func encodeHash(h *HashKey) fieldNodes {
	var f fieldNodes
	f.text("header", h.Header)
	f.text("cookie", h.Cookie)
	f.text("query", h.Query)
	f.text("capture", h.Capture)
	f.set("client", h.Client)
	return f
}

func encodeBackend(b *Backend) *yaml.Node {
	var f fieldNodes
	f.text("url", b.URL.text())
	f.count("weight", b.Weight)
	f.set("drain", b.Drain)
	f.set("disabled", b.Disabled)
	f.count("tier", b.Tier)
	f.set("spare", b.Spare)
	f.set("standby", b.Standby)
	f.count("max_tunnels", b.MaxTunnels)
	f.count("max_requests", b.MaxRequests)
	f.text("route", b.Route)
	f.part("tls", encodeTLS(&b.TLS))
	return f.mapping()
}

// text is a target as written, or composed of its parts.
func (t *Target) text() string {
	if t.Raw != "" {
		return t.Raw
	}
	text := t.Scheme + "://" + t.Host
	if strings.HasPrefix(t.Scheme, "unix+") && t.Path != "" {
		text += ":"
	}
	text += t.Path
	if t.Query != "" {
		text += "?" + t.Query
	}
	return text
}

func encodeMatch(m *Match) fieldNodes {
	var f fieldNodes
	f.text("listener", m.Listener)
	f.text("host", m.Host)
	f.text("path", m.Path)
	f.text("path_prefix", m.PathPrefix)
	f.text("path_regex", m.PathRegex)
	if m.Priority != 0 {
		f.add("priority", wordNode(strconv.Itoa(m.Priority)))
	}
	f.texts("methods", m.Methods)
	f.conditions("headers", m.Headers)
	f.conditions("query", m.Query)
	f.conditions("cookies", m.Cookies)
	f.text("upgrade", m.Upgrade)
	f.text("subprotocol", m.Subprotocol)
	f.networks("client", m.Client)
	return f
}

func encodeRedirect(r *Redirect) *yaml.Node {
	var f fieldNodes
	f.text("to", r.To)
	f.count("status", r.Status)
	return f.mapping()
}

func encodeRespond(r *Respond) *yaml.Node {
	var f, headers fieldNodes
	f.count("status", r.Status)
	f.text("body", r.Body)
	for _, h := range r.Headers {
		headers.add(h.Name, textNode(h.Value))
	}
	f.part("headers", headers)
	return f.mapping()
}

func (f *fieldNodes) settings(s *Settings) {
	switch s.Upgrade.Mode {
	case "list":
		f.texts("upgrade", s.Upgrade.Protocols)
	default:
		f.text("upgrade", s.Upgrade.Mode)
	}
	f.toggle("http_fallback", s.HTTPFallback)
	f.part("timeouts", encodeTimeouts(&s.Timeouts))
	f.part("keepalive", encodeKeepalive(&s.Keepalive))
	f.toggle("strict", s.Strict)
	f.texts("lenient", s.Lenient)
	f.part("limits", encodeLimits(&s.Limits))
	switch s.Origins.Mode {
	case "list":
		f.texts("origins", s.Origins.Allow)
	default:
		f.text("origins", s.Origins.Mode)
	}
	f.part("drain", encodeDrain(&s.Drain))
	f.part("headers", encodeHeaderEdits(&s.Headers))
	f.toggle("preserve_host", s.PreserveHost)
	f.text("forwarded", s.Forwarded)
	f.rewriting(&s.RewriteResponse)
	f.part("backend_tls", encodeTLS(&s.BackendTLS))
	f.part("retry", encodeRetry(&s.Retry))
	f.text("on_backend_loss", s.OnBackendLoss)
}

func encodeTimeouts(t *Timeouts) fieldNodes {
	var f fieldNodes
	f.duration("connect", t.Connect)
	f.duration("handshake", t.Handshake)
	f.duration("response", t.Response)
	f.duration("idle", t.Idle)
	f.duration("idle_from_client", t.IdleFromClient)
	f.duration("idle_from_backend", t.IdleFromBackend)
	f.duration("lifetime", t.Lifetime)
	f.duration("lifetime_jitter", t.LifetimeJitter)
	return f
}

func encodeKeepalive(k *Keepalive) fieldNodes {
	var f fieldNodes
	f.duration("ping", k.Ping)
	f.duration("pong", k.Pong)
	f.toggle("client", k.Client)
	f.toggle("backend", k.Backend)
	return f
}

func encodeLimits(l *Limits) fieldNodes {
	var f fieldNodes
	f.count("tunnels", l.Tunnels)
	f.count("tunnels_per_client", l.TunnelsPerClient)
	f.rate("handshakes_per_second", l.HandshakesPerSecond)
	f.size("message_size", l.MessageSize)
	f.size("frame_size", l.FrameSize)
	f.size("header_bytes", l.HeaderBytes)
	f.size("body_bytes", l.BodyBytes)
	return f
}

func encodeDrain(d *DrainPolicy) fieldNodes {
	var f fieldNodes
	f.duration("window", d.Window)
	f.count("code", d.Code)
	f.text("reason", d.Reason)
	f.duration("close_timeout", d.CloseTimeout)
	f.toggle("keep", d.Keep)
	return f
}

func encodeHeaderEdits(h *HeaderEdits) fieldNodes {
	var f fieldNodes
	f.part("request", encodeHeaderEdit(&h.Request))
	f.part("response", encodeHeaderEdit(&h.Response))
	return f
}

func encodeHeaderEdit(h *HeaderEdit) fieldNodes {
	var f fieldNodes
	f.headers("set", h.Set)
	f.headers("add", h.Add)
	f.texts("remove", h.Remove)
	return f
}

func encodeTLS(t *TLSSettings) fieldNodes {
	var f fieldNodes
	f.text("ca", t.CA)
	f.text("server_name", t.ServerName)
	f.text("certificate", t.Certificate)
	f.text("key", t.Key)
	f.toggle("insecure", t.Insecure)
	return f
}

// rewriting writes maps that were said, be they empty: those turn off what the defaults say.
func (f *fieldNodes) rewriting(r *Rewriting) {
	var part fieldNodes
	part.toggle("location", r.Location)
	part.textMap("cookie_path", r.CookiePath)
	part.textMap("cookie_domain", r.CookieDomain)
	f.part("rewrite_response", part)
}

// fieldNodes collects a mapping's keys and values.
type fieldNodes []*yaml.Node

func (f *fieldNodes) add(name string, value *yaml.Node) {
	*f = append(*f, nameNode(name), value)
}

func (f *fieldNodes) mapping() *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: *f}
}

// part adds a mapping that says something.
func (f *fieldNodes) part(name string, part fieldNodes) {
	if len(part) > 0 {
		f.add(name, part.mapping())
	}
}

// textNode is a text, wordNode what YAML makes of the word.
func textNode(s string) *yaml.Node { return nameNode(s) }
func wordNode(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

func (f *fieldNodes) text(name, value string) {
	if value != "" {
		f.add(name, textNode(value))
	}
}

func (f *fieldNodes) toggle(name string, s Switch) {
	if s != Unset {
		f.add(name, wordNode(strconv.FormatBool(s == On)))
	}
}

// set adds a switch that is on; off is unsaid.
func (f *fieldNodes) set(name string, on bool) {
	if on {
		f.add(name, wordNode("true"))
	}
}

func (f *fieldNodes) count(name string, n int) {
	if n != 0 {
		f.add(name, wordNode(FormatCount(n)))
	}
}

func (f *fieldNodes) rate(name string, r float64) {
	switch {
	case r < 0:
		f.add(name, wordNode("off"))
	case r > 0:
		f.add(name, wordNode(strconv.FormatFloat(r, 'f', -1, 64)))
	}
}

func (f *fieldNodes) duration(name string, d time.Duration) {
	if d != 0 {
		f.add(name, wordNode(FormatDuration(d)))
	}
}

func (f *fieldNodes) size(name string, n int64) {
	if n != 0 {
		f.add(name, wordNode(FormatSize(n)))
	}
}

// texts adds a list that was said, be it an empty one.
func (f *fieldNodes) texts(name string, list []string) {
	if list == nil {
		return
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, s := range list {
		n.Content = append(n.Content, textNode(s))
	}
	f.add(name, n)
}

func (f *fieldNodes) networks(name string, list []netip.Prefix) {
	if list == nil {
		return
	}
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	f.texts(name, texts)
}

func (f *fieldNodes) conditions(name string, list []Condition) {
	var all fieldNodes
	for _, c := range list {
		var one fieldNodes
		switch {
		case c.Regex != "":
			one.text("regex", c.Regex)
			all.part(c.Name, one)
		case c.Present:
			one.add("present", wordNode("true"))
			all.part(c.Name, one)
		default:
			all.add(c.Name, textNode(c.Value))
		}
	}
	f.part(name, all)
}

// headers adds names to a value each, or to a list where a name stands twice.
func (f *fieldNodes) headers(name string, list []Header) {
	if list == nil {
		return
	}
	var all fieldNodes
	for i, h := range list {
		same := func(o Header) bool { return o.Name == h.Name }
		if slices.ContainsFunc(list[:i], same) {
			continue
		}
		var values []string
		for _, o := range list[i:] {
			if same(o) {
				values = append(values, o.Value)
			}
		}
		if len(values) > 1 {
			all.texts(h.Name, values)
		} else {
			all.add(h.Name, textNode(h.Value))
		}
	}
	f.add(name, all.mapping())
}

func (f *fieldNodes) textMap(name string, m map[string]string) {
	if m == nil {
		return
	}
	var all fieldNodes
	for _, from := range sortedNames(m) {
		all.add(from, textNode(m[from]))
	}
	f.add(name, all.mapping())
}
