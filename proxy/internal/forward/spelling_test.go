package forward

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/spelling"
)

// spelledIn is how the names of a head's lines are spelled.
func spelledIn(text string) (names spelling.Names) {
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, ":")
		names.Note([]byte(name))
	}
	return names
}

func TestSpellRequest(t *testing.T) {
	edit := HeaderEdit{
		Set:    []Header{{Name: "X-ENV", Value: "prod"}, {Name: "X-Mine", Value: "m"}, {Name: "SOAPAction", Value: "s"}},
		Add:    []Header{{Name: "X-added", Value: "more"}},
		Remove: []string{"x-secret"},
	}
	fallback := HeaderEdit{Default: []Header{{Name: "X-dflt", Value: "d"}}}
	for _, tt := range []struct {
		name     string
		policy   Policy
		client   Client
		in, want string
	}{
		{"kept", Policy{Forwarded: ForwardedOff}, stranger, "SOAPAction: x\napi_key: k\nDNT: 1\nx-lower: 1\nAccept: y",
			"Accept: y\nDNT: 1\nSOAPAction: x\nX-Request-Id: id\napi_key: k\nx-lower: 1"},
		{"hop-by-hop", Policy{Forwarded: ForwardedOff}, stranger, "CONNECTION: x-hop, KEEP-alive\nx-HOP: 1\nkeep-alive: 2\nUPGRADE: h2c\nhttp2-settings: x\nproxy-AUTHORIZATION: p\ntE: trailers",
			"Te: trailers\nX-Request-Id: id"},
		{"claims", Policy{}, stranger, "x-forwarded-for: 1.1.1.1\nX-FORWARDED-PROTO: https\nx-real-IP: 1.1.1.1\nx-request-ID: mine\nforwarded: for=x\nX-FORWARDED-Prefix: /",
			"X-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: chat.example.com\nX-Forwarded-Proto: http\nX-Real-Ip: 192.0.2.7\nX-Request-Id: id"},
		{"claims of a proxy", Policy{}, neighbor, "x-forwarded-for: 1.1.1.1\nx-forwarded-proto: https\nx-real-IP: 1.1.1.1\nx-request-ID: mine\nx-forwarded-HOST: h",
			"X-Forwarded-For: 1.1.1.1, 10.0.0.1\nX-Forwarded-Host: h\nX-Forwarded-Proto: https\nX-Real-Ip: 1.1.1.1\nX-Request-Id: mine"},
		{"aliases", Policy{Forwarded: ForwardedOff, Request: edit}, stranger, "x_secret: 1\nX_ENV: 2\ncontent_LENGTH: 3\nx_forwarded_for: 1",
			"SOAPAction: s\nX-ENV: prod\nX-Mine: m\nX-Request-Id: id\nX-added: more"},
		{"rules", Policy{Forwarded: ForwardedOff, Request: edit}, stranger, "x-env: 1\nX-MINE: 2\nX-ADDED: 3\nX-SECRET: 4\nsoapaction: 5",
			"SOAPAction: s\nX-ENV: prod\nX-Mine: m\nX-Request-Id: id\nX-added: 3\nX-added: more"},
		{"default", Policy{Forwarded: ForwardedOff, Request: fallback}, stranger, "", "X-Request-Id: id\nX-dflt: d"},
		{"no default", Policy{Forwarded: ForwardedOff, Request: fallback}, stranger, "x-DFLT: theirs", "X-Request-Id: id\nx-DFLT: theirs"},
		{"handshake", Policy{Forwarded: ForwardedOff}, stranger, "sec-websocket-key: k\nSEC-WEBSOCKET-version: 13\nSec-Websocket-Protocol: p\nsec-webSocket-Other: o",
			"Sec-WebSocket-Key: k\nSec-WebSocket-Protocol: p\nSec-WebSocket-Version: 13\nX-Request-Id: id\nsec-webSocket-Other: o"},
	} {
		h := tt.policy.RequestHeader(&http.Request{Header: header(t, tt.in)}, tt.client, "id")
		tt.policy.SpellRequest(h, spelledIn(tt.in))
		if got := lines(h); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestSpellResponse(t *testing.T) {
	p := Policy{Response: HeaderEdit{Set: []Header{{Name: "Server", Value: "ours"}}, Add: []Header{{Name: "x-added", Value: "2"}}, Remove: []string{"x-powered-BY"}}}
	const in = "SERVER: theirs\nETag: e\nWWW-Authenticate: Basic\nX-POWERED-BY: p\nX-ADDED: 1\ncontent-type: t\nsec-websocket-version: 13\nconnection: X-GONE\nx-gone: 1"
	h := header(t, in)
	p.ResponseHeader(h)
	p.SpellResponse(h, spelledIn(in))
	if got, want := lines(h), "Content-Type: t\nETag: e\nSec-WebSocket-Version: 13\nServer: ours\nWWW-Authenticate: Basic\nx-added: 1\nx-added: 2"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// FuzzSpellRequest: what goes to the backend has the lines that it would have had
// without a spelling, and nothing that a stranger may not send comes by one.
func FuzzSpellRequest(f *testing.F) {
	for _, seed := range []string{
		"CONNECTION: x-forwarded-for\nx-forwarded-for: 1.1.1.1", "x_FORWARDED-for: 1\nconnection: te, UPGRADE\nte: trailers",
		"SOAPAction: x\nsoapaction: y\nX-ENV: z\nx_env: 1", "content-LENGTH: 1\ntransfer-encoding: chunked\nHOST: b", "sec-websocket-key: k\nX-SECRET: s",
	} {
		f.Add(seed)
	}
	policy := Policy{Request: HeaderEdit{Set: []Header{{Name: "X-ENV", Value: "prod"}, {Name: "host", Value: "set.example"}}, Add: []Header{{Name: "dnt", Value: "1"}}, Remove: []string{"X-Secret"}}}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: h\r\n" + text + "\r\n\r\n")))
		if err != nil {
			t.Skip("not a header")
		}
		plain := policy.RequestHeader(r, stranger, "id")
		spelled := plain.Clone()
		policy.SpellRequest(spelled, spelledIn(text))
		if got, want := wire(t, spelled), wire(t, plain); !slices.Equal(got, want) {
			t.Errorf("the backend gets\n%q\nwithout a spelling\n%q", got, want)
		}
	})
}

// wire is what net/http writes for a request with that header, in canonical names, sorted.
func wire(t *testing.T, h http.Header) []string {
	t.Helper()
	r := &http.Request{Method: http.MethodGet, URL: target("/", ""), Host: "b", Header: h}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return []string{err.Error()}
	}
	lines := strings.Split(b.String(), "\r\n")
	for i, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		lines[i] = textproto.CanonicalMIMEHeaderKey(name) + ":" + value
	}
	slices.Sort(lines)
	return lines
}
