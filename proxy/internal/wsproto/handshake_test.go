package wsproto

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The key and the accept of RFC 6455 section 1.3.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// header makes a header from lines of "Name: value".
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.Trim(value, " \t"))
	}
	return h
}

// goodRequest is a handshake that nothing is wrong with, with lines added.
func goodRequest(lines ...string) *http.Request {
	r := httptest.NewRequest("GET", "http://chat.example/ws", nil)
	r.Header = header(append([]string{"Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: " + sampleKey, "Sec-WebSocket-Version: 13"}, lines...)...)
	return r
}

func TestAcceptKey(t *testing.T) {
	if got := AcceptKey(sampleKey); got != sampleAccept {
		t.Errorf("AcceptKey: %q, want %q", got, sampleAccept)
	}
}

func TestNewKey(t *testing.T) {
	a, b := NewKey(), NewKey()
	if !ValidKey(a) || !ValidKey(b) || a == b {
		t.Errorf("keys %q and %q: want two valid ones", a, b)
	}
}

func TestValidKey(t *testing.T) {
	for key, want := range map[string]bool{
		sampleKey:                   true,
		"AAAAAAAAAAAAAAAAAAAAAA==":  true,
		"":                          false,
		"AAAAAAAAAAAAAAAAAAAAAA":    false, // no padding
		"AAAAAAAAAAAAAAAAAAAAAB==":  true,  // spare bits
		"AAAAAAAAAAAAAAAAAAAAAP==":  true,  // all of them
		"AAAAAAAAAAAAAAAAAAAAAAA=":  false, // 17 bytes
		"AAAAAAAAAAAAAAAAAAAAAAAA":  false, // 18 bytes
		"AAAAAAAAAAAAAAAAAAAA====":  false,
		"AAAAAAAAAA\nAAAAAAAAAAA==": false, // 25 with a line end
		"AAAAAAAAAA\nAAAAAAAAAA==":  false,
		"AAAAAAAAAA-_AAAAAAAAAA==":  false, // the URL alphabet
		" AAAAAAAAAAAAAAAAAAAAA==":  false,
		"AAAAAAAAAAAAAAAAAAAAAA== ": false,
	} {
		if got := ValidKey(key); got != want {
			t.Errorf("ValidKey(%q) = %v, want %v", key, got, want)
		}
	}
}

func TestTokens(t *testing.T) {
	h := header("Connection: keep-alive ,, \tUpgrade\t", "Connection:", "Connection: ,x")
	if got, want := ListTokens(h, "connection"), []string{"keep-alive", "Upgrade", "x"}; !slices.Equal(got, want) {
		t.Errorf("ListTokens: %q, want %q", got, want)
	}
	if got := ListTokens(h, "Upgrade"); got != nil {
		t.Errorf("ListTokens of nothing: %q", got)
	}
}

func TestAsksUpgrade(t *testing.T) {
	with := func(minor int, lines ...string) *http.Request {
		return &http.Request{ProtoMajor: 1, ProtoMinor: minor, Header: header(lines...)}
	}
	tests := []struct {
		r    *http.Request
		want bool
	}{
		{with(1, "Connection: Upgrade", "Upgrade: websocket"), true},
		{with(1, "Connection: keep-alive", "Connection: x, UPGRADE", "Upgrade: h2c"), true},
		{with(0, "Connection: Upgrade", "Upgrade: websocket"), false},
		{with(1, "Connection: keep-alive", "Upgrade: websocket"), false},
		{with(1, "Upgrade: websocket"), false},
		{with(1, "Connection: Upgrade"), false},
		{with(1, "Connection: Upgrade", "Upgrade: ,"), false},
		{&http.Request{ProtoMajor: 2, Header: header("Connection: Upgrade", "Upgrade: websocket")}, false},
	}
	for _, tt := range tests {
		if got := AsksUpgrade(tt.r); got != tt.want {
			t.Errorf("HTTP/%d.%d %v: %v, want %v", tt.r.ProtoMajor, tt.r.ProtoMinor, tt.r.Header, got, tt.want)
		}
	}
}

func TestCheckRequest(t *testing.T) {
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
		text   string // a part of it
	}{
		{"good", func(r *http.Request) {}, 0, ""},
		{"neither Upgrade nor Connection", func(r *http.Request) { r.Header.Del("Upgrade"); r.Header.Del("Connection") }, 0, ""},
		{"good subprotocols", func(r *http.Request) {
			r.Header["Sec-Websocket-Protocol"] = []string{"chat, superchat", "Chat"}
		}, 0, ""},
		{"good extensions", func(r *http.Request) {
			r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits, x; y=\"z\"")
		}, 0, ""},

		{"POST", func(r *http.Request) { r.Method = "POST" }, 400, "GET"},
		{"HEAD", func(r *http.Request) { r.Method = "HEAD" }, 400, "GET"},
		{"get", func(r *http.Request) { r.Method = "get" }, 400, "GET"},
		{"HTTP/1.0", func(r *http.Request) { r.ProtoMinor = 0 }, 400, "HTTP/1.1"},
		{"HTTP/2", func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 }, 400, "HTTP/1.1"},
		{"no Host", func(r *http.Request) { r.Host = "" }, 400, "Host"},

		{"body", func(r *http.Request) { r.ContentLength = 3 }, 400, "body"},
		{"body of unknown length", func(r *http.Request) { r.ContentLength = -1 }, 400, "body"},
		{"chunked", func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }, 400, "body"},
		{"trailers", func(r *http.Request) { r.Trailer = http.Header{"X": nil} }, 400, "body"},
		{"Content-Length 0", func(r *http.Request) { r.Header.Set("Content-Length", "0") }, 0, ""},
		{"Content-Length 5", func(r *http.Request) { r.Header.Set("Content-Length", "5") }, 400, "Content-Length"},
		{"two Content-Lengths", func(r *http.Request) { r.Header["Content-Length"] = []string{"0", "5"} }, 400, "Content-Length"},
		{"empty Content-Length", func(r *http.Request) { r.Header.Set("Content-Length", "") }, 400, "Content-Length"},
		{"Transfer-Encoding", func(r *http.Request) { r.Header.Set("Transfer-Encoding", "identity") }, 400, "Transfer-Encoding"},
		{"Trailer", func(r *http.Request) { r.Header.Set("Trailer", "X") }, 400, "Trailer"},
		{"Expect", func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, 400, "Expect"},

		{"no version", func(r *http.Request) { r.Header.Del("Sec-WebSocket-Version") }, 426, "must be 13"},
		{"version 8", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, 426, "must be 13"},
		{"version 013", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "013") }, 426, "must be 13"},
		{"versions in a list", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "13, 8") }, 426, "must be 13"},
		{"empty version", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "") }, 426, "must be 13"},
		{"two versions", func(r *http.Request) { r.Header.Add("Sec-WebSocket-Version", "8") }, 400, "more than one"},
		{"two equal versions", func(r *http.Request) { r.Header.Add("Sec-WebSocket-Version", "13") }, 400, "more than one"},

		{"no key", func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, 400, "missing"},
		{"two keys", func(r *http.Request) { r.Header.Add("Sec-WebSocket-Key", sampleKey) }, 400, "more than one"},
		{"empty subprotocol", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Protocol", "") }, 0, ""},
		{"odd subprotocols", func(r *http.Request) { r.Header["Sec-Websocket-Protocol"] = []string{"a, a", "b c"} }, 0, ""},
		{"empty extensions", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Extensions", "") }, 0, ""},
		{"odd extensions", func(r *http.Request) {
			r.Header.Set("Sec-WebSocket-Extensions", `bbf-usp-protocol; eid="proto::serial-1", =;, "`)
		}, 0, ""},
		{"short key", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "abc") }, 400, "16 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := goodRequest()
			tt.change(r)
			ref := CheckRequest(r, Lenient{})
			if ref == nil {
				ref = &Refusal{}
			}
			if ref.Status != tt.status || !strings.Contains(ref.Text, tt.text) {
				t.Fatalf("%d %q, want %d and %q", ref.Status, ref.Text, tt.status, tt.text)
			}
			if got := ref.Header.Get("Sec-WebSocket-Version"); (got == "13") != (tt.status == 426) {
				t.Errorf("Sec-WebSocket-Version %q with status %d", got, ref.Status)
			}
		})
	}
}

func TestParseExtensions(t *testing.T) {
	tests := []struct {
		lines []string
		want  string // of all, separated by " | "; "error: " and a part of it
		names string // of an offer
	}{
		{nil, "", ""},
		{[]string{"permessage-deflate"}, "permessage-deflate", "permessage-deflate"},
		{[]string{" a ; b ; c = d ,, e", "f;g=\"h\""}, "a; b; c=d | e | f; g=h", "a e f"},
		{[]string{`a; b="\x\y"`}, `a; b="\x\y"`, "a"},
		{[]string{""}, "", ""},
		{[]string{" , "}, "", ""},
		{[]string{"a", ""}, "a", "a"},
		{[]string{"a;"}, "a; ", "a"},
		{[]string{"a; b="}, "a; b=", "a"},
		{[]string{`a; b="c, d; e", f`}, `a; b="c, d; e" | f`, "a f"},
		{[]string{`a; b="\", c", d`}, `a; b="\", c" | d`, "a d"},
		{[]string{`bbf-usp-protocol; eid="proto::serial-1"`}, `bbf-usp-protocol; eid="proto::serial-1"`, "bbf-usp-protocol"},
		{[]string{`a; b="c`}, "error: quote", "a"},
		{[]string{`a, b"`, "c"}, "error: quote", `a b" c`},
		{[]string{strings.Repeat("x,", 65)}, "error: too many", strings.TrimSpace(strings.Repeat("x ", 65))},
	}
	for _, tt := range tests {
		h := http.Header{"Sec-Websocket-Extensions": tt.lines}
		if got := strings.Join(extensionNames(h), " "); got != tt.names {
			t.Errorf("%q: names %q, want %q", tt.lines, got, tt.names)
		}
		exts, err := parseExtensions(h)
		if part, wantErr := strings.CutPrefix(tt.want, "error: "); wantErr {
			if err == nil || !strings.Contains(err.Error(), part) || exts != nil {
				t.Errorf("%q: %v, %v, want an error with %q", tt.lines, exts, err, part)
			}
			continue
		}
		if got := printExtensions(exts); got != tt.want || err != nil {
			t.Errorf("%q: %q, %v, want %q", tt.lines, got, err, tt.want)
		}
	}
}

func printExtensions(exts []Extension) string {
	var list []string
	for _, e := range exts {
		list = append(list, e.String())
	}
	return strings.Join(list, " | ")
}

// goodAnswer is a 101 that nothing is wrong with, with lines added.
func goodAnswer(lines ...string) http.Header {
	return header(append([]string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: " + sampleAccept}, lines...)...)
}

func TestCheckResponse(t *testing.T) {
	offer := OfferOf(goodRequest("Sec-WebSocket-Protocol: chat, v2", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-own").Header, Lenient{})
	tests := []struct {
		name   string
		status int
		h      http.Header
		want   Agreed
		err    string
	}{
		{"plain", 101, goodAnswer(), Agreed{}, ""},
		{"other case", 101, header("connection: keep-alive, UPGRADE", "Upgrade: WebSocket", "Sec-WebSocket-Accept: "+sampleAccept), Agreed{}, ""},
		{"subprotocol", 101, goodAnswer("Sec-WebSocket-Protocol: v2"), Agreed{Protocol: "v2"}, ""},
		{"deflate", 101, goodAnswer("Sec-WebSocket-Extensions: permessage-deflate"),
			Agreed{Extensions: []Extension{{Name: "permessage-deflate"}}, RSV: 0x40}, ""},
		{"deflate with parameters", 101, goodAnswer("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"10\"; server_no_context_takeover"),
			Agreed{Extensions: []Extension{{"permessage-deflate", []Param{{"client_max_window_bits", "10"}, {"server_no_context_takeover", ""}}}}, RSV: 0x40}, ""},
		{"unknown extension", 101, goodAnswer("Sec-WebSocket-Extensions: x-own; a=b"),
			Agreed{Extensions: []Extension{{"x-own", []Param{{"a", "b"}}}}, RSV: 0x70}, ""},

		{"200", 200, goodAnswer(), Agreed{}, "status 200"},
		{"no Upgrade", 101, header("Connection: upgrade", "Sec-WebSocket-Accept: "+sampleAccept), Agreed{}, "no Upgrade"},
		{"other Upgrade", 101, header("Connection: upgrade", "Upgrade: h2c", "Sec-WebSocket-Accept: "+sampleAccept), Agreed{}, "h2c"},
		{"websocket among others", 101, goodAnswer("Upgrade: h2c"), Agreed{}, "h2c"},
		{"websocket and more", 101, header("Connection: upgrade", "Upgrade: websocket/13", "Sec-WebSocket-Accept: "+sampleAccept), Agreed{}, "websocket/13"},
		{"no Connection", 101, header("Upgrade: websocket", "Sec-WebSocket-Accept: "+sampleAccept), Agreed{}, "Connection"},
		{"Connection: close", 101, header("Connection: close", "Upgrade: websocket", "Sec-WebSocket-Accept: "+sampleAccept), Agreed{}, "Connection"},
		{"no accept", 101, header("Connection: upgrade", "Upgrade: websocket"), Agreed{}, "no Sec-WebSocket-Accept"},
		{"wrong accept", 101, header("Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: "+sampleKey), Agreed{}, "wanted \"" + sampleAccept},
		{"accept in lower case", 101, header("Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: "+strings.ToLower(sampleAccept)), Agreed{}, "wanted"},
		{"two accepts", 101, goodAnswer("Sec-WebSocket-Accept: " + sampleAccept), Agreed{}, "more than one"},
		{"Content-Length", 101, goodAnswer("Content-Length: 0"), Agreed{}, ""},
		{"Transfer-Encoding", 101, goodAnswer("Transfer-Encoding: chunked"), Agreed{}, ""},
		{"subprotocol not offered", 101, goodAnswer("Sec-WebSocket-Protocol: v3"), Agreed{}, "v3"},
		{"subprotocol in another case", 101, goodAnswer("Sec-WebSocket-Protocol: V2"), Agreed{}, "V2"},
		{"two subprotocols", 101, goodAnswer("Sec-WebSocket-Protocol: v2", "Sec-WebSocket-Protocol: chat"), Agreed{}, "more than one"},
		{"list of subprotocols", 101, goodAnswer("Sec-WebSocket-Protocol: v2, chat"), Agreed{}, "v2, chat"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CheckResponse(tt.status, tt.h, offer)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("%v, want %q", err, tt.err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestExtensionParameters: whatever stands behind a name that was offered is
// between the two ends.
func TestExtensionParameters(t *testing.T) {
	const d = "permessage-deflate"
	for _, tt := range []struct {
		offer, answer string
		ok            bool
	}{
		{d, d + "; server_no_context_takeover", true},
		{d + "; client_max_window_bits; server_max_window_bits=15", d, true}, // gorilla to Starscream
		{d, d + "; client_max_window_bits=12", true},                         // gws, unasked
		{d + "; server_max_window_bits=10", d + "; server_max_window_bits=11", true},
		{d, d + "; server_max_window_bits=7", true},
		{d, d + "; x=y; x=y", true},
		{d + "; x=", d + "; =", true},
		{"x", d, false},
		{d, "x; " + d, false},
		{d, d + ", " + d + "; x", false},
	} {
		offer := OfferOf(goodRequest("Sec-WebSocket-Extensions: "+tt.offer).Header, Lenient{})
		agreed, err := CheckResponse(101, goodAnswer("Sec-WebSocket-Extensions: "+tt.answer), offer)
		if (err == nil) != tt.ok {
			t.Errorf("offer %q, answer %q: %v, want ok %v", tt.offer, tt.answer, err, tt.ok)
		}
		if tt.ok != (agreed.RSV == 0x40) {
			t.Errorf("offer %q, answer %q: RSV %#x", tt.offer, tt.answer, agreed.RSV)
		}
	}
}

func TestLenient(t *testing.T) {
	for key, want := range map[string]bool{sampleKey: true, "abc": true, "AAAAAAAAAAAAAAAAAAAAAA": true, "": false} {
		r := goodRequest()
		r.Header.Set("Sec-WebSocket-Key", key)
		if ref := CheckRequest(r, Lenient{Key: true}); (ref == nil) != want {
			t.Errorf("lenient, key %q: %v, want it to pass: %v", key, ref, want)
		}
		if ref := CheckRequest(r, Lenient{Subprotocol: true}); (ref == nil) != (key == sampleKey) {
			t.Errorf("key %q: %v", key, ref)
		}
	}
	r := goodRequest("Sec-WebSocket-Key: " + sampleKey)
	if CheckRequest(r, Lenient{true, true}) == nil {
		t.Error("two keys are forgiven")
	}
	for _, tt := range []struct {
		lenient Lenient
		lines   []string
		want    string // "" is an error
	}{
		{Lenient{}, []string{"ocpp1.6"}, ""},
		{Lenient{Key: true}, []string{"ocpp1.6"}, ""},
		{Lenient{Subprotocol: true}, []string{"ocpp1.6"}, "ocpp1.6"},
		{Lenient{Subprotocol: true}, []string{"ocpp1.6", "ocpp2.0"}, ""},
		{Lenient{Subprotocol: true}, []string{"ocpp1.6, ocpp2.0"}, ""},
	} {
		h := goodAnswer()
		h["Sec-Websocket-Protocol"] = tt.lines
		agreed, err := CheckResponse(101, h, OfferOf(goodRequest().Header, tt.lenient))
		if agreed.Protocol != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%+v, answer %q: %+v, %v, want %q", tt.lenient, tt.lines, agreed, err, tt.want)
		}
	}
}

func TestCheckUpgradeResponse(t *testing.T) {
	if err := CheckUpgradeResponse(header("Connection: upgrade", "Upgrade: SPDY/3.1"), "spdy/3.1"); err != nil {
		t.Error(err)
	}
	for _, h := range []http.Header{
		header("Connection: upgrade", "Upgrade: spdy"),
		header("Connection: upgrade", "Upgrade: spdy/3.1, x"),
		header("Connection: upgrade"),
		header("Upgrade: spdy/3.1"),
	} {
		if err := CheckUpgradeResponse(h, "spdy/3.1"); err == nil {
			t.Errorf("%v passes", h)
		}
	}
}

func TestCheckOrigin(t *testing.T) {
	tests := []struct {
		rules  string // separated by spaces
		origin string // lines separated by "|"; "" is none
		host   string
		ok     bool
	}{
		// Same host is the default.
		{"", "", "a.example", true},
		{"", "https://a.example", "a.example", true},
		{"", "http://A.example:8080", "a.EXAMPLE:443", true},
		{"", "https://a.example", "a.example.", true},
		{"", "https://[::1]:3000", "[0::1]:80", true},
		{"", "https://127.0.0.1", "127.0.0.1:80", true},
		{"", "https://b.example", "a.example", false},
		{"", "https://a.example.evil", "a.example", false},
		{"", "https://sub.a.example", "a.example", false},
		{"", "null", "a.example", false},
		{"", "null", "null", false},
		{"", "", "", true},
		{"", "https://", "", false},
		{"", "https://a.example|https://a.example", "a.example", false},
		{"", "https://a.example/path", "a.example", false},
		{"", "https://u@a.example", "a.example", false},
		{"", "https://a.example https://a.example", "a.example", false},
		{"", "a.example", "a.example", false},
		{"", "https://\u212a.example", "k.example", false}, // the Kelvin sign
		{"https://k.example", "https://\u212a.example", "x", false},
		{"", "https://a.example:", "a.example", false},

		{"https://app.example", "https://app.example", "x", true},
		{"https://app.example", "https://app.example:443", "x", true},
		{"https://app.example:443", "https://app.example", "x", true},
		{"HTTPS://App.Example", "https://app.example", "x", true},
		{"https://app.example", "http://app.example", "x", false},
		{"https://app.example", "https://app.example:8443", "x", false},
		{"https://app.example:8443", "https://app.example:8443", "x", true},
		{"https://app.example", "https://x", "x", false}, // a list replaces same-host
		{"https://app.example same-host", "https://x", "x", true},
		{"https://app.example", "null", "x", false},
		{"https://app.example", "https://app.example|https://app.example", "x", false},
		{"https://app.example", "", "x", true},
		{"https://*.example", "https://a.b.example", "x", true},
		{"https://*.example:8443", "https://a.example:8443", "x", true},
		{"https://*.example", "https://a.example:8443", "x", false},
		{"https://*.example", "https://example", "x", false},
		{"https://*.example", "https://evilexample", "x", false},
		{"https://*.example", "https://.example", "x", false},
		{"https://*.example", "http://a.example", "x", false},
		{"chrome-extension://abcdef", "chrome-extension://abcdef", "x", true},

		{"any", "null", "x", true},
		{"null", "null", "x", true},
		{"null", "file://", "x", false},
		{"null", "https://null", "x", false},
		{"null", "https://x", "x", false}, // a list replaces same-host
		{"null same-host", "https://x", "x", true},
		{"null", "null|null", "x", false},
		{"", "file://", "", false},
		{"file://", "file://", "x", true},
		{"file://", "FILE://", "x", true},
		{"file://", "file:///", "x", false},
		{"file://", "null", "x", false},
		{"any", "https://b|https://c", "x", true},
	}
	for _, tt := range tests {
		rules, err := ParseOrigins(strings.Fields(tt.rules))
		if err != nil {
			t.Fatalf("ParseOrigins(%q): %v", tt.rules, err)
		}
		h := http.Header{}
		if tt.origin != "" {
			h["Origin"] = strings.Split(tt.origin, "|")
		}
		ref := CheckOrigin(h, tt.host, rules)
		if (ref == nil) != tt.ok {
			t.Errorf("rules %q, origin %q, host %q: %v, want ok %v", tt.rules, tt.origin, tt.host, ref, tt.ok)
		}
		if ref != nil && (ref.Status != 403 || ref.Hint == "") {
			t.Errorf("origin %q: %+v, want 403 with a hint", tt.origin, ref)
		}
	}
}

func TestOriginHint(t *testing.T) {
	ref := CheckOrigin(header("Origin: https://app.example.com:443"), "chat.example.com", OriginRules{})
	const want = `origin "https://app.example.com:443" is not allowed: to let it in, write origins: [https://app.example.com]`
	if ref == nil || ref.Hint != want {
		t.Errorf("hint %+v, want %q", ref, want)
	}
	if strings.Contains(ref.Text, "example") {
		t.Errorf("the client is told %q", ref.Text)
	}
}

func TestParseOriginsRefuses(t *testing.T) {
	for _, s := range []string{"", "*", "NULL", "file:///", "File://", "app.example", "https://", "https://*", "https://*.", "https://a.*", "https://a/b", "https://a:0", "https://a:b",
		"https://u@a", "https://*.[::1]", "https://[::1", "https://a..b", "://a", "1x://a", "https://a:99999", "https://a:+1", "SAME-HOST", "https://*.*.a"} {
		if _, err := ParseOrigins([]string{"https://good.example", s}); err == nil || !strings.Contains(err.Error(), "want scheme") {
			t.Errorf("ParseOrigins(%q): %v, want an error", s, err)
		}
	}
}

// TestAgreed: what two backends have settled is the same whatever the order of
// parameters, and forgets if no compression context outlives a message.
func TestAgreed(t *testing.T) {
	of := func(extensions string) Agreed {
		a := Agreed{Protocol: "chat"}
		if extensions != "" {
			var err error
			if a.Extensions, err = parseExtensions(http.Header{"Sec-Websocket-Extensions": {extensions}}); err != nil {
				t.Fatal(err)
			}
		}
		return a
	}
	const both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, tt := range []struct {
		extensions string
		forgets    bool
		other      string
		same       bool
	}{
		{"", true, "", true},
		{"", true, both, false},
		{both, true, "permessage-deflate; client_no_context_takeover; server_no_context_takeover", true},
		{both + "; server_max_window_bits=10", true, both + "; server_max_window_bits=11", false},
		{both + "; server_max_window_bits=10", true, both, false},
		{both, true, both + ", x-other", false},
		{"permessage-deflate", false, "permessage-deflate", true},
		{"permessage-deflate; server_no_context_takeover", false, "permessage-deflate; client_no_context_takeover", false},
		{both + "; server_max_window_bits=12", true, both + `; server_max_window_bits="12"`, true},
		{both + "; server_max_window_bits=7", false, both, false}, // unknown here, so what they mean is too
		{both + "; server_no_context_takeover", false, both, false},
		{both + "; x", false, both, false},
		{both + "; server_max_window_bits", false, both, false},
		{"permessage-deflate; server_no_context_takeover=; client_no_context_takeover", false, both, false},
		{"x-other", false, "x-other", true},
		{both + ", x-other", false, both, false},
	} {
		a, b := of(tt.extensions), of(tt.other)
		if a.Forgets() != tt.forgets {
			t.Errorf("%q forgets: %v, want %v", tt.extensions, a.Forgets(), tt.forgets)
		}
		if a.Same(b) != tt.same || b.Same(a) != tt.same {
			t.Errorf("%q and %q are the same: %v and %v, want %v", tt.extensions, tt.other, a.Same(b), b.Same(a), tt.same)
		}
	}
	if a := of(""); a.Same(Agreed{}) {
		t.Error("a subprotocol and none are the same")
	}
}
