package forward

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// TestSentAgain: a backend closes a kept connection under its second request, in one of
// several ways. What may be sent again is, whole, and nothing else.
func TestSentAgain(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	small, large := strings.Repeat("s", 1000), strings.Repeat("l", maxKept+1)
	for _, tt := range []struct {
		method, body string
		chunked      bool
		said         string // before the connection is closed
		status, sent int    // how often the backend got it
	}{
		{"GET", "", false, "", 200, 2},
		{"DELETE", "", false, "", 200, 2},
		{"PUT", "", false, "", 200, 2},
		{"PUT", small, false, "", 200, 2},
		{"PUT", small, true, "", 200, 2},
		{"DELETE", small, false, "", 200, 2},
		{"OPTIONS", small, true, "", 200, 2},
		{"PUT", large, false, "", 502, 1},
		{"PUT", large, true, "", 502, 1},
		{"POST", "", false, "", 502, 1},
		{"POST", small, false, "", 502, 1},
		{"PATCH", "", false, "", 502, 1},
		{"PUT", small, false, "HTTP/1.1 2", 502, 1},
		{"PUT", small, false, "HTTP/1.1 103 Early Hints\r\n\r\n", 502, 1},
		{"DELETE", "", false, "H", 502, 1},
	} {
		name := tt.method + " " + tt.body[:min(1, len(tt.body))] + " " + tt.said
		t.Run(name, func(t *testing.T) {
			bodies := make(chan string, 9)
			backend := proxytest.NewRawBackend(t, func(conn net.Conn) {
				in := bufio.NewReader(conn)
				for first := true; ; first = false {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					body, _ := io.ReadAll(r.Body)
					if r.URL.Path == "/warm" {
						io.WriteString(conn, ok)
						continue
					}
					bodies <- string(body)
					if !first {
						io.WriteString(conn, tt.said)
						return
					}
					io.WriteString(conn, ok)
				}
			})
			b := upstream.NewBackend(upstream.BackendKey{Pool: "p", Scheme: "http", Authority: backend.Addr})
			t.Cleanup(b.Close)
			server := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				new(Forwarder).Forward(w, r, Hop{Backend: b, Path: r.URL.Path, Policy: &Policy{}})
			}))
			ask := func(method, path, body string) int {
				var reader io.Reader = strings.NewReader(body)
				if tt.chunked {
					reader = io.MultiReader(reader)
				}
				if body == "" {
					reader = nil
				}
				r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, reader)
				if err != nil {
					t.Fatal(err)
				}
				r.GetBody = nil
				answer, err := http.DefaultTransport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				io.Copy(io.Discard, answer.Body)
				return answer.StatusCode
			}
			t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
			if status := ask("GET", "/warm", ""); status != 200 {
				t.Fatal(status)
			}
			if status := ask(tt.method, "/x", tt.body); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			close(bodies)
			n := 0
			for body := range bodies {
				if n++; body != tt.body {
					t.Errorf("the backend got %d bytes, want %d", len(body), len(tt.body))
				}
			}
			if n != tt.sent {
				t.Errorf("sent %d times, want %d", n, tt.sent)
			}
		})
	}
}
