package e2e

// HTTP/2 clients over TLS: the backend sees ordinary HTTP/1.1, and what frames
// alone can say, of headers that HTTP/1.1 could not carry, is refused.

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// secureSite is a proxy with one TLS listener and one route to a backend, and
// the client's side of its TLS.
func secureSite(t *testing.T, address string) (*proxy, *tls.Config) {
	t.Helper()
	authority := proxytest.NewAuthority(t)
	certificate := authority.Issue([]string{"127.0.0.1", "site.example"})
	p := start(t, fmt.Sprintf(`version: 1
listeners:
  secure: {address: "127.0.0.1:0", tls: {certificates: [{certificate: %s, key: %s}]}}
routes:
  all:    {match: {path_prefix: /}, to: "http://%s"}
  secret: {match: {path_prefix: /secret}, respond: {status: 403}}
`, certificate.File, certificate.KeyFile, address))
	return p, &tls.Config{RootCAs: authority.Pool()}
}

func TestHTTP2Clients(t *testing.T) {
	t.Parallel()
	mirror, crumbs := proxytest.Mirror(t), "a=b; c=d"
	p, config := secureSite(t, mirror.Addr)
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)

	for name, tt := range map[string]struct {
		method, body string
		length       int64 // -1: not said
	}{
		"GET": {"GET", "", 0}, "POST": {"POST", "hello", 5}, "unsaid": {"POST", "hello", -1}, "large": {"PUT", strings.Repeat("0123456789", 100_000), 1_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, "https://"+p.address("secure")+"/x/../a%2Db?q=%2F", struct{ io.Reader }{strings.NewReader(tt.body)})
			if err != nil {
				t.Fatal(err)
			}
			if r.ContentLength = tt.length; tt.length == 0 {
				r.Body = nil
			}
			r.Host = "site.example"
			r.Header.Set("Cookie", crumbs)
			r.Header.Set("Te", "trailers")
			answer, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.ProtoMajor != 2 {
				t.Fatalf("%s, %v", answer.Proto, err)
			}
			seen := decodeSeen(t, reply{answer.StatusCode, answer.Header, string(body)})
			if seen.Target != "/a-b?q=%2F" || seen.Proto != "HTTP/1.1" || seen.Body != tt.body || seen.Length != tt.length {
				t.Errorf("the backend got %s %s, %d bytes of length %d", seen.Target, seen.Proto, len(seen.Body), seen.Length)
			}
			for field, want := range map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "site.example", "Cookie": crumbs, "Te": "trailers", "Connection": ""} {
				if got := seen.Header.Get(field); got != want {
					t.Errorf("the backend got %s: %q, wanted %q", field, got, want)
				}
			}
		})
	}
}

// TestHTTP2BothWays: a stream whose ends take turns, with trailers at both.
func TestHTTP2BothWays(t *testing.T) {
	t.Parallel()
	echoing := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		control.EnableFullDuplex()
		w.Header().Set("Trailer", "X-Sum")
		control.Flush()
		part := make([]byte, 100)
		for {
			n, err := r.Body.Read(part)
			w.Write(part[:n])
			control.Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
	}))
	p, config := secureSite(t, echoing.Addr)
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)

	body, send := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+p.address("secure")+"/", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Trailer = http.Header{"X-Sum": nil}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for i := range 10 {
		part := fmt.Sprintf("part %d", i)
		io.WriteString(send, part)
		got := make([]byte, len(part))
		if _, err := io.ReadFull(answer.Body, got); err != nil || string(got) != part {
			t.Fatalf("%q, %v, wanted %q", got, err, part)
		}
	}
	r.Trailer.Set("X-Sum", "42")
	send.Close()
	if rest, err := io.ReadAll(answer.Body); len(rest) > 0 || err != nil || answer.Trailer.Get("X-Sum") != "42" {
		t.Errorf("rest %q, %v, trailer %v, wanted the sum", rest, err, answer.Trailer)
	}
}

// TestHTTP2Hostile: raw header fields. A want of 0 is a stream error (RFC 9113,
// section 8.1.1).
func TestHTTP2Hostile(t *testing.T) {
	t.Parallel()
	b := newWire(t, nil)
	p, config := secureSite(t, b.Addr)
	const evil = "x\r\nX-Evil: 1"
	for name, tt := range map[string]struct {
		change [][2]string // pseudo-headers are replaced, others are added
		want   []int       // any of them
	}{
		"plain":                  {nil, []int{200}},
		"CRLF in a value":        {[][2]string{{"x-a", evil}}, []int{0, 400}},
		"LF in a value":          {[][2]string{{"x-a", "x\nX-Evil: 1"}}, []int{0, 400}},
		"NUL in a value":         {[][2]string{{"x-a", "x\x00"}}, []int{0, 400}},
		"CRLF in a name":         {[][2]string{{"x-a: 1\r\nx-evil", "1"}}, []int{0, 400}},
		"colon in a name":        {[][2]string{{"x-evil: 1\r\nb", "1"}}, []int{0, 400}},
		"upper case name":        {[][2]string{{"X-Evil", "1"}}, []int{0, 400}},
		"CRLF in the path":       {[][2]string{{":path", "/ HTTP/1.1\r\nX-Evil: 1\r\n"}}, []int{0, 400}},
		"space in the path":      {[][2]string{{":path", "/a b"}}, []int{0, 400}},
		"space in the query":     {[][2]string{{":path", "/a?b HTTP/1.1"}}, []int{0, 400}},
		"CRLF in the query":      {[][2]string{{":path", "/a?b\r\nX-Evil: 1"}}, []int{0, 400}},
		"path without a slash":   {[][2]string{{":path", "secret"}}, []int{0, 400}},
		"absolute path":          {[][2]string{{":path", "http://b/secret"}}, []int{0, 400}},
		"dots":                   {[][2]string{{":path", "/x/../secret"}}, []int{403}},
		"encoded slash":          {[][2]string{{":path", "/x%2fsecret"}}, []int{0, 400}},
		"fragment":               {[][2]string{{":path", "/a#b"}}, []int{0, 400}},
		"CRLF in the method":     {[][2]string{{":method", "GET /secret HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET"}}, []int{0, 400}},
		"space in the method":    {[][2]string{{":method", "GET /secret"}}, []int{0, 400}},
		"CONNECT":                {[][2]string{{":method", "CONNECT"}}, []int{0, 400, 405}},
		"TRACE":                  {[][2]string{{":method", "TRACE"}}, []int{200, 405}},
		"CRLF in the authority":  {[][2]string{{":authority", evil}}, []int{0, 400}},
		"userinfo":               {[][2]string{{":authority", "u@site.example"}}, []int{0, 400}},
		"slash in the authority": {[][2]string{{":authority", "site.example/x"}}, []int{0, 400}},
		"bad port":               {[][2]string{{":authority", "site.example:99999"}}, []int{0, 400}},
		"no authority":           {[][2]string{{":authority", ""}}, []int{0, 400}},
		"equal Host":             {[][2]string{{"host", "site.example"}}, []int{200}},
		"another Host":           {[][2]string{{"host", "other.example"}}, []int{0, 400}},
		"two Hosts":              {[][2]string{{"host", "site.example"}, {"host", "other.example"}}, []int{0, 400}},
		"Connection":             {[][2]string{{"connection", "upgrade"}}, []int{0, 400}},
		"Upgrade":                {[][2]string{{"upgrade", "websocket"}}, []int{0, 400}},
		"Transfer-Encoding":      {[][2]string{{"transfer-encoding", "chunked"}}, []int{0, 400}},
		"TE: gzip":               {[][2]string{{"te", "gzip"}}, []int{0, 400}},
		"another scheme":         {[][2]string{{":scheme", "http"}}, []int{200}}, // and the backend is told https, see below
		"too long a length":      {[][2]string{{"content-length", "5"}}, []int{0, 400}},
		"length that is none":    {[][2]string{{"content-length", "abc"}}, []int{0, 400}},
		"two lengths":            {[][2]string{{"content-length", "0"}, {"content-length", "5"}}, []int{0, 400}},
		"two paths":              {[][2]string{{"+:path", "/secret"}}, []int{0, 400}},
		"unknown pseudo-header":  {[][2]string{{":evil", "1"}}, []int{0, 400}},
		"claims":                 {[][2]string{{"x-forwarded-for", "x-evil"}, {"x_forwarded_for", "x-evil"}}, []int{200}},
		"large":                  {[][2]string{{"x-a", strings.Repeat("b", 40_000)}}, []int{0, 431}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := askHTTP2(t, p, config, tt.change); !slices.Contains(tt.want, got) {
				t.Errorf("%d, wanted one of %v", got, tt.want)
			}
		})
	}
	for _, head := range b.asked() {
		if got := fieldLines(head, "X-Forwarded-Proto"); got != "https" {
			t.Errorf("the backend got X-Forwarded-Proto %q", got)
		}
		if lower := strings.ToLower(head); strings.Contains(lower, "evil") || strings.Contains(lower, "secret") {
			t.Errorf("the backend was asked %q", head)
		}
	}
}

// askHTTP2 sends one request of raw fields and returns the answer's status, 0
// for a stream or connection error.
func askHTTP2(t *testing.T, p *proxy, config *tls.Config, change [][2]string) int {
	t.Helper()
	config = config.Clone()
	config.NextProtos = []string{"h2"}
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(t.Context(), "tcp", p.address("secure"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(proxytest.Patience))
	io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	writeHTTP2Frame(conn, frameSettings, 0, 0, nil)
	writeFields(conn, change)
	for {
		kind, flags, payload, err := readHTTP2Frame(conn)
		switch {
		case err != nil || kind == frameReset || kind == frameGoAway:
			return 0
		case kind == frameSettings && flags == 0:
			writeHTTP2Frame(conn, frameSettings, flagAck, 0, nil)
		case kind == frameHeaders:
			return statusOf(t, payload)
		}
	}
}

// Frames and flags of RFC 9113, section 6.
const (
	frameHeaders, frameReset, frameSettings, frameGoAway, frameContinuation = 1, 3, 4, 7, 9

	flagAck, flagEndStream, flagEndHeaders = 1, 1, 4
)

func writeHTTP2Frame(w io.Writer, kind, flags, stream byte, payload []byte) {
	n := len(payload)
	head := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, stream}
	w.Write(append(head, payload...)) // a connection that broke shows when it is read
}

func readHTTP2Frame(r io.Reader) (kind, flags byte, payload []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(r, payload)
	return head[3], head[4], payload, err
}

// statusOf is the :status in a whole block of fields.
func statusOf(t *testing.T, block []byte) (status int) {
	t.Helper()
	fields, err := hpack.NewDecoder(4096, nil).DecodeFull(block)
	if err != nil || len(fields) == 0 || fields[0].Name != ":status" {
		t.Fatalf("fields %v, %v, wanted a status first", fields, err)
	}
	status, err = strconv.Atoi(fields[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// writeFields writes one request's fields, in as many frames as it takes.
func writeFields(w io.Writer, change [][2]string) {
	fields := [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "site.example"}, {":path", "/x"}}
	for _, c := range change {
		at := slices.IndexFunc(fields, func(f [2]string) bool { return f[0] == c[0] && f[0][0] == ':' })
		if at >= 0 {
			fields[at] = c
		} else {
			fields = append(fields, [2]string{strings.TrimPrefix(c[0], "+"), c[1]})
		}
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		if f != [2]string{":authority", ""} {
			encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
	}
	kind, flags := byte(frameHeaders), byte(flagEndStream)
	for block.Len() > 0 {
		part := block.Next(16_000)
		if block.Len() == 0 {
			flags |= flagEndHeaders
		}
		writeHTTP2Frame(w, kind, flags, 1, part)
		kind, flags = frameContinuation, 0
	}
}
