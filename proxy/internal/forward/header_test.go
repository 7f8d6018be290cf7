package forward

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/x509"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/match"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// lines is a header as sorted text.
func lines(h http.Header) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			out = append(out, name+": "+value)
		}
	}
	return strings.Join(out, "\n")
}

// header reads lines as net/http does.
func header(t testing.TB, text string) http.Header {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(
		"GET / HTTP/1.1\r\nHost: h\r\n" + strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r.Header
}

var (
	stranger = Client{Addr: netip.MustParseAddrPort("192.0.2.7:4711"), Host: "chat.example.com"}
	neighbor = Client{Addr: netip.MustParseAddrPort("10.0.0.1:4711"), Host: "chat.example.com", Trusted: true}
)

func reported(c *Client) {
	c.Reported = Reported{For: []netip.Addr{netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("10.0.0.2")}, Proto: "https", Host: "public"}
}

func with(c Client, change func(*Client)) Client {
	change(&c)
	return c
}

func TestRequestHeader(t *testing.T) {
	const told = "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: chat.example.com\nX-Forwarded-Proto: http\nX-Real-Ip: 192.0.2.7\nX-Request-Id: id"
	for _, tt := range []struct {
		name     string
		policy   Policy
		client   Client
		in, want string
	}{
		{name: "plain", client: stranger, in: "Accept: x\nAccept: y\nCookie: a=b",
			want: "Accept: x\nAccept: y\nCookie: a=b\n" + told},
		{name: "hop by hop", client: stranger,
			in:   "Connection: close, X-Mine, , keep-alive\nKeep-Alive: 1\nProxy-Connection: x\nTe: gzip\nTrailer: A\nUpgrade: h2c\nHTTP2-Settings: AAA\nProxy-Authorization: x\nProxy-Authenticate: y\nX-Mine: 1\nX-Other: 2",
			want: strings.Replace(told, "X-Real-Ip", "X-Other: 2\nX-Real-Ip", 1)},
		{name: "two connection lines", client: stranger, in: "Connection: a\nConnection: b\nA: 1\nB: 2\nC: 3", want: "C: 3\n" + told},
		{name: "underscores", client: stranger, in: "Transfer_Encoding: chunked\nContent_Length: 3\nkeep_alive: 1\nX_Mine: 1", want: told + "\nX_mine: 1"},
		{name: "trailers", client: stranger, in: "Te: gzip;q=0.5, Trailers", want: "Te: trailers\n" + told},
		{name: "what Connection cannot name", client: stranger,
			in:   "Connection: cookie, Authorization, host, content-length, content-type, x-forwarded-for, X-Request-Id, Origin, sec-websocket-key\nCookie: a=b\nAuthorization: c\nContent-Type: d\nOrigin: e\nSec-Websocket-Key: f",
			want: "Authorization: c\nContent-Type: d\nCookie: a=b\nOrigin: e\nSec-Websocket-Key: f\n" + told},
		{name: "claims", client: stranger,
			in: "X-Forwarded-For: 1.1.1.1\nX_Forwarded_For: 1.1.1.1\nX-Forwarded_For: 1.1.1.1\nx-forwarded-PROTO: https\nX-Forwarded-Port: 1\nX-Forwarded-Prefix: /a\nX-Forwarded-Anything: 1\n" +
				"X-Forwarded: x\nForwarded: for=1.1.1.1\nX-Real-Ip: 1.1.1.1\nX_Real_IP: 1.1.1.1\nClient-Cert: :AAAA:\nClient_Cert: x\nClient-Cert-Chain: :AAAA:\nX-Request-Id: mine\nX_Request_Id: mine",
			want: told},
		{name: "a trusted proxy's", client: neighbor,
			in:   "X-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 2.2.2.2\nX-Forwarded-Proto: https\nX-Forwarded-Host: public\nX-Forwarded-Port: 1\nX-Real-Ip: 1.1.1.1\nForwarded: for=1.1.1.1\nClient-Cert: :AAAA:\nX-Request-Id: theirs\nX_Forwarded_For: 3.3.3.3",
			want: "Client-Cert: :AAAA:\nForwarded: for=1.1.1.1\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1\nX-Forwarded-Host: public\nX-Forwarded-Port: 1\nX-Forwarded-Proto: https\nX-Real-Ip: 1.1.1.1\nX-Request-Id: theirs"},
		{name: "a trusted proxy's names", client: neighbor, in: "Connection: X-Forwarded-For\nX-Forwarded-For: 1.1.1.1",
			want: "X-Forwarded-For: 1.1.1.1, 10.0.0.1\nX-Forwarded-Host: chat.example.com\nX-Forwarded-Proto: http\nX-Real-Ip: 10.0.0.1\nX-Request-Id: id"},
		{name: "a trusted proxy's bad id", client: neighbor, policy: Policy{Forwarded: ForwardedOff}, in: "X-Request-Id: a b", want: "X-Request-Id: id"},
		{name: "a trusted proxy's Forwarded", client: with(neighbor, reported), in: "Forwarded: for=1.1.1.1;proto=https;host=public, for=10.0.0.2",
			want: "Forwarded: for=1.1.1.1;proto=https;host=public, for=10.0.0.2\nX-Forwarded-For: 1.1.1.1, 10.0.0.2, 10.0.0.1\nX-Forwarded-Host: public\nX-Forwarded-Proto: https\nX-Real-Ip: 1.1.1.1\nX-Request-Id: id"},
		{name: "a trusted proxy's empty line", client: with(neighbor, reported), in: "X-Forwarded-For:\nX-Forwarded-For: 1.1.1.1, 10.0.0.2\nX-Real-Ip:\nX-Real-Ip: 6.6.6.6",
			want: "X-Forwarded-For: , 1.1.1.1, 10.0.0.2, 10.0.0.1\nX-Forwarded-Host: public\nX-Forwarded-Proto: https\nX-Real-Ip: 1.1.1.1\nX-Request-Id: id"},
		{name: "a trusted proxy's empty line of Forwarded", client: with(neighbor, reported), policy: Policy{Forwarded: ForwardedRFC7239}, in: "Forwarded:\nForwarded: for=1.1.1.1",
			want: "Forwarded: , for=1.1.1.1, for=10.0.0.1;host=chat.example.com;proto=http\nX-Request-Id: id"},
		{name: "a trusted proxy's client's X-Real-IP", client: with(neighbor, reported), in: "X-Forwarded-For: 1.1.1.1, 10.0.0.2\nX-Real-Ip: 6.6.6.6",
			want: "X-Forwarded-For: 1.1.1.1, 10.0.0.2, 10.0.0.1\nX-Forwarded-Host: public\nX-Forwarded-Proto: https\nX-Real-Ip: 1.1.1.1\nX-Request-Id: id"},
		{name: "a trusted proxy's X-Forwarded", client: with(neighbor, reported), policy: Policy{Forwarded: ForwardedRFC7239},
			in: "X-Forwarded-For: 1.1.1.1, 10.0.0.2\nX-Forwarded-Proto: https\nX-Forwarded-Host: public",
			want: "Forwarded: for=1.1.1.1;host=public;proto=https, for=10.0.0.2, for=10.0.0.1;host=chat.example.com;proto=http\n" +
				"X-Forwarded-For: 1.1.1.1, 10.0.0.2\nX-Forwarded-Host: public\nX-Forwarded-Proto: https\nX-Request-Id: id"},
		{name: "a trusted proxy's X-Forwarded-Proto alone", client: with(neighbor, func(c *Client) { c.Reported.Proto = "https" }),
			policy: Policy{Forwarded: ForwardedRFC7239}, in: "X-Forwarded-Proto: https",
			want: "Forwarded: for=unknown;proto=https, for=10.0.0.1;host=chat.example.com;proto=http\nX-Forwarded-Proto: https\nX-Request-Id: id"},
		{name: "TLS", client: with(stranger, func(c *Client) { c.Secure = true }),
			want: strings.Replace(told, "http", "https", 1)},
		{name: "IPv6", client: with(stranger, func(c *Client) { c.Addr = netip.MustParseAddrPort("[fe80::1%eth0]:1") }),
			want: strings.ReplaceAll(told, "192.0.2.7", "fe80::1")},
		{name: "IPv4 in IPv6", client: with(stranger, func(c *Client) { c.Addr = netip.MustParseAddrPort("[::ffff:192.0.2.7]:1") }), want: told},
		{name: "unix socket", client: Client{Host: "h"}, want: "X-Forwarded-Host: h\nX-Forwarded-Proto: http\nX-Request-Id: id"},
		{name: "off", client: stranger, policy: Policy{Forwarded: ForwardedOff}, in: "X-Forwarded-For: 1.1.1.1", want: "X-Request-Id: id"},
		{name: "off, trusted", client: neighbor, policy: Policy{Forwarded: ForwardedOff}, in: "X-Forwarded-For: 1.1.1.1", want: "X-Forwarded-For: 1.1.1.1\nX-Request-Id: id"},
		{name: "rfc7239", client: stranger, policy: Policy{Forwarded: ForwardedRFC7239}, in: "Forwarded: for=1.1.1.1",
			want: "Forwarded: for=192.0.2.7;host=chat.example.com;proto=http\nX-Request-Id: id"},
		{name: "rfc7239, trusted", client: neighbor, policy: Policy{Forwarded: ForwardedRFC7239}, in: "Forwarded: for=1.1.1.1",
			want: "Forwarded: for=1.1.1.1, for=10.0.0.1;host=chat.example.com;proto=http\nX-Request-Id: id"},
		{name: "rfc7239, IPv6 and port", policy: Policy{Forwarded: ForwardedRFC7239},
			client: Client{Addr: netip.MustParseAddrPort("[2001:db8::1]:5"), Host: "[2001:db8::2]:8443", Secure: true},
			want:   `Forwarded: for="[2001:db8::1]";host="[2001:db8::2]:8443";proto=https` + "\nX-Request-Id: id"},
		{name: "rfc7239, nobody", policy: Policy{Forwarded: ForwardedRFC7239}, client: Client{Host: `a"b\c`},
			want: `Forwarded: for=unknown;host="a\"b\\c";proto=http` + "\nX-Request-Id: id"},
		{name: "certificate", policy: Policy{Forwarded: ForwardedOff}, in: "Client-Cert: :forged:",
			client: Client{Certificate: &x509.Certificate{Raw: []byte{0xff, 0xee}}}, want: "Client-Cert: :/+4=:\nX-Request-Id: id"},
		{name: "edits", client: stranger,
			policy: Policy{Forwarded: ForwardedOff, Request: HeaderEdit{
				Remove: []string{"cookie", "X-Request-ID"}, Set: []Header{{Name: "x-a", Value: "1"}, {Name: "Host", Value: "ignored here"}}, Add: []Header{{Name: "X-A", Value: "2"}, {Name: "X-B", Value: "3"}},
			}},
			in: "Cookie: a=b\nX-A: old", want: "X-A: 1\nX-A: 2\nX-B: 3"},
		{name: "defaults", client: stranger,
			policy: Policy{Forwarded: ForwardedOff, Request: HeaderEdit{
				Remove: []string{"X-Request-Id", "x-c"}, Set: []Header{{Name: "X-B", Value: "set"}},
				Default: []Header{{Name: "x-a", Value: "1"}, {Name: "X-B", Value: "1"}, {Name: "X-C", Value: "1"}, {Name: "X-D", Value: "1"}, {Name: "X-E", Value: "1"}},
			}},
			in: "X-A: theirs\nX-C: removed\nX_D: an alias\nX-E:", want: "X-A: theirs\nX-B: set\nX-C: 1\nX-D: 1\nX-E: "},
		{name: "edits and underscores", client: stranger,
			policy: Policy{Forwarded: ForwardedOff, Request: HeaderEdit{
				Remove: []string{"X-Role", "X-Request-Id"}, Set: []Header{{Name: "X-User", Value: "me"}, {Name: "x_key", Value: "k"}}, Add: []Header{{Name: "X-Tag", Value: "t"}},
			}},
			in: "X_User: forged\nx-user: forged\nX_ROLE: admin\nX-Key: forged\nX_Tag: kept\nX_Userx: kept", want: "X-Tag: t\nX-User: me\nX_key: k\nX_tag: kept\nX_userx: kept"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := &http.Request{Header: header(t, tt.in)}
			before := in.Header.Clone()
			if got := lines(tt.policy.RequestHeader(in, tt.client, "id")); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if lines(in.Header) != lines(before) {
				t.Error("the client's own header was changed")
			}
		})
	}
}

func TestResponseHeader(t *testing.T) {
	p := Policy{Response: HeaderEdit{Remove: []string{"server"}, Set: []Header{{Name: "X-Frame-Options", Value: "DENY"}}, Add: []Header{{Name: "Vary", Value: "Origin"}}}}
	h := header(t, "Connection: upgrade, X-Hop, set-cookie\nUpgrade: websocket\nX-Hop: 1\nServer: s\nVary: Accept\nX-Frame-Options: a\nX-Frame-Options: b\nSet-Cookie: a=b\nKeep-Alive: timeout=5\nProxy-Authenticate: x")
	p.ResponseHeader(h)
	if got, want := lines(h), "Set-Cookie: a=b\nVary: Accept\nVary: Origin\nX-Frame-Options: DENY"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// text is the compiled form of a header's value.
func text(t *testing.T, source string) *match.Text {
	t.Helper()
	parsed, err := match.ParseText(source)
	if err != nil {
		t.Fatal(err)
	}
	return &parsed
}

func TestPolicyFor(t *testing.T) {
	plain := &Policy{Request: HeaderEdit{Set: []Header{{Name: "A", Value: "b"}}}}
	if p, err := plain.For(func() *match.Values { t.Error("values are asked for"); return nil }); p != plain || err != nil {
		t.Errorf("a policy without placeholders becomes another one (%v)", err)
	}
	filled := &Policy{
		Request: HeaderEdit{
			Set:     []Header{{Name: "A", Text: text(t, "{client}")}, {Name: "B", Text: text(t, "{user}")}, {Name: "C", Value: "c"}},
			Add:     []Header{{Name: "D", Text: text(t, "{user}")}, {Name: "E", Text: text(t, "<{user}>")}},
			Default: []Header{{Name: "F", Text: text(t, "{host}")}, {Name: "G", Text: text(t, "{user}")}},
		},
		Response: HeaderEdit{Set: []Header{{Name: "H", Text: text(t, "{scheme}")}}},
	}
	p, err := filled.For(func() *match.Values { return &match.Values{Client: "192.0.2.7", Host: "h", Scheme: "http"} })
	if err != nil {
		t.Fatal(err)
	}
	h := p.RequestHeader(&http.Request{Header: header(t, "A: forged\nB: forged\nb: too\nD: theirs\nG: theirs")}, Client{}, "")
	h.Del("X-Forwarded-Proto")
	if got, want := lines(h), "A: 192.0.2.7\nC: c\nD: theirs\nE: <>\nF: h\nG: theirs"; got != want {
		t.Errorf("the request has\n%s\nwant\n%s", got, want)
	}
	back := http.Header{}
	if p.ResponseHeader(back); lines(back) != "H: http" {
		t.Errorf("the response has %v", back)
	}
	if filled.Request.Set[0].Value != "" || len(filled.Request.Remove) > 0 {
		t.Error("the route's own policy was changed")
	}
}

// A Host that placeholders have made no host is the client's mistake.
func TestPolicyForHost(t *testing.T) {
	for host, good := range map[string]bool{"inner.example": true, "[::1]": true, "a b": false, "a:b:c": false, "a/b": false, "": true} {
		p := &Policy{Request: HeaderEdit{Set: []Header{{Name: "host", Text: text(t, "{host}")}}}}
		got, err := p.For(func() *match.Values { return &match.Values{Host: host} })
		if (err == nil) != good {
			t.Errorf("%q: %v", host, err)
		}
		b := upstream.NewBackend(upstream.BackendKey{Pool: "p", Scheme: "ws", Authority: "10.0.0.1:9000"})
		if want := cmp.Or(host, "10.0.0.1:9000"); good && got.RequestHost(Client{}, b) != want {
			t.Errorf("%q: the backend gets %q", host, got.RequestHost(Client{}, b))
		}
	}
}

func TestRequestHost(t *testing.T) {
	b := upstream.NewBackend(upstream.BackendKey{Pool: "p", Scheme: "ws", Authority: "10.0.0.1:9000"})
	for _, tt := range []struct {
		policy Policy
		want   string
	}{
		{Policy{}, "chat.example.com"},
		{Policy{Host: HostTarget}, "10.0.0.1:9000"},
		{Policy{Host: HostClient}, "chat.example.com"},
		{Policy{Host: HostClient, Request: HeaderEdit{Set: []Header{{Name: "host", Value: "set.example"}}}}, "set.example"},
	} {
		if got := tt.policy.RequestHost(stranger, b); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.policy, got, tt.want)
		}
	}
}

var strangersMayNot = []string{
	"connection", "upgrade", "keep-alive", "te", "trailer", "transfer-encoding", "http2-settings", "host", "content-length",
	"proxy-connection", "proxy-authorization", "proxy-authenticate", "forwarded", "x-forwarded", "x-real-ip",
	"client-cert", "client-cert-chain", "x-request-id",
}

// FuzzRequestHeader: whatever a stranger sends, nothing of his that is
// hop-by-hop or about himself comes through under any spelling.
func FuzzRequestHeader(f *testing.F) {
	for _, seed := range []string{
		"Connection: x-forwarded-for\nX-Forwarded-For: 1.1.1.1", "X_FORWARDED-FOR: 1\nConnection: te, upgrade\nTe: trailers",
		"Connection: close\nConnection: x\nX: y", "Client_Cert: x\nForwarded: for=x", "Upgrade: h2c\nHTTP2-Settings: x",
		"Transfer_Encoding: chunked\nContent_Length: 1\nKeep_Alive: 1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader([]byte("GET / HTTP/1.1\r\nHost: h\r\n" + text + "\r\n\r\n"))))
		if err != nil {
			t.Skip("not a header")
		}
		policy := Policy{Forwarded: ForwardedOff}
		for name, values := range policy.RequestHeader(r, stranger, "id") {
			plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
			switch {
			case name == "Te" && values[0] == "trailers", name == "X-Request-Id" && values[0] == "id":
			case slices.Contains(strangersMayNot, plain), strings.HasPrefix(plain, "x-forwarded-"):
				t.Errorf("%q: %q came through", name, values)
			}
		}
	})
}

func BenchmarkRequestHeader(b *testing.B) {
	in := &http.Request{Header: header(b, "Accept: */*\nUser-Agent: x\nConnection: keep-alive\nCookie: a=b\nAccept-Encoding: gzip")}
	var p Policy
	b.ReportAllocs()
	for b.Loop() {
		p.RequestHeader(in, stranger, "id")
	}
}
