package wsproto

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
)

// headerLines makes a header of raw lines, as a fuzzer writes them.
func headerLines(s string) http.Header {
	h := http.Header{}
	for line := range strings.Lines(s) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			h.Add(name, httpsyntax.TrimOWS(value))
		}
	}
	return h
}

// FuzzCheckRequest: what passes satisfies the plain words of RFC 6455 section
// 4.2.1.
func FuzzCheckRequest(f *testing.F) {
	good := "Host: a\r\nSec-WebSocket-Key: " + sampleKey + "\r\nSec-WebSocket-Version: 13\r\n"
	for _, more := range []string{"", "Sec-WebSocket-Protocol: a, b\r\n", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; x=\"y\"\r\n",
		"Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n", "Expect: 100-continue\r\n"} {
		f.Add("GET / HTTP/1.1\r\n" + good + more)
	}
	f.Add("POST / HTTP/1.0\r\n" + good)
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw + "\r\n")))
		if err != nil {
			return
		}
		if ref := CheckRequest(r, Lenient{}); ref != nil {
			if ref.Text == "" || strings.ContainsAny(ref.Text, "\r\n") || (ref.Status != 400 && ref.Status != 426) {
				t.Errorf("bad refusal %+v", ref)
			}
			return
		}
		if r.Method != "GET" || !r.ProtoAtLeast(1, 1) || r.Host == "" || r.ContentLength != 0 || r.TransferEncoding != nil {
			t.Errorf("%q passes", raw)
		}
		if r.Header.Get("Sec-WebSocket-Version") != "13" || len(r.Header.Values("Sec-WebSocket-Key")) != 1 || len(AcceptKey(r.Header.Get("Sec-WebSocket-Key"))) != 28 {
			t.Errorf("%q passes", raw)
		}
	})
}

// FuzzCheckResponse: what passes satisfies the plain words of RFC 6455 section
// 4.1, looked up here in the dullest way.
func FuzzCheckResponse(f *testing.F) {
	good := "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: " + sampleAccept + "\n"
	for _, more := range []string{"", "Sec-WebSocket-Protocol: chat\n", "Sec-WebSocket-Protocol: v9\n", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\n",
		"Sec-WebSocket-Extensions: x\n", "Upgrade: h2c\n", "Content-Length: 3\n", "Sec-WebSocket-Accept: x\n"} {
		f.Add(good+more, "Sec-WebSocket-Protocol: chat\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\n")
	}
	f.Fuzz(func(t *testing.T, answer, request string) {
		h, sent := headerLines(answer), headerLines(request)
		offer := OfferOf(sent, Lenient{})
		offer.Key = sampleKey
		agreed, err := CheckResponse(101, h, offer)
		if err != nil {
			return
		}
		if !strings.EqualFold(strings.Trim(h.Get("Upgrade"), ", \t"), "websocket") && len(h["Upgrade"]) == 1 {
			t.Errorf("Upgrade %q passes", h["Upgrade"])
		}
		if h.Get("Sec-WebSocket-Accept") != sampleAccept {
			t.Errorf("%q passes", answer)
		}
		if agreed.Protocol != "" && !strings.Contains(request, agreed.Protocol) {
			t.Errorf("%q agreed and not offered in %q", agreed.Protocol, request)
		}
		for _, e := range agreed.Extensions {
			if !strings.Contains(request, e.Name) {
				t.Errorf("%q agreed and not offered in %q", e.Name, request)
			}
		}
		if (agreed.RSV != 0) != (len(agreed.Extensions) > 0) {
			t.Errorf("RSV %#x with %v", agreed.RSV, agreed.Extensions)
		}
	})
}

// FuzzCheckOrigin: with the default rules an origin passes exactly when net/url
// finds the request's host name in it; and what does not look like an origin
// never does.
func FuzzCheckOrigin(f *testing.F) {
	for _, s := range [][2]string{{"https://a.example", "a.example"}, {"https://a.example:3000", "A.example:80"}, {"null", "null"}, {"https://[::1]:1", "[::1]"}, {"https://b", "a"}, {"https://a.example/x", "a.example"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, value, host string) {
		if CheckOrigin(http.Header{"Origin": {value}}, host, OriginRules{}) != nil {
			return
		}
		o, err := url.Parse(value)
		if err != nil || o.Host == "" || o.Path != "" || o.User != nil {
			t.Fatalf("origin %q passes and is none: %v", value, err)
		}
		h, err := url.Parse("http://" + host)
		if err != nil {
			t.Fatalf("host %q passes and is none: %v", host, err)
		}
		same := func(s string) string { return strings.TrimSuffix(strings.Map(asciiLower, s), ".") }
		if !strings.Contains(o.Host, "[") && same(o.Hostname()) != same(h.Hostname()) {
			t.Errorf("origin %q passes for host %q", value, host)
		}
	})
}

func asciiLower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r - 'A' + 'a'
	}
	return r
}
