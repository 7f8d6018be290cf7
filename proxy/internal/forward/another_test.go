package forward

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// TestAnother: only who found no connection goes elsewhere, with its whole body
// and the other's Host; what was asked, and how often, is the hop's to say.
func TestAnother(t *testing.T) {
	mirror := proxytest.Mirror(t)
	backendAt := func(authority string) *upstream.Backend {
		b := upstream.NewBackend(upstream.BackendKey{Pool: "p", Scheme: "http", Authority: authority})
		t.Cleanup(b.Close)
		return b
	}
	refusing := func() *upstream.Backend { return backendAt(proxytest.Refused(t)) }
	closing := func() *upstream.Backend {
		return backendAt(proxytest.NewRawBackend(t, proxytest.AnswerOnce("")).Addr)
	}
	for _, tt := range []struct {
		name     string
		backends []*upstream.Backend // the first, and who is named when another is asked for
		body     string
		status   int
		asked    int // for another
	}{
		{"the first is there", []*upstream.Backend{backendAt(mirror.Addr)}, "body", 200, 0},
		{"refused once", []*upstream.Backend{refusing(), backendAt(mirror.Addr)}, "", 200, 1},
		{"refused twice, with a body", []*upstream.Backend{refusing(), refusing(), backendAt(mirror.Addr)}, strings.Repeat("body", 50_000), 200, 2},
		{"nobody else", []*upstream.Backend{refusing(), refusing()}, "body", 502, 2},
		{"asked and closed", []*upstream.Backend{closing(), backendAt(mirror.Addr)}, "body", 502, 0},
		{"asked and closed, without a body", []*upstream.Backend{closing(), backendAt(mirror.Addr)}, "", 502, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked, outcome := 0, Outcome{}
			hop := Hop{Backend: tt.backends[0], Path: "/", Policy: &Policy{}, Outcome: &outcome,
				Another: func(err error) (*upstream.Backend, upstream.TLS, bool) {
					var dial *upstream.DialError
					if !errors.As(err, &dial) {
						t.Errorf("another asked for because of %v", err)
					}
					if asked++; asked < len(tt.backends) {
						return tt.backends[asked], upstream.TLS{}, true
					}
					return nil, upstream.TLS{}, false
				}}
			server := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { new(Forwarder).Forward(w, r, hop) }))
			r := httptest.NewRequest("POST", server.URL, strings.NewReader(tt.body))
			r.RequestURI = ""
			transport := &http.Transport{DisableKeepAlives: true}
			answer, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			text, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != tt.status || asked != tt.asked {
				t.Errorf("status %d, asked for another %d times, want %d and %d", answer.StatusCode, asked, tt.status, tt.asked)
			}
			if tt.status == 200 && (!strings.Contains(string(text), `"Body":"`+tt.body+`"`) || !strings.Contains(string(text), `"Host":"`+mirror.Addr+`"`)) {
				t.Errorf("the other one got %.300s", text)
			}
		})
	}
}
