package e2e

// Requests that two readers could read differently: refused before anything of
// them is routed, and nothing behind them is read.

import (
	"fmt"
	"strings"
	"testing"
)

// smuggled stands behind every bad request.
const smuggled = "GET /secret HTTP/1.1\r\nHost: a\r\n\r\n"

// strictHeads are heads that must be refused with 400, unless another status is said.
var strictHeads = []struct {
	name, text string
	status     int
}{
	{name: "CL and TE", text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{name: "TE and CL", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"},
	{name: "two lengths", text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
	{name: "equal lengths", text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "list of lengths", text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello"},
	{name: "plus length", text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"},
	{name: "minus length", text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello"},
	{name: "hex length", text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello"},
	{name: "empty length", text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello"},
	{name: "length with a space", text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 5\r\n\r\nhello"},
	{name: "2^64+3", text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc"},
	{name: "2^63", text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\nabc"},
	{name: "chunked,", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"},
	{name: ",chunked", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"},
	{name: "chunked twice", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
	{name: "two TE lines", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{name: "gzip, chunked", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
	{name: "identity", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"},
	{name: "xchunked", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
	{name: "quoted chunked", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"},
	{name: "chunked;param", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"},
	{name: "vertical tab", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"},
	{name: "empty TE", text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"},
	{name: "chunked in 1.0", text: "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},

	{name: "obs-fold", text: "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n"},
	{name: "obs-fold with a tab", text: "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tc\r\n\r\n"},
	{name: "first line folded", text: "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
	{name: "bare LF", text: "GET / HTTP/1.1\nHost: a\n\n"},
	{name: "bare LF in the middle", text: "GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n"},
	{name: "bare LF at the end", text: "GET / HTTP/1.1\r\nHost: a\r\n\n"},
	{name: "bare CR", text: "GET / HTTP/1.1\r\nHost: a\rX-A: b\r\n\r\n"},
	{name: "CR CR LF", text: "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"},
	{name: "NUL in a value", text: "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\x00c\r\n\r\n"},
	{name: "control in a value", text: "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\x01c\r\n\r\n"},
	{name: "DEL in a value", text: "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\x7fc\r\n\r\n"},
	{name: "NUL in a name", text: "GET / HTTP/1.1\r\nHost: a\r\nX\x00A: b\r\n\r\n"},
	{name: "space before the colon", text: "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello"},
	{name: "tab before the colon", text: "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"},
	{name: "no colon", text: "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n"},
	{name: "no name", text: "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"},
	{name: "odd name", text: "GET / HTTP/1.1\r\nHost: a\r\nX(A): b\r\n\r\n"},
	{name: "name of another alphabet", text: "GET / HTTP/1.1\r\nHost: a\r\nX-\u017fA: b\r\n\r\n"},

	{name: "no Host", text: "GET / HTTP/1.1\r\nX-A: b\r\n\r\n"},
	{name: "two Hosts", text: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
	{name: "equal Hosts", text: "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
	{name: "empty Host", text: "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
	{name: "listed Hosts", text: "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
	{name: "Host with a space", text: "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
	{name: "userinfo", text: "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"},
	{name: "slash in Host", text: "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
	{name: "backslash in Host", text: "GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n"},
	{name: "percent in Host", text: "GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n"},
	{name: "query in Host", text: "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"},
	{name: "fragment in Host", text: "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n"},
	{name: "empty label", text: "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n"},
	{name: "port of letters", text: "GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n"},
	{name: "port 0", text: "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n"},
	{name: "port 65536", text: "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"},
	{name: "two ports", text: "GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n"},
	{name: "open bracket", text: "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
	{name: "zone", text: "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"},

	{name: "absolute form, other Host", text: "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "absolute form, other port", text: "GET http://a:81/ HTTP/1.1\r\nHost: a:80\r\n\r\n"},
	{name: "absolute form, userinfo", text: "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "absolute form, no host", text: "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "absolute form, other scheme", text: "GET file://a/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "absolute form, no Host", text: "GET http://a/ HTTP/1.1\r\n\r\n"},
	{name: "authority form", text: "GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"},
	{name: "asterisk", text: "GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "no slash", text: "GET secret HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "fragment", text: "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "NUL in the target", text: "GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "tab in the target", text: "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "raw UTF-8", text: "GET /\u00e4 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "bad escape", text: "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "half an escape", text: "GET /% HTTP/1.1\r\nHost: a\r\n\r\n"},

	{name: "two spaces", text: "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "space behind", text: "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
	{name: "space before", text: " GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "tabs", text: "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "space in the target", text: "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "no version", text: "GET /\r\nHost: a\r\n\r\n"},
	{name: "lower version", text: "GET / http/1.1\r\nHost: a\r\n\r\n"},
	{name: "version 1.10", text: "GET / HTTP/1.10\r\nHost: a\r\n\r\n"},
	{name: "odd method", text: "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "no method", text: "/ HTTP/1.1\r\nHost: a\r\n\r\n"},
	{name: "TLS", text: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"},
	{name: "version 1.2", text: "GET / HTTP/1.2\r\nHost: a\r\n\r\n", status: 505},
	{name: "version 2.0", text: "GET / HTTP/2.0\r\nHost: a\r\n\r\n", status: 505},
	{name: "h2 preface", text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status: 505},
	{name: "CONNECT", text: "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", status: 405},
	{name: "large head", text: "GET / HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("b", 40_000) + "\r\n\r\n", status: 431},
	{name: "large target", text: "GET /" + strings.Repeat("b", 40_000) + " HTTP/1.1\r\nHost: a\r\n\r\n", status: 431},
	{name: "many lines", text: "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 101) + "\r\n", status: 431},
}

func TestStrictHeads(t *testing.T) {
	t.Parallel()
	b := newWire(t, nil)
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "http://$b"}}
`, map[string]string{"b": b.Addr}))

	for _, tt := range strictHeads {
		t.Run(tt.name, func(t *testing.T) {
			status := max(tt.status, 400)
			m, client := p.log.mark(), connect(t, p)
			client.Send(tt.text + smuggled)
			answer, body := client.Response("GET")
			if answer.StatusCode != status || !answer.Close {
				t.Errorf("%d %q, close %v, wanted %d and close", answer.StatusCode, body, answer.Close, status)
			}
			id := p.waitLogAfter(m, "request refused", fields{"status": status}).text("id")
			if id == "" || !strings.Contains(body, id) || strings.Count(body, "\n") != 1 || !strings.HasSuffix(body, "\n") {
				t.Errorf("body %q, wanted one line with the id %q", body, id)
			}
			if rest := client.Rest(); rest != "" {
				t.Errorf("%q behind the answer", rest)
			}
		})
	}
	// In the middle of a connection it is the same.
	client := connect(t, p)
	if got := ask(t, client, request("GET /first HTTP/1.1", "Host: a")); got.status != 200 {
		t.Fatalf("%d %q", got.status, got.body)
	}
	if got := ask(t, client, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\n"); got.status != 400 {
		t.Errorf("the second request: %d %q", got.status, got.body)
	}
	for _, head := range b.asked() {
		if pathOf(head) != "/first" {
			t.Errorf("the backend was asked %q", head)
		}
	}
}

// TestStrictChunks: the head is right and may have gone to the backend by the
// time the body is not. The request never ends there, nothing behind it arrives.
func TestStrictChunks(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/body": stall("")})
	p := start(t, web+fill(`
routes: {all: {match: {path_prefix: /}, to: "http://$b"}}
`, map[string]string{"b": b.Addr}))
	const head = "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, body := range map[string]string{
		"no size":            "\r\nhello\r\n0\r\n\r\n",
		"not hex":            "g\r\nhello\r\n0\r\n\r\n",
		"0x5":                "0x5\r\nhello\r\n0\r\n\r\n",
		"+5":                 "+5\r\nhello\r\n0\r\n\r\n",
		"-1":                 "-1\r\nhello\r\n0\r\n\r\n",
		"space before":       " 5\r\nhello\r\n0\r\n\r\n",
		"17 digits":          "00000000000000005\r\nhello\r\n0\r\n\r\n",
		"overflow":           "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
		"bare LF":            "5\nhello\r\n0\r\n\r\n",
		"bare LF behind":     "5\r\nhello\n0\r\n\r\n",
		"bare CR":            "5\rhello\r\n0\r\n\r\n",
		"longer":             "5\r\nhelloo\r\n0\r\n\r\n",
		"shorter":            "5\r\nhell\r\n0\r\n\r\n",
		"LF in an extension": "5;a=\nb\r\nhello\r\n0\r\n\r\n",
		"long extension":     "5;" + strings.Repeat("a", 20_000) + "\r\nhello\r\n0\r\n\r\n",
		"LF at the end":      "5\r\nhello\r\n0\n\n",
		"folded trailer":     "5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n",
		"nameless trailer":   "5\r\nhello\r\n0\r\n: b\r\n\r\n",
		"NUL in a trailer":   "5\r\nhello\r\n0\r\nX-A: \x00\r\n\r\n",
		"many trailers":      "5\r\nhello\r\n0\r\n" + strings.Repeat("X-A: b\r\n", 10_000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			m, client := p.log.mark(), connect(t, p)
			client.Send(head + body + smuggled)
			status := 400
			if name == "many trailers" {
				status = 431
			}
			if rest := client.Rest(); !strings.HasPrefix(rest, fmt.Sprintf("HTTP/1.1 %d ", status)) || strings.Count(rest, "HTTP/1.1 ") > 1 {
				t.Errorf("%q, wanted one %d", rest, status)
			}
			p.waitLogAfter(m, "request refused", fields{"status": status})
		})
	}
	// Sent whole, a body ends with its last chunk.
	if got := b.got(); strings.Contains(got, "\r\n0\r\n") || strings.Contains(got, "secret") {
		t.Errorf("the backend got a whole request: %q", got)
	}
}
