package e2e

// Halves: requests whose client has ended its side, and answers of which a part
// came.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestHalfClosedRequests: a client that ends its side behind a request still wants the
// answer; a reset says that it does not.
func TestHalfClosedRequests(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan bool, 10), make(chan bool)
	ended := make(chan bool, 10)
	b := proxytest.NewRawBackend(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for {
			head, err := proxytest.ReadHead(in)
			if err != nil {
				break
			}
			asked <- true
			if pathOf(head) == "/wait" {
				io.Copy(io.Discard, in)
				break
			}
			<-answer
			io.WriteString(conn, ok)
		}
		ended <- true
	})
	p := site(t, b.Addr)
	for _, text := range []string{
		request("GET /x HTTP/1.1", "Host: a"),
		request("GET /x HTTP/1.1", "Host: a", "Connection: close"),
		"GET /x HTTP/1.0\r\nHost: a\r\n\r\n",
		request("POST /x HTTP/1.1", "Host: a", "Content-Length: 0"),
	} {
		client := connect(t, p)
		client.Send(text)
		client.CloseWrite()
		arrives(t, asked)
		time.Sleep(300 * time.Millisecond) // long enough to be taken for gone
		answer <- true
		if got := client.Rest(); !strings.HasPrefix(got, "HTTP/1.") || !strings.HasSuffix(got, "ok") {
			t.Errorf("%q: %q, wanted the answer and the end", text, got)
		}
	}
	for _, half := range []bool{false, true} {
		client := connect(t, p)
		client.Send(request("GET /wait HTTP/1.1", "Host: a"))
		arrives(t, asked)
		if half {
			client.CloseWrite()
			time.Sleep(300 * time.Millisecond)
		}
		client.Conn.(*net.TCPConn).SetLinger(0)
		client.Close()
		arrives(t, ended)
	}
}

// TestQueueIsLeft: a request that waits for a backend leaves the queue when its
// client ends its side, with a body still to come or without.
func TestQueueIsLeft(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan string, 10), make(chan bool)
	b := proxytest.NewRawBackend(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for {
			head, err := proxytest.ReadHead(in)
			if err != nil {
				return
			}
			asked <- pathOf(head)
			<-answer
			io.WriteString(conn, ok)
		}
	})
	p := start(t, web+fill(`
pools: {one: {backends: {a: {url: "http://$b", max_requests: 1}}, queue: {length: 3, wait: 20s}}}
routes: {all: {match: {path_prefix: /}, to: "pool://one"}}
`, map[string]string{"b": b.Addr}))
	first := connect(t, p)
	first.Send(request("GET /first HTTP/1.1", "Host: a"))
	arrives(t, asked)
	for path, leave := range map[string]func(*proxytest.Raw){
		"/fin":   func(c *proxytest.Raw) { c.CloseWrite() },
		"/body":  func(c *proxytest.Raw) { c.CloseWrite() },
		"/reset": func(c *proxytest.Raw) { c.Conn.(*net.TCPConn).SetLinger(0); c.Close() },
	} {
		client := connect(t, p)
		text := "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"
		if path == "/body" {
			text = "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf"
		}
		client.Send(text)
		leave(client)
	}
	for _, path := range []string{"/fin", "/body", "/reset"} {
		p.waitLog("request", fields{"path": path, "status": 499})
	}
	last := connect(t, p)
	last.Send(request("GET /last HTTP/1.1", "Host: a"))
	answer <- true
	if path := arrives(t, asked); path != "/last" {
		t.Errorf("the backend was asked for %s, whose client has gone", path)
	}
	answer <- true
	if got, _ := last.Response("GET"); got.StatusCode != 200 {
		t.Errorf("the last request: %d", got.StatusCode)
	}
}

// TestTruncatedAnswers: one of which nothing is out is a 502; of any other the
// client gets what came, and the log says how much.
func TestTruncatedAnswers(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{
		"/short": say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-A: b\r\n\r\nhello"),
		"/none":  say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
		"/later": func(conn net.Conn, in *bufio.Reader, _ string) bool {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
			time.Sleep(300 * time.Millisecond) // it has gone out
			return false
		},
		"/long":    say("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 10_000)),
		"/chunked": say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
	})
	p := site(t, b.Addr)
	for _, path := range []string{"/short", "/none"} {
		// Should the backend's machine pause before it closes, a part has gone out.
		eventually(t, func() (bool, string) {
			client := connect(t, p)
			client.Send(request("GET "+path+" HTTP/1.1", "Host: a", "Connection: close"))
			got := client.Rest()
			return strings.HasPrefix(got, "HTTP/1.1 502 ") && !strings.Contains(got, "X-A"), got
		})
		if entry := p.waitLog("request", fields{"path": path, "status": 502}); !strings.Contains(entry.text("error"), "broke off") {
			t.Errorf("%s: logged %q", path, entry.text("error"))
		}
	}
	for path, want := range map[string]string{"/later": "hello", "/long": strings.Repeat("x", 10_000), "/chunked": "5\r\nhello\r\n"} {
		client := connect(t, p)
		client.Send(request("GET "+path+" HTTP/1.1", "Host: a"))
		if _, body, _ := strings.Cut(client.Rest(), "\r\n\r\n"); body != want {
			t.Errorf("%s: the client got %d bytes of %d: %.40q", path, len(body), len(want), body)
		}
		entry := p.waitLog("request", fields{"path": path, "status": 200, "level": "WARN"})
		if fmt.Sprint(entry["bytes"]) != fmt.Sprint(strings.Count(want, "x")+strings.Count(want, "hello")*5) || !strings.Contains(entry.text("error"), "broke off") {
			t.Errorf("%s: logged %v", path, entry)
		}
	}
}
