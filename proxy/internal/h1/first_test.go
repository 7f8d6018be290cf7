package h1

import (
	"bufio"
	"io"
	"net"
	"net/http"
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

// FuzzFirst: a request that FirstRequest returns is the one that net/http would have
// read, with the same bytes behind it; and any other, or one that is returned, is read
// as if FirstRequest had not been called.
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
		checkTaken(t, data, size)
		want := throughGate(t, data, pieces(size))
		got := throughGateAfter(t, data, pieces(size), func(g *Conn) {
			if first, err := g.FirstRequest(); first.Head != "" {
				first.Consume()
				first.Return(nil)
			} else if err != nil && len(data) > 0 {
				t.Errorf("FirstRequest: %v, though bytes came", err)
			}
		})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("after FirstRequest:\n%+v\nwithout:\n%+v", got, want)
		}
	})
}

// checkTaken compares the request that is taken with net/http's.
func checkTaken(t *testing.T, data []byte, size int) {
	client := &scripted{rest: data, piece: pieces(size)}
	g := Wrap(client, testLimits, nil).(*Conn)
	first, _ := g.FirstRequest()
	head := first.Head
	if head == "" {
		return
	}
	if !strings.HasPrefix(string(data), head) {
		t.Fatalf("the head %q is not how the bytes begin", head)
	}
	first.Consume()
	_, early, _ := g.Detach()
	if behind := string(early) + string(client.rest); behind != string(data[len(head):]) {
		t.Errorf("behind the head: %q, want %q", behind, data[len(head):])
	}
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

func TestFirstTakesPlainUpgradesOnly(t *testing.T) {
	for i, s := range firstSeeds {
		g := Wrap(&scripted{rest: []byte(s), piece: pieces(0)}, testLimits, nil).(*Conn)
		first, err := g.FirstRequest()
		if want := i == 0 || i == 1 || 3 <= i && i <= 5 || i == 13; (first.Head != "") != want || err != nil {
			t.Errorf("%q: taken %q, %v; want %v", s, first.Head, err, want)
		}
	}
}

// TestFirstOfNobody: a connection without a byte has nobody to answer.
func TestFirstOfNobody(t *testing.T) {
	g := Wrap(&scripted{piece: pieces(0)}, testLimits, nil).(*Conn)
	if first, err := g.FirstRequest(); first.Head != "" || err != io.EOF {
		t.Errorf("FirstRequest: %q, %v; want an end of file", first.Head, err)
	}
	if g.early != nil {
		t.Error("a buffer is held for nothing")
	}
}

func BenchmarkFirst(b *testing.B) {
	client := &scripted{piece: pieces(0)}
	b.ReportAllocs()
	for b.Loop() {
		client.rest = []byte(handshakeHead)
		g := Wrap(client, wideLimits, nil).(*Conn)
		first, _ := g.FirstRequest()
		first.Consume()
		if _, _, err := NewRequest(first.Head); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAdoptState: the deadline that is given counts, and the peer is known even if the
// connection does not know it.
func TestAdoptState(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	g := Wrap(server, withTimeout(time.Hour), nil).(*Conn)
	defer g.Close()
	peer := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
	g.AdoptState(peer, time.Now().Add(-time.Second), []byte("GET /"))
	if first, err := g.FirstRequest(); first.Head != "" || err != nil { // not in an hour
		t.Errorf("FirstRequest: %q, %v", first.Head, err)
	}
	if got := g.RemoteAddr(); got != peer {
		t.Errorf("the peer is %v, want %v", got, peer)
	}
}
