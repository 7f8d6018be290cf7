package h1

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// hostile are heads that must be refused, each for its own reason: a test that
// looks at the status alone would pass for the wrong one. Lines end as written.
var hostile = []struct {
	name, head string
	status     int
	reason     error
}{
	// Line ends.
	{"bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, errBareLF},
	{"bare LF behind a header", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, errBareLF},
	{"bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, errBareLF},
	{"bare LF only", "GET / HTTP/1.1\nHost: a\n\n", 400, errBareLF},
	{"bare LF in front", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, errBareLF},
	{"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, errBareCR},
	{"bare CR behind a header", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400, errBareCR},
	{"CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, errBareCR},
	{"bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400, errBareCR},
	{"too many empty lines in front", strings.Repeat("\r\n", maxBlank+1) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, errEmptyLine},

	// Header lines.
	{"obs-fold with a space", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400, errFold},
	{"obs-fold with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n", 400, errFold},
	{"first header folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, errFold},
	{"space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, errSpaceColon},
	{"tab before the colon", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 3\r\n\r\nabc", 400, errSpaceColon},
	{"space in a name", "GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", 400, errName},
	{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", 400, errName},
	{"name with a slash", "GET / HTTP/1.1\r\nHost: a\r\nX/Y: z\r\n\r\n", 400, errName},
	{"name beyond ASCII", "GET / HTTP/1.1\r\nHost: a\r\nX\xe9: z\r\n\r\n", 400, errName},
	{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400, errNoColon},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400, errControl},
	{"control byte in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400, errControl},
	{"escape in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[31m\r\n\r\n", 400, errControl},
	{"DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", 400, errControl},
	{"NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n", 400, errControl},

	// Request line.
	{"HTTP/0.9", "GET /\r\n", 400, errRequestLine},
	{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, errVersion},
	{"tab for a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, errRequestLine},
	{"space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, errVersion},
	{"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, errVersion},
	{"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", 400, errMethod},
	{"method is no token", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, errMethod},
	{"TLS on a plaintext port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, errControl},
	{"lower case version", "GET / http/1.1\r\nHost: a\r\n\r\n", 400, errVersion},
	{"version with two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, errVersion},
	{"version 1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, errUnknownVersion},
	{"version 2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, errUnknownVersion},
	{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, errUnknownVersion},
	{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405, errConnect},
	{"CONNECT with a path", "CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n", 405, errConnect},

	// Target.
	{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, errFragment},
	{"target beyond ASCII", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, errTargetByte},
	{"tab in the target", "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", 400, errTargetByte},
	{"relative target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, errTarget},
	{"query for a target", "GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", 400, errTarget},
	{"authority-form with GET", "GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 400, errTarget},
	{"opaque", "GET http:a HTTP/1.1\r\nHost: a\r\n\r\n", 400, errTarget},
	{"* with GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, errAsterisk},
	{"escape cut short", "GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n", 400, errEscape},
	{"escape that is none", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, errEscape},
	{"other scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, errScheme},
	{"ws scheme", "GET ws://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, errScheme},
	{"absolute form disagrees", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, errHostMismatch},
	{"absolute form disagrees by a port", "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, errHostMismatch},
	{"absolute form with the other scheme's port", "GET http://a:443/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, errHostMismatch},
	{"absolute form of https with port 80", "GET https://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n", 400, errHostMismatch},
	{"absolute form disagrees within an IPv6 address", "GET http://[::1]/ HTTP/1.1\r\nHost: [::1:80]\r\n\r\n", 400, errHostMismatch},
	{"absolute form without Host", "GET http://a/ HTTP/1.1\r\n\r\n", 400, errNoHost},
	{"absolute form with userinfo", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, errUserinfo},
	{"absolute form without a host", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, errEmptyHost},
	{"absolute form with a bad escape", "GET http://a/%x HTTP/1.1\r\nHost: a\r\n\r\n", 400, errEscape},

	// Host.
	{"no Host", "GET / HTTP/1.1\r\n\r\n", 400, errNoHost},
	{"no Host, OPTIONS *", "OPTIONS * HTTP/1.1\r\n\r\n", 400, errNoHost},
	{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, errEmptyHost},
	{"empty Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: \r\n\r\n", 400, errEmptyHost},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, errTwoHosts},
	{"two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400, errTwoHosts},
	{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, errTwoHosts},
	{"Host with userinfo", "GET / HTTP/1.1\r\nHost: u:p@a\r\n\r\n", 400, errUserinfo},
	{"Host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, errHost},
	{"Host with a backslash", "GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", 400, errHost},
	{"Host with a percent sign", "GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n", 400, errHost},
	{"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, errHost},
	{"Host with a comma", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, errHost},
	{"Host with a quotation mark", "GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n", 400, errHost},
	{"Host with a question mark", "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", 400, errHost},
	{"Host with a hash", "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", 400, errHost},
	{"Host beyond ASCII", "GET / HTTP/1.1\r\nHost: b\xc3\xbccher\r\n\r\n", 400, errHost},
	{"Host with an empty label", "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400, errHost},
	{"Host that begins with a dot", "GET / HTTP/1.1\r\nHost: .a\r\n\r\n", 400, errHost},
	{"Host that is a dot", "GET / HTTP/1.1\r\nHost: .\r\n\r\n", 400, errHost},
	{"Host is a port", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400, errEmptyHost},
	{"a port and no host", "GET / HTTP/1.1\r\nHost: :\r\n\r\n", 400, errEmptyHost},
	{"two empty ports", "GET / HTTP/1.1\r\nHost: a::\r\n\r\n", 400, errHost},
	{"port 0", "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", 400, errPort},
	{"port 65536", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, errPort},
	{"port with a sign", "GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", 400, errPort},
	{"port with letters", "GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", 400, errPort},
	{"two ports", "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", 400, errHost},
	{"IPv6 without brackets", "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400, errHost},
	{"IPv6 not closed", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, errHost},
	{"IPv6 with a zone", "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", 400, errHost},
	{"IPv4 in brackets", "GET / HTTP/1.1\r\nHost: [127.0.0.1]\r\n\r\n", 400, errHost},
	{"IPv6 with a bad port", "GET / HTTP/1.1\r\nHost: [::1]80\r\n\r\n", 400, errHost},

	// Framing.
	{"length and chunked", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400, errLengthCoding},
	{"chunked and length 0", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400, errLengthCoding},
	{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400, errTwoLengths},
	{"two equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, errTwoLengths},
	{"list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400, errLength},
	{"length with a sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400, errLength},
	{"negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", 400, errLength},
	{"hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400, errLength},
	{"empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400, errLength},
	{"length 2^64+3", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc", 400, errLength},
	{"length 2^63", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\nabc", 400, errLength},
	{"length 9999999999999999999", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\nabc", 400, errLength},
	{"coding with a comma", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 400, errCoding},
	{"coding gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, errCoding},
	{"coding identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400, errCoding},
	{"coding xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, errCoding},
	{"coding in quotes", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400, errCoding},
	{"coding with a vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, errControl},
	{"empty coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400, errCoding},
	{"two codings", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, errTwoCodings},
	{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, errCoding10},
	{"trailer announces a length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X, content-length\r\n\r\n0\r\n\r\n", 400, errTrailerNames},

	// Sizes; the limits are testLimits.
	{"head too large", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 2048) + "\r\n\r\n", 431, errHeadSize},
	{"request line too large", "GET /" + strings.Repeat("y", 2048), 431, errHeadSize},
	{"too many headers", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 20) + "\r\n", 431, errHeadFields},
}

var (
	testLimits = Limits{HeadBytes: 1024, Fields: 20}
	wideLimits = withTimeout(10 * time.Second)
)

func withTimeout(d time.Duration) Limits {
	return Limits{HeadBytes: 32 << 10, Fields: 100, HeadTimeout: d}
}

func TestParseHeadRefuses(t *testing.T) {
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			if tt.reason == errEmptyLine {
				t.Skip("empty lines are the connection's affair, see TestServerRefuses")
			}
			_, _, err := ParseHead([]byte(tt.head), nil, testLimits)
			if err != tt.reason {
				t.Errorf("ParseHead: %v, want %v", err, tt.reason)
			}
			var v *Violation
			if errors.As(err, &v) && v.Status != tt.status {
				t.Errorf("status %d, want %d", v.Status, tt.status)
			}
		})
	}
}

func TestParseHead(t *testing.T) {
	tests := []struct{ in, want string }{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", `GET / 1.1 host=a len=0 [Host=a]`},
		{"GET / HTTP/1.0\r\n\r\n", `GET / 1.0 host= len=0 []`},
		{"GET http://A.example/x?y HTTP/1.0\r\n\r\n", `GET http://A.example/x?y 1.0 host=A.example len=0 []`},
		{"GET HTTPS://A:8443?x/y HTTP/1.1\r\nHost: a:8443\r\n\r\n", `GET HTTPS://A:8443?x/y 1.1 host=A:8443 len=0 [Host=a:8443]`},
		{"GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", `GET http://a:80/ 1.1 host=a:80 len=0 [Host=a]`},
		{"GET http://A/ HTTP/1.1\r\nHost: a:80\r\n\r\n", `GET http://A/ 1.1 host=A len=0 [Host=a:80]`},
		{"GET https://a:/ HTTP/1.1\r\nHost: a:443\r\n\r\n", `GET https://a:/ 1.1 host=a: len=0 [Host=a:443]`},
		{"GET http://[::1]/ HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", `GET http://[::1]/ 1.1 host=[::1] len=0 [Host=[::1]:80]`},
		{"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", `GET / 1.1 host=a: len=0 [Host=a:]`},
		{"GET / HTTP/1.1\r\nHost: [::1]:\r\n\r\n", `GET / 1.1 host=[::1]: len=0 [Host=[::1]:]`},
		{"OPTIONS * HTTP/1.1\r\nHost: a.\r\n\r\n", `OPTIONS * 1.1 host=a. len=0 [Host=a.]`},
		{"POST /a//b/../c?d=%zz HTTP/1.1\r\nHost:\t[::1]:80 \t\r\ncontent-length: 0012\r\n\r\n", `POST /a//b/../c?d=%zz 1.1 host=[::1]:80 len=12 [Host=[::1]:80 content-length=0012]`},
		{"PUT / HTTP/1.1\r\nHost: a_b-c.d\r\nTransfer-Encoding: Chunked\r\n\r\n", `PUT / 1.1 host=a_b-c.d len=-1 [Host=a_b-c.d Transfer-Encoding=Chunked]`},
		{"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX:\r\nY: a\tb \xe9\r\nx: 2\r\n\r\n", "GET / 1.1 host=127.0.0.1 len=0 [Host=127.0.0.1 X= Y=a\tb \xe9 x=2]"},
		{"GET / HTTP/1.1\r\nHost: a\r\nupgrade: h2c\r\n\r\n", `GET / 1.1 host=a len=0 up [Host=a upgrade=h2c]`},
		{"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: x\r\n\r\n", `GET / 1.1 host=a len=0 up [Host=a Sec-WebSocket-Key=x]`},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n", `POST / 1.1 host=a len=9223372036854775807 [Host=a Content-Length=9223372036854775807]`},
	}
	for _, tt := range tests {
		h, n, err := ParseHead([]byte(tt.in+"behind"), nil, testLimits)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if n != len(tt.in) {
			t.Errorf("%q: %d bytes long, want %d", tt.in, n, len(tt.in))
		}
		if got := printHead(h); got != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.in, got, tt.want)
		}
		for i := range len(tt.in) {
			if _, _, err := ParseHead([]byte(tt.in[:i]), nil, testLimits); err != ErrIncomplete {
				t.Errorf("%q: %v, want ErrIncomplete", tt.in[:i], err)
			}
		}
	}
}

func printHead(h Head) string {
	var fields []string
	for _, f := range h.Fields {
		fields = append(fields, string(f.Name)+"="+string(f.Value))
	}
	up := ""
	if h.Upgrade {
		up = "up "
	}
	return fmt.Sprintf("%s %s 1.%d host=%s len=%d %s[%s]", h.Method, h.Target, h.Minor, h.Host, h.Length, up, strings.Join(fields, " "))
}

func TestHeadGet(t *testing.T) {
	h, _, err := ParseHead([]byte("GET / HTTP/1.1\r\nHost: a\r\nx-a: 1\r\nX-A: 2\r\n\r\n"), nil, wideLimits)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := h.Get("X-a"); string(v) != "1" || !ok {
		t.Errorf("X-a is %q, %v", v, ok)
	}
	if _, ok := h.Get("X-B"); ok {
		t.Error("X-B is there")
	}
}

// A head that is exactly as large as its limit passes.
func TestHeadLimitIsInclusive(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 19) + "\r\n"
	for n, want := range map[int]error{len(head): nil, len(head) - 1: errHeadSize} {
		if _, _, err := ParseHead([]byte(head), nil, Limits{HeadBytes: n, Fields: 20}); err != want {
			t.Errorf("limit %d of %d: %v, want %v", n, len(head), err, want)
		}
	}
}

func TestParseHeadDoesNotAllocate(t *testing.T) {
	head := []byte("GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	fields := make([]Field, 0, 16)
	if n := testing.AllocsPerRun(100, func() { ParseHead(head, fields, wideLimits) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkParseHead(b *testing.B) {
	head := []byte("GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: https://example.com\r\n\r\n")
	fields := make([]Field, 0, 16)
	b.ReportAllocs()
	for b.Loop() {
		ParseHead(head, fields, wideLimits)
	}
}
