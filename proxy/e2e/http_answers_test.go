package e2e

// Answers of a backend that two readers could read differently, or that break
// off: 502 or an aborted connection, never a whole answer, and never another
// request on that backend connection.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// brokenAnswers are answered 502: nothing of them can be believed.
var brokenAnswers = map[string]string{
	"CL and TE":              "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"two lengths":            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 2\r\n\r\nhello",
	"list of lengths":        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
	"minus length":           "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
	"plus length":            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
	"huge length":            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
	"TE of another kind":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"TE twice":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"TE in 1.0":              "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"space before the colon": "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
	"obs-fold":               "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
	"NUL":                    "HTTP/1.1 200 OK\r\nX-A: b\x00c\r\nContent-Length: 5\r\n\r\nhello",
	"LF among CRLF":          "HTTP/1.1 200 OK\r\nX-A: b\nSet-Cookie: c=d\r\nContent-Length: 5\r\n\r\nhello",
	"CRLF among LF":          "HTTP/1.1 200 OK\nX-A: b\r\nContent-Length: 5\n\nhello",
	"LF ends the head":       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\nhello",
	"bare CR":                "HTTP/1.1 200 OK\r\nX-A: b\rSet-Cookie: c=d\r\nContent-Length: 5\r\n\r\nhello",
	"no status":              "HTTP/1.1 OK\r\nContent-Length: 5\r\n\r\nhello",
	"status of four digits":  "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello",
	"status 000":             "HTTP/1.1 000 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/2":                 "HTTP/2 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/0.9":               "<html>hello</html>\r\n\r\n",
	"empty line first":       "\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"half a head":            "HTTP/1.1 200 OK\r\nContent-Len",
	"nothing":                "",
	"large head":             "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("b", 70_000) + "\r\nContent-Length: 5\r\n\r\nhello",
	"many lines":             "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 1000) + "Content-Length: 5\r\n\r\nhello",
	"101":                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
}

// brokenBodies begin well: the client must not take what it got for the whole.
var brokenBodies = map[string]string{
	"truncated":         "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
	"truncated, large":  "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 100_000),
	"truncated chunks":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	"truncated chunk":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
	"truncated at 0":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
	"bad chunk size":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0x0\r\n\r\n",
	"long chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
	"bare LF in chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
}

func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	scripts := map[string]script{}
	for name, text := range brokenAnswers {
		scripts["/head/"+slug(name)] = say(text)
	}
	for name, text := range brokenBodies {
		scripts["/body/"+slug(name)] = say(text)
	}
	b := newWire(t, scripts)
	p := site(t, b.Addr)

	for name := range brokenAnswers {
		t.Run(name, func(t *testing.T) {
			client, path := connect(t, p), "/head/"+slug(name)
			mustBeOwn(t, p, ask(t, client, request("POST "+path+" HTTP/1.1", "Host: a", "Content-Length: 0")), 502, path)
			if got := ask(t, client, request("GET /next HTTP/1.1", "Host: a")); got.body != "ok" {
				t.Errorf("the next request: %d %q", got.status, got.body)
			}
		})
	}
	for name := range brokenBodies {
		t.Run(name, func(t *testing.T) {
			client, path := connect(t, p), "/body/"+slug(name)
			client.Send(request("GET "+path+" HTTP/1.1", "Host: a"))
			answer, err := http.ReadResponse(client.Reader, nil)
			if err == nil {
				_, err = io.ReadAll(answer.Body)
			}
			if err == nil && answer.StatusCode != 502 { // which it is where nothing had gone out
				t.Errorf("a whole answer: %d", answer.StatusCode)
			}
			if err != nil {
				client.Rest() // the connection ends
			}
			p.waitLog("request", fields{"path": path, "level": "WARN"})
		})
	}
}

// TestExtraBytes behind a whole answer are dropped: they are not the answer to the next
// request, of the same client or another.
func TestExtraBytes(t *testing.T) {
	t.Parallel()
	const forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
	b := newWire(t, map[string]script{
		"/length":  keep("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + forged),
		"/chunked": keep("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + forged),
		"/204":     keep("HTTP/1.1 204 No Content\r\n\r\n" + forged),
		"/304":     keep("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n" + forged),
		"/head":    keep("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + forged), // a body to a HEAD
	})
	p := site(t, b.Addr)
	client := connect(t, p)
	for range 5 {
		for _, tt := range []struct{ method, path, body string }{
			{"GET", "/length", "hello"}, {"GET", "/chunked", "hello"}, {"GET", "/204", ""}, {"GET", "/304", ""}, {"HEAD", "/head", ""},
		} {
			if got := ask(t, client, request(tt.method+" "+tt.path+" HTTP/1.1", "Host: a")); got.body != tt.body {
				t.Fatalf("%s %s: %d %q, wanted %q", tt.method, tt.path, got.status, got.body, tt.body)
			}
			before := b.Accepted()
			if got := ask(t, client, request("GET /next HTTP/1.1", "Host: a")); got.body != "ok" {
				t.Fatalf("behind %s: %d %q, wanted ok", tt.path, got.status, got.body)
			}
			if b.Accepted() != before+1 {
				t.Errorf("behind %s: the backend connection was used again", tt.path)
			}
		}
	}
}

// TestReuse: what is in order keeps its connection.
func TestReuse(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/close": say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")})
	p := site(t, b.Addr)
	for range 20 {
		if got := ask(t, connect(t, p), request("GET / HTTP/1.1", "Host: a")); got.body != "ok" {
			t.Fatalf("%d %q", got.status, got.body)
		}
	}
	if n := b.Accepted(); n != 1 {
		t.Errorf("%d connections to the backend, wanted one", n)
	}
	for range 3 {
		ask(t, connect(t, p), request("GET /close HTTP/1.1", "Host: a"))
	}
	if n := b.Accepted(); n != 3 { // the first one, and one for each that was closed
		t.Errorf("%d connections to the backend, wanted 3", n)
	}
}

// TestClosedWhileIdle: a kept connection that the backend has closed costs no
// request, where asking again is safe.
func TestClosedWhileIdle(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{"/last": func(conn net.Conn, _ *bufio.Reader, _ string) bool {
		io.WriteString(conn, ok) // and closes without a word
		return false
	}})
	p := site(t, b.Addr)
	for range 20 {
		for _, next := range []string{"GET", "PUT", "DELETE"} {
			for _, line := range []string{"GET /last", next + " /next"} {
				if got := ask(t, connect(t, p), request(line+" HTTP/1.1", "Host: a", "Content-Length: 0")); got.body != "ok" {
					t.Fatalf("%s: %d %q", line, got.status, got.body)
				}
			}
		}
	}
}

// TestEarlyRefusal of a body that is still coming: the answer arrives.
func TestEarlyRefusal(t *testing.T) {
	t.Parallel()
	b := newWire(t, map[string]script{
		"/close": func(conn net.Conn, in *bufio.Reader, _ string) bool {
			io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much")
			return false
		},
		"/drain": say("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much"),
	})
	p := site(t, b.Addr)
	for _, path := range []string{"/close", "/drain"} {
		for _, framing := range []string{"Content-Length: 10000000", "Transfer-Encoding: chunked"} {
			client := connect(t, p)
			client.Send(request("POST "+path+" HTTP/1.1", "Host: a", framing))
			go sendLong(client, framing)
			if answer, body := client.Response("POST"); answer.StatusCode != 413 || body != "too much" {
				t.Errorf("%s, %s: %d %q, wanted the backend's 413", path, framing, answer.StatusCode, body)
			}
			client.Close()
		}
	}
}

// sendLong sends a body of ten megabytes, until its reader is gone.
func sendLong(client *proxytest.Raw, framing string) {
	part := strings.Repeat("x", 10_000)
	if strings.HasPrefix(framing, "Transfer") {
		part = fmt.Sprintf("%x\r\n%s\r\n", len(part), part)
	}
	for range 1000 {
		if _, err := io.WriteString(client.Conn, part); err != nil {
			return
		}
	}
}
