package e2e

// Clients that stop in the middle of a body, or of an answer: timeouts.body and
// timeouts.send end them, and give back what they hold.

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// closing is a backend that tells when a connection of its has ended; its answer
// depends on the path.
func closing(t *testing.T) (b *proxytest.RawBackend, ended chan string) {
	t.Helper()
	ended = make(chan string, 100)
	b = proxytest.NewRawBackend(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		head, err := proxytest.ReadHead(in)
		if err != nil {
			return
		}
		path := pathOf(head)
		switch path {
		case "/early": // answers while the body is still to come
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
		case "/large":
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
			chunk := make([]byte, 1<<20)
			for err == nil {
				_, err = conn.Write(chunk)
			}
		case "/events":
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
			time.Sleep(1500 * time.Millisecond) // the silence is the backend's
			io.WriteString(conn, "data: 2\n\n")
			return
		}
		io.Copy(io.Discard, in)
		ended <- path
	})
	return b, ended
}

// TestSilentBodies: timeouts.body, on every kind of target.
func TestSilentBodies(t *testing.T) {
	t.Parallel()
	b, ended := closing(t)
	p := start(t, web+fill(`
defaults: {timeouts: {body: 500ms}}
routes:
  all:  {match: {path_prefix: /}, to: "http://$b"}
  echo: {match: {path: /echo}, to: "internal://echo"}
  slow: {match: {path: /slow}, to: "internal://echo", timeouts: {body: 2s}}
`, map[string]string{"b": b.Addr}))
	for _, path := range []string{"/x", "/echo"} {
		for _, body := range []string{
			"Content-Length: 100000\r\n\r\n",
			"Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n",
			"Transfer-Encoding: chunked\r\n\r\n",
			"Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
			"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
		} {
			if path == "/echo" && strings.Contains(body, "5\r\nhe") {
				// Its answer has begun: what there is of it arrives, and no end.
				client := connect(t, p)
				client.Send("POST " + path + " HTTP/1.1\r\nHost: a\r\n" + body)
				if rest := client.Rest(); !strings.HasPrefix(rest, "HTTP/1.1 200") || !strings.Contains(rest, "\r\nhe") || strings.HasSuffix(rest, "0\r\n\r\n") {
					t.Errorf("%s %q: %q", path, body, rest)
				}
				continue
			}
			client := connect(t, p)
			client.Send("POST " + path + " HTTP/1.1\r\nHost: a\r\n" + body)
			answer, text := client.Response("POST")
			if answer.StatusCode != 408 || !strings.Contains(text, "silent") {
				t.Errorf("%s %q: %d %q, wanted 408", path, body, answer.StatusCode, text)
			}
			if rest := client.Rest(); rest != "" {
				t.Errorf("%s %q: %q behind the answer", path, body, rest)
			}
			if path == "/x" {
				arrives(t, ended)
			}
		}
	}
	// It is silence that counts, not the whole.
	slow := connect(t, p)
	slow.Send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
	for range 8 {
		time.Sleep(300 * time.Millisecond)
		slow.Send("x")
	}
	if answer, text := slow.Response("POST"); answer.StatusCode != 200 || text != "xxxxxxxx" {
		t.Errorf("a slow body: %d %q", answer.StatusCode, text)
	}
	// An answer that has begun breaks off.
	early := connect(t, p)
	early.Send("POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	if rest := early.Rest(); !strings.HasPrefix(rest, "HTTP/1.1 200") || strings.HasSuffix(rest, "0\r\n\r\n") {
		t.Errorf("a stalled body behind a begun answer: %q", rest)
	}
	arrives(t, ended)
}

// TestSilentStreams is TestSilentBodies on HTTP/2.
func TestSilentStreams(t *testing.T) {
	t.Parallel()
	b, ended := closing(t)
	authority := proxytest.NewAuthority(t)
	p := start(t, overTLS("", authority.Issue([]string{"127.0.0.1"}))+fill(`
defaults: {timeouts: {body: 500ms}}
routes:
  all:  {match: {path_prefix: /}, to: "http://$b"}
  echo: {match: {path: /echo}, to: "internal://echo"}
`, map[string]string{"b": b.Addr}))
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}
	defer transport.CloseIdleConnections()
	for _, path := range []string{"/x", "/echo"} {
		body, never := io.Pipe()
		defer never.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+p.address("web")+path, body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 408 || answer.ProtoMajor != 2 {
			t.Errorf("%s: %s %d, wanted 408", path, answer.Proto, answer.StatusCode)
		}
	}
	arrives(t, ended)
}

// TestClientsThatDoNotRead: timeouts.send cuts them, plain and over TLS, and the
// backend's connection with them; those that read slowly stay, and those to which
// nothing is sent.
func TestClientsThatDoNotRead(t *testing.T) {
	t.Parallel()
	b, ended := closing(t)
	authority := proxytest.NewAuthority(t)
	routes := fill(`
defaults: {timeouts: {send: 1s}}
routes:
  all:  {match: {path_prefix: /}, to: "http://$b"}
  slow: {match: {path_prefix: /slow}, to: "http://$b/large", timeouts: {send: 3s}}
`, map[string]string{"b": b.Addr})
	plain := start(t, web+routes)
	secure := start(t, overTLS("", authority.Issue([]string{"127.0.0.1"}))+routes)
	overTLS := func(protocols ...string) *proxytest.Raw {
		conn, err := tls.Dial("tcp", secure.address("web"), &tls.Config{RootCAs: authority.Pool(), NextProtos: protocols})
		if err != nil {
			t.Fatal(err)
		}
		return proxytest.RawOver(t, conn)
	}
	const large = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, client := range []*proxytest.Raw{connect(t, plain), overTLS()} {
		client.Send(large)
		if path := arrives(t, ended); path != "/large" {
			t.Errorf("%s ended", path)
		}
	}
	plain.waitLog("request", fields{"path": "/large", "status": 200, "level": "WARN"})

	// On HTTP/2 a stream whose window is used up, and a connection that is not read.
	for _, window := range []uint32{0, 1 << 30} {
		client := overTLS("h2")
		io.WriteString(client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		writeHTTP2Frame(client, frameSettings, 0, 0, nil)
		if window > 0 {
			const initialWindow, frameWindow = 4, 8
			writeHTTP2Frame(client, frameSettings, 0, 0, append([]byte{0, initialWindow}, []byte{byte(window >> 24), byte(window >> 16), byte(window >> 8), byte(window)}...))
			writeHTTP2Frame(client, frameWindow, 0, 0, []byte{byte(window >> 24), byte(window >> 16), byte(window >> 8), byte(window)})
		}
		writeFields(client, [][2]string{{":path", "/large"}})
		if path := arrives(t, ended); path != "/large" {
			t.Errorf("%s ended", path)
		}
	}

	// A slow reader takes something now and then.
	slow := connect(t, plain)
	slow.Send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	part := make([]byte, 256<<10)
	for range 20 {
		time.Sleep(200 * time.Millisecond)
		if _, err := io.ReadFull(slow.Reader, part); err != nil {
			t.Fatalf("a slow reader: %v", err)
		}
	}
	slow.Close()
	arrives(t, ended)

	// Server-sent events are silent for as long as the backend is.
	events := connect(t, plain)
	events.Send("GET /events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if rest := events.Rest(); !bytes.Contains([]byte(rest), []byte("data: 2\n\n")) {
		t.Errorf("events: %q", rest)
	}
}

// TestUnreadBodiesOfOwnAnswers: an answer that wants no body does not wait for one.
func TestUnreadBodiesOfOwnAnswers(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
routes:
  own:   {match: {path: /own}, respond: {body: own}}
  away:  {match: {path: /away}, redirect: {to: /own}}
  state: {match: {path: /state}, to: "internal://status"}
`)
	var clients []*proxytest.Raw
	for path, status := range map[string]int{"/own": 200, "/away": 302, "/state": 200, "/none": 404} {
		for _, body := range []string{"Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe"} {
			client := connect(t, p)
			if got := ask(t, client, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\n%s", path, body)); got.status != status {
				t.Errorf("%s: %d, wanted %d", path, got.status, status)
			}
			clients = append(clients, client)
		}
	}
	for _, client := range clients {
		client.Rest() // it ends
	}
}
