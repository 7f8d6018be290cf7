package routefile

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Listeners: the record, its keys and its checks.

// Listener is an address to accept connections on.
type Listener struct {
	Record
	Address string // "host:port", ":port", or "unix:/path"
	Mode    string // of a unix socket, in octal; "" is 0660
	Group   string // of a unix socket; "" is the process's
	TLS     *ListenerTLS
	Limits  ListenerLimits
	HTTP2   Switch // unset: On with TLS
}

// ListenerTLS terminates TLS on a listener.
type ListenerTLS struct {
	Certificates []CertificateFiles // chosen by SNI; the first is the default
	ClientCA     string             // PEM file; "" asks for no client certificate
}

// CertificateFiles names a PEM chain and its key, resolved against the routes file.
type CertificateFiles struct {
	Certificate string
	Key         string
	Pos         Pos `json:"-"`
}

// ListenerLimits limit a listener. Zero is the default.
type ListenerLimits struct {
	HeaderTimeout time.Duration // from the first byte of a head to its end
	HeaderBytes   int64         // request line and headers
	Headers       int           // header lines
	Connections   int           // open connections
}

// DefaultListener is the name of the listener of a set without listeners.
const DefaultListener = "web"

// DefaultAddress is its address.
const DefaultAddress = ":8080"

func listenerKeys() []*Key {
	return []*Key{
		key("address", "The address to listen on: host:port, :port for every address, or unix:/path. Port 0 takes any free port.",
			addressKey(), required, example(`"127.0.0.1:8080"`)),
		key("mode", "Permissions of the unix socket, in octal: what may write to it can connect. Defaults to 0660. With another kind of address it is refused.",
			value(func(l *Listener) *string { return &l.Mode }, checkSocketMode), example(`"0666"`)),
		key("group", "Group of the unix socket, by its name or number. The process must be a member of it. Defaults to the group of the process.",
			value(func(l *Listener) *string { return &l.Group }, checkGroupName), example("www-data")),
		key("tls", "Terminates TLS.",
			optional(func(l *Listener) **ListenerTLS { return &l.TLS }, listenerTLSKeys()...),
			example("{certificates: [{certificate: site.crt, key: site.key}]}")),
		key("limits", "Limits on connections and request heads, before a route is known.",
			mapping(func(l *Listener) *ListenerLimits { return &l.Limits }, listenerLimitKeys()...), example("{headers: 50}")),
		key("http2", "Offers HTTP/2 to clients. Needs TLS, and defaults to true with it.",
			toggle(func(l *Listener) *Switch { return &l.HTTP2 }), example("false")),
		reserved("proxy_protocol", "Networks that send a PROXY protocol header."),
	}
}

func listenerTLSKeys() []*Key {
	item := key("[]", "One certificate with its key.", mapping(self[CertificateFiles],
		key("certificate", "PEM file with the certificate and its chain.",
			file(func(c *CertificateFiles) *string { return &c.Certificate }), required, example("tls/site.crt")),
		key("key", "PEM file with the private key.",
			file(func(c *CertificateFiles) *string { return &c.Key }), required, example("tls/site.key")),
	), example("{certificate: site.crt, key: site.key}"))
	return []*Key{
		key("certificates", "Certificates, chosen by the client's server name (SNI); the first is the default. Changes of the files are loaded.",
			listOf(func(t *ListenerTLS) []CertificateFiles { return t.Certificates }, newCertificate, item), required, filled, example("[{certificate: site.crt, key: site.key}]")),
		key("client_ca", "PEM file of the CA certificates that must have signed client certificates. Clients without one are refused.",
			file(func(t *ListenerTLS) *string { return &t.ClientCA }), example("tls/clients.crt")),
	}
}

func listenerLimitKeys() []*Key {
	return []*Key{
		key("header_timeout", "Time limit for a request head, from its first byte to its end.",
			duration(func(l *ListenerLimits) *dur { return &l.HeaderTimeout }, false), byDefault("10s"), example("5s")),
		key("header_bytes", "Maximum size of a request head: request line and headers.",
			size(func(l *ListenerLimits) *int64 { return &l.HeaderBytes }, false), byDefault("32KiB"), example("16KiB")),
		key("headers", "Maximum number of header lines of a request.",
			count(func(l *ListenerLimits) *int { return &l.Headers }, false), byDefault("100"), example("50")),
		key("connections", "Maximum number of open connections.",
			count(func(l *ListenerLimits) *int { return &l.Connections }, false), byDefault("100000"), example("5000")),
	}
}

func newListener(p *parser, f *File, name string, key node) *Listener {
	l := &Listener{Record: p.begin("listener", name, key)}
	f.Listeners[name] = l
	return l
}

// newCertificate appends. The pointer is used before the next one grows the list.
func newCertificate(p *parser, t *ListenerTLS, item node) *CertificateFiles {
	t.Certificates = append(t.Certificates, CertificateFiles{Pos: p.file.pos(item)})
	return &t.Certificates[len(t.Certificates)-1]
}

// addressKey reads a listener's address; the path of a socket is relative to the routes file.
func addressKey() *Key {
	write := writes(func(l *Listener) *string { return &l.Address }, yamledit.TextNode)
	return &Key{Kind: KindText, write: write, set: func(p *parser, k *Key, n node, dst any) {
		if !p.wantText(n, CheckAddress) || !p.passes(n, CheckAddress) {
			return
		}
		address := n.Value
		if socket, ok := strings.CutPrefix(address, "unix:"); ok {
			address = "unix:" + p.file.resolve(socket)
		}
		dst.(*Listener).Address = address
	}}
}

// CheckAddress accepts a listener's address: "host:port", ":port" or "unix:/path".
// Its error says what was wanted.
func CheckAddress(s string) error {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return checkFilePath(path)
	}
	host, port, ported := httpsyntax.CutPort(s)
	if !ported || strings.Contains(s, "/") || host == "*" {
		return fmt.Errorf("wanted host:port, :port or unix:/path%s", instead(addressFor(s)))
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		if fix := addressFor(s); fix != "" {
			return fmt.Errorf("write an IPv6 address in brackets: %s", fix)
		}
		return checkAuthority(s)
	}
	if !isService(port) {
		return fmt.Errorf("port %q: wanted a number from 0 to 65535 or a service's name", port)
	}
	if host == "" {
		return nil
	}
	return checkAuthority(host)
}

// isService reports whether s is a port number, 0 for any free one, or could be the name
// of a service (RFC 6335 section 5.1), which only a machine can resolve.
func isService(s string) bool {
	if isDigits(s) {
		n, err := strconv.Atoi(s)
		return err == nil && n <= 65535
	}
	return s != "" && len(s) <= 15 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// filled returns a copy with all defaults.
func (l *Listener) filled() *Listener {
	c := *l
	c.Limits = overlay(c.Limits, builtIn.listener)
	if c.HTTP2 == Unset {
		c.HTTP2 = switchOf(c.TLS != nil)
	}
	return &c
}

func (c *checker) checkListeners() {
	ports := map[string]*port{}
	for _, name := range sortedNames(c.listeners) {
		l := c.listeners[name]
		if l.it.HTTP2 == On && l.it.TLS == nil {
			c.at(l.file, []string{"listeners", name, "http2"}, recordOf("listener", name), "http2 needs TLS: add tls or remove http2")
		}
		for key, value := range map[string]string{"mode": l.it.Mode, "group": l.it.Group} {
			if value != "" && l.it.Address != "" && !strings.HasPrefix(l.it.Address, "unix:") {
				c.at(l.file, []string{"listeners", name, key}, recordOf("listener", name), "%s is for unix sockets, and the address is %q: remove it", key, l.it.Address)
			}
		}
		if other := claimAddress(ports, l.it.Address, name); other != "" {
			c.at(l.file, []string{"listeners", name, "address"}, recordOf("listener", name),
				"address %q is already used by listener %q at %s", l.file.written(l.it.Address, "listeners", name, "address"), other, c.listeners[other].it.Pos)
		}
	}
}

// port has the listeners of one port or socket: by host, and on every address.
type port struct {
	hosts        map[string]string
	every, first string
}

// claimAddress gives an address to a listener, or returns the listener that has it already. An
// address without a host, 0.0.0.0 and :: are every address of the machine.
func claimAddress(ports map[string]*port, address, name string) (other string) {
	host, number, _ := httpsyntax.CutPort(address)
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
