package h1

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const upgradeHead = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// takeOver hijacks and detaches as the proxy does, and returns the connection
// with everything the client sent behind its request.
func takeOver(t *testing.T, w http.ResponseWriter, r *http.Request) (net.Conn, io.Reader) {
	hijacked, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Errorf("hijack: %v", err)
		panic(http.ErrAbortHandler)
	}
	if n := rw.Reader.Buffered(); n != 0 {
		t.Errorf("%d bytes went to net/http", n)
	}
	conn, early, eof := FromContext(r.Context()).Detach()
	if eof {
		conn.(*net.TCPConn).SetLinger(-1)
	}
	if n, err := hijacked.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the gate still reads after Detach: %d, %v", n, err)
	}
	return conn, io.MultiReader(bytes.NewReader(early), conn)
}

// tunnelEcho answers 101, then with everything up to the client's half-close.
func tunnelEcho(t *testing.T, before func(*Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		before(FromContext(r.Context()))
		conn, from := takeOver(t, w, r)
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		all, err := io.ReadAll(from)
		if err != nil {
			t.Errorf("tunnel: %v", err)
		}
		conn.Write(all)
	}
}

// What comes with the head, behind it, and behind the 101, arrives whole and
// in order, whenever the handler takes over.
func TestDetachKeepsEveryByte(t *testing.T) {
	full := strings.Repeat("early-", 64<<10) // far more than is held
	tests := []struct {
		name, with, behind string
		until              func(*Conn) bool
	}{
		{"nothing early", "", "", func(*Conn) bool { return true }},
		{"in the head's packet", "\x81\x02hi", "", func(g *Conn) bool { return g.Held() }},
		{"behind the head", "", "\x81\x02hi\r\n\r\n", func(g *Conn) bool { return g.Held() }},
		{"both", "GET / HTTP/1.1\r\n", strings.Repeat("x", 9000), func(g *Conn) bool { return g.earlyBytes() >= 16+9000 }},
		{"more than is held", "", full, func(g *Conn) bool { return g.earlyBytes() == 64<<10 }},
		{"taken over at once", "", full, func(g *Conn) bool { return true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, tunnelEcho(t, func(g *Conn) {
				waitFor(t, "early bytes", func() bool { return tt.until(g) })
			}))
			c := s.dial()
			c.send(upgradeHead + tt.with)
			go func() {
				io.WriteString(c, tt.behind+"later")
				c.Conn.(*net.TCPConn).CloseWrite()
			}()
			c.expect(101, "")
			got, err := io.ReadAll(c.r)
			if want := tt.with + tt.behind + "later"; string(got) != want || err != nil {
				t.Errorf("%d bytes, %v, want %d; equal: %v", len(got), err, len(want), string(got) == want)
			}
		})
	}
}

// A client may half-close right behind its first bytes: its request goes on,
// and Detach tells of the end. So does a plain request.
func TestHeldEOF(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		g := FromContext(r.Context())
		waitFor(t, "the end of file", g.sawEOF)
		if err := r.Context().Err(); err != nil {
			t.Errorf("an upgrade request's end of file: %v", err)
		}
		if r.URL.Path == "/plain" {
			if !g.Resume() {
				t.Error("no bytes are held, but Resume is false")
			}
			if err := r.Context().Err(); err != nil {
				t.Errorf("a plain request's end of file: %v", err)
			}
			return
		}
		hijacked, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer hijacked.Close()
		conn, early, eof := g.Detach()
		fmt.Fprintf(conn, "%s %v", early, eof)
	})
	for path, want := range map[string]string{"/ws": " true", "/ws2": "early true", "/plain": ""} {
		c := s.dial()
		c.send(strings.Replace(upgradeHead, "/ws", path, 1))
		if path == "/ws2" {
			c.send("early")
		}
		c.Conn.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(c.r)
		if path == "/plain" {
			got = nil // net/http's answer to a client that left
		}
		if string(got) != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// A reset behind an upgrade request cancels it, with bytes held or without.
func TestHeldReset(t *testing.T) {
	gone := make(chan error, 1)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		gone <- wait(r)
	})
	for _, early := range []string{"", "early"} {
		c := s.dial()
		c.send(upgradeHead + early)
		if _, err := c.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		c.Conn.(*net.TCPConn).SetLinger(0)
		c.Close()
		if err := <-gone; err != nil {
			t.Errorf("with %q held: %v", early, err)
		}
	}
}

// An upgrade request that is answered as HTTP leaves the connection HTTP,
// whether the handler says so (early or late) or forgets.
func TestResume(t *testing.T) {
	say := map[string]func(*Conn, func()){
		"early":  func(g *Conn, answer func()) { g.Resume(); answer() },
		"late":   func(g *Conn, answer func()) { answer(); g.Resume() },
		"never":  func(g *Conn, answer func()) { answer() },
		"paused": func(g *Conn, answer func()) { g.Resume(); g.Resume(); answer() },
	}
	for name, say := range say {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
				say(FromContext(r.Context()), func() { describe(w, r) })
			})
			c := s.dial()
			for i := range 3 {
				c.send(strings.Replace(upgradeHead, "websocket", "h2c", 1))
				c.expect(200, `GET a /ws "" ""`)
				c.send("POST /b HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc")
				c.expect(200, `POST a /b "abc" ""`)
				c.send("POST /c HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
				c.expect(200, `POST a /c "abc" ""`)
				c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
				c.expect(200, fmt.Sprintf(`GET a /%d "" ""`, i))
			}
			if got := s.refusals(); len(got) > 0 {
				t.Errorf("refused %q", got)
			}
		})
	}
}

// Bytes behind an upgrade request that was not granted are never a request,
// and the answer reaches the client although they were not read.
func TestHeldBytesAreDropped(t *testing.T) {
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, asks := range []bool{true, false} {
		for _, early := range []string{smuggled, strings.Repeat(smuggled, 5000)} {
			t.Run(fmt.Sprint(asks, len(early)), func(t *testing.T) {
				s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/smuggled" {
						t.Error("held bytes became a request")
					}
					g := FromContext(r.Context())
					waitFor(t, "held bytes", g.Held)
					if asks && !g.Resume() {
						w.Header().Set("Connection", "close")
					}
					w.WriteHeader(http.StatusForbidden)
				})
				c := s.dial()
				go io.WriteString(c, upgradeHead+early)
				if resp := c.expect(403, ""); resp.Close != asks {
					t.Errorf("Connection: close is %v, want %v", resp.Close, asks)
				}
				if rest, _ := io.ReadAll(c.r); len(rest) > 0 {
					t.Errorf("%q behind the answer", rest)
				}
			})
		}
	}
}

// Resume on a plain request and after Detach.
func TestResumeElsewhere(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		g := FromContext(r.Context())
		if g.Held() || !g.Resume() {
			t.Error("a plain request holds something")
		}
		conn, _ := takeOver(t, w, r)
		defer conn.Close()
		if g.Held() || g.Resume() {
			t.Error("a detached gate resumes")
		}
		io.WriteString(conn, "bye")
	})
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if got, err := io.ReadAll(c.r); string(got) != "bye" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A Read that waits because all that may be held is there ends with a deadline
// that the handler sets, and when the server closes.
func TestPauseEnds(t *testing.T) {
	ends := map[string]func(*site, http.ResponseWriter) error{
		"close":    func(s *site, _ http.ResponseWriter) error { return s.srv.Close() },
		"deadline": func(_ *site, w http.ResponseWriter) error { return setReadDeadline(w, 10*time.Millisecond) },
		"past":     func(_ *site, w http.ResponseWriter) error { return setReadDeadline(w, -time.Second) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			gone := make(chan error, 1)
			var s *site
			s = newSite(t, func(w http.ResponseWriter, r *http.Request) {
				g := FromContext(r.Context())
				waitFor(t, "a pause", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.wake != nil })
				if err := end(s, w); err != nil {
					t.Error(err)
				}
				gone <- wait(r)
			})
			c := s.dial()
			go io.WriteString(c, upgradeHead+strings.Repeat("x", 1<<20))
			if err := <-gone; err != nil {
				t.Error(err)
			}
		})
	}
}

func setReadDeadline(w http.ResponseWriter, d time.Duration) error {
	return http.NewResponseController(w).SetReadDeadline(time.Now().Add(d))
}
