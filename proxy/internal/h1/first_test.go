package h1

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const handshakeHead = "GET /chat?x=1 HTTP/1.1\r\nHost: example.com:80\r\nConnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: a=b\r\nCookie:\tc=d \r\nX-Empty:\r\n\r\n"

var firstSeeds = []string{
	handshakeHead,
	handshakeHead + "\x81\x85abcdhello",
	"\r\n" + handshakeHead,
	"GET /%C3%A9/..//x?%zz HTTP/1.1\r\nhOST: [::1]\r\nUpgrade: h2c, websocket\r\nPragma: no-cache\r\n\r\nPRI",
	"GET /a:b HTTP/1.1\r\nHost: a\r\nUpgrade:\r\nX: \xe9\xff\r\nx: 2\r\nX: 3\r\n\r\n",
	"GET //a/b HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: close\r\n\r\n",
	"GET http://a/b HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nExpect: 100-continue\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: a\r\nUpgrade: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nupgrade: x\r\nX-A: 1\r\nx-a: 2\r\nDNT: 1\r\ndnt: 2\r\napi_key: k\r\n\r\n",
}

// FuzzFirst: a request that PlainUpgrade finds is the one that net/http would have read;
// and any other, or one that is given back, is read as if nobody had looked.
func FuzzFirst(f *testing.F) {
	for _, seeds := range [][]string{firstSeeds, seeds} {
		for _, s := range seeds {
			f.Add([]byte(s), 0)
			f.Add([]byte(s), 1)
			f.Add([]byte(s), 100)
		}
	}
	for _, tt := range hostile {
		f.Add([]byte(tt.head), 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if size < 0 || len(data) > 64<<10 {
			return
		}
		checkTaken(t, data)
		want := throughGate(t, data, pieces(size))
		read := min(len(data), size)
		got := throughGateAfter(t, data[read:], pieces(size), func(g *Conn) { g.AdoptState(nil, time.Time{}, data[:read], nil) })
		if !reflect.DeepEqual(got, want) {
			t.Errorf("after %d bytes were read:\n%+v\nwithout:\n%+v", read, got, want)
		}
	})
}

// checkTaken compares the request that is taken with net/http's.
func checkTaken(t *testing.T, data []byte) {
	n := PlainUpgrade(data, testLimits)
	if n == 0 {
		return
	}
	head := string(data[:n])
	want, wantErr := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	got, names, err := NewRequest(head)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("error %v, net/http has %v", err, wantErr)
	}
	if err != nil {
		return
	}
	if body, err := io.ReadAll(want.Body); len(body) > 0 || err != nil {
		t.Fatalf("net/http reads a body %q, %v", body, err)
	}
	want.Header.Del("Host") // as net/http's server does
	want.Body, want.Close = http.NoBody, false
	h, _, err := ParseHead([]byte(head), nil, Limits{Fields: 1 << 20, HeadBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if want := h.names(); !slices.Equal(names, want) {
		t.Errorf("names are spelled %q, a reader of every head has %q", names, want)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("request:\n%+v\nnet/http has:\n%+v", got, want)
	}
}

func TestPlainUpgradesOnly(t *testing.T) {
	for i, s := range firstSeeds {
		if want := i <= 1 || 3 <= i && i <= 5 || i == 13; (PlainUpgrade([]byte(s), testLimits) > 0) != want {
			t.Errorf("%q: taken %v, want %v", s, !want, want)
		}
	}
	if n := PlainUpgrade([]byte(handshakeHead[:len(handshakeHead)-1]), testLimits); n != 0 {
		t.Errorf("%d bytes of a head that is not complete are taken", n)
	}
}

func BenchmarkFirst(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		n := PlainUpgrade([]byte(handshakeHead), wideLimits)
		if _, _, err := NewRequest(handshakeHead[:n]); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAdoptState: the deadline that is given counts, the peer is known even if the
// connection does not know it, and what was found out is told once.
func TestAdoptState(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	g := Wrap(server, withTimeout(time.Hour), nil).(*Conn)
	defer g.Close()
	peer := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
	g.AdoptState(peer, time.Now().Add(-time.Second), []byte("GET /"), "found")
	go io.Copy(io.Discard, client)                                // the answer
	if n, err := g.Read(make([]byte, 100)); n > 0 || err == nil { // not in an hour
		t.Errorf("read %d, %v", n, err)
	}
	if got := g.RemoteAddr(); got != peer {
		t.Errorf("the peer is %v, want %v", got, peer)
	}
	if got := g.TakeHandoff(); got != "found" || g.TakeHandoff() != nil {
		t.Errorf("found %v, then something again", got)
	}
}

// TestEndBy: it ends a connection whose first head has not come, whatever deadlines
// net/http sets, and no other.
func TestEndBy(t *testing.T) {
	for _, sent := range []string{"", "GET / HT", "\r\n"} {
		client, server := net.Pipe()
		g := Wrap(server, withTimeout(time.Hour), nil).(*Conn)
		g.AdoptState(nil, time.Time{}, []byte(sent), nil)
		g.EndBy(time.Now().Add(-time.Second))
		_ = g.SetReadDeadline(time.Time{})
		if n, err := g.Read(make([]byte, 100)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("behind %q: read %d, %v", sent, n, err)
		}
		client.Close()
		g.Close()
	}
	for _, first := range []bool{false, true} {
		client, server := net.Pipe()
		g := Wrap(server, withTimeout(time.Hour), nil).(*Conn)
		g.AdoptState(nil, time.Time{}, []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"), nil)
		if first {
			g.EndBy(time.Now().Add(time.Hour))
		}
		if _, err := g.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		g.EndBy(time.Now().Add(-time.Second))
		go client.Write([]byte("body"))
		if n, err := g.Read(make([]byte, 100)); n == 0 || err != nil {
			t.Errorf("the body: read %d, %v", n, err)
		}
		client.Close()
		g.Close()
	}
}
