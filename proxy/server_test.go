package proxy

import (
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/routing/routingtest"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// TestUnbind: addresses of a Table that nobody adopts are free again.
func TestUnbind(t *testing.T) {
	const text = "version: 1\nroutes: {}\nlisteners: {w: {address: \"127.0.0.1:0\"}}\n"
	file, errs := routefile.Parse("routes.yaml", []byte(text))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	set := routefile.NewSet(file)
	built, err := routing.Build(set, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(Options{Current: func() *routing.Table { return nil }, Log: slog.New(slog.DiscardHandler)})
	if err := s.Bind(built, set); err != nil {
		t.Fatal(err)
	}
	var address string
	for _, k := range s.spare {
		address = k.Addr().String()
	}
	s.Unbind()
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Errorf("%s still takes connections", address)
	}
}

// TestBindMistakesAreSorted: the same addresses in use are the same mistakes each
// time, or each retry would be told anew.
func TestBindMistakesAreSorted(t *testing.T) {
	text := "version: 1\nroutes: {}\nlisteners:\n"
	for i := range 6 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		text += fmt.Sprintf("  l%d: {address: %q}\n", i, ln.Addr())
	}
	file, errs := routefile.Parse("routes.yaml", []byte(text))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	set := routefile.NewSet(file)
	built, err := routing.Build(set, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(Options{Current: func() *routing.Table { return nil }, Log: slog.New(slog.DiscardHandler)})
	first := s.TryBind(built, set).Error()
	for range 20 {
		if again := s.TryBind(built, set).Error(); again != first {
			t.Fatalf("told\n%s\nthen\n%s", first, again)
		}
		if again := s.Bind(built, set).Error(); again != first {
			t.Fatalf("told\n%s\nthen\n%s", first, again)
		}
	}
}

// TestLongestClose: an open tunnel has its limit from the routes of its handshake.
func TestLongestClose(t *testing.T) {
	now := routingtest.Build(t, nil, "routes: {r: {to: \"internal://echo\", drain: {close_timeout: 7s}}}\n")
	s := NewServer(Options{Current: func() *routing.Table { return now }, Log: slog.New(slog.DiscardHandler)})
	if got := s.longestClose(); got != 7*time.Second {
		t.Errorf("%v without tunnels, want the route's", got)
	}
	defer s.tunnels.Reserve(drain.Facts{CloseTimeout: time.Minute}).Remove()
	if got := s.longestClose(); got != time.Minute {
		t.Errorf("%v, want the open tunnel's own", got)
	}
}
