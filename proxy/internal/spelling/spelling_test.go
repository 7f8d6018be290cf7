package spelling

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

func noted(names ...string) (n Names) {
	for _, name := range names {
		n.Note([]byte(name))
	}
	return n
}

func TestNote(t *testing.T) {
	for _, tt := range []struct{ sent, want string }{
		{"Accept X-A-1 A - X_a Soapaction", ""},
		{"SOAPAction api_key DNT X-UNIFI etag", "SOAPAction api_key DNT X-UNIFI etag"},
		{"x-a X-a X-A dnt DNT", "x-a dnt"},
		{"host HOST user-agent content-length transfer-encoding trailer connection expect te", ""},
		{"idempotency-key X-idempotency-key content-type content-encoding date upgrade AUTHORIZATION", ""},
		{"sec-websocket-key Sec-WebSocket-Accept SEC-WEBSOCKET-VERSION", ""},
		{"sec-websocket- sec-websocket-origin", "sec-websocket- sec-websocket-origin"},
	} {
		var texts Names
		for _, name := range strings.Fields(tt.sent) {
			texts.NoteText(name, http.CanonicalHeaderKey(name))
		}
		for _, got := range []Names{noted(strings.Fields(tt.sent)...), texts} {
			if strings.Join(got, " ") != tt.want {
				t.Errorf("of %q are kept %q, want %q", tt.sent, got, tt.want)
			}
		}
	}
	var many Names
	for i := range 10 * most {
		many.Note(fmt.Append(nil, "x-", i))
	}
	if len(many) != most {
		t.Errorf("%d names are kept, want %d at most", len(many), most)
	}
}

func TestCanonicalNamesCostNothing(t *testing.T) {
	name, text := []byte("X-Forwarded-For"), "X-Forwarded-For"
	var names Names
	if n := testing.AllocsPerRun(100, func() {
		names.Note(name)
		names.NoteText(text, text)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRespell(t *testing.T) {
	h := http.Header{"X-A": {"1", "2"}, "Dnt": {"1"}, "Content-Length": {"3"}, "Sec-Websocket-Key": {"k"}, "Sec-Websocket-Foo": {"f"}}
	for range 2 { // it may come again
		for _, name := range []string{"x-A", "X-a", "DNT", "content-length", "sec-websocket-key", "absent", "X-A"} {
			Respell(h, name)
		}
		RespellHandshake(h)
		if want := "map[Content-Length:[3] DNT:[1] Sec-WebSocket-Key:[k] Sec-Websocket-Foo:[f] x-A:[1 2]]"; fmt.Sprint(h) != want {
			t.Errorf("got  %v\nwant %v", h, want)
		}
	}
}

// FuzzRespell: names that were noted of a head change the letters of its header, and
// nothing else: not which lines there are, nor how net/http writes the request.
func FuzzRespell(f *testing.F) {
	for _, seed := range []string{
		"SOAPAction: x\napi_key: k\nDNT: 1", "x-a: 1\nX-A: 2\nX-a: 3", "content-length: 3\nCONTENT-LENGTH: 3", "host: a\nuser-agent: b\nUSER-AGENT: c",
		"transfer-encoding: chunked\ntrailer: x\nconnection: close", "sec-websocket-key: k\nsec-websocket-foo: x", "expect: 100-continue\nidempotency-key: 1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(text + "\n\n"))).ReadMIMEHeader()
		if err != nil {
			t.Skip("not a header")
		}
		var names Names
		for line := range strings.Lines(text) {
			name, _, _ := strings.Cut(line, ":")
			if name == "" || strings.ContainsFunc(name, notToken) {
				continue // no reader of ours lets it pass
			}
			if got, want := IsCanonical([]byte(name)), textproto.CanonicalMIMEHeaderKey(name) == name; got != want {
				t.Errorf("%q: canonical is %v, net/textproto has %v", name, got, want)
			}
			names.Note([]byte(name))
		}
		before := written(t, http.Header(header))
		h := http.Header(header).Clone()
		for _, name := range names {
			Respell(h, name)
		}
		RespellHandshake(h)
		if after := written(t, h); !slices.Equal(after, before) {
			t.Errorf("respelled by %q:\n%q\nbefore:\n%q", names, after, before)
		}
	})
}

func notToken(r rune) bool {
	return r > '~' || r <= ' ' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// written is the lines that net/http writes for a request, sorted, with canonical names.
func written(t *testing.T, h http.Header) []string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://a/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return []string{err.Error()}
	}
	lines := strings.Split(b.String(), "\r\n")
	for i, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		lines[i+1] = textproto.CanonicalMIMEHeaderKey(name) + ":" + value
	}
	slices.Sort(lines)
	return lines
}
