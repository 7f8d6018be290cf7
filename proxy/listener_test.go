package proxy

import (
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// TestRaisedLimitIsNoticed: an acceptor that has just seen the old limit, and is
// about to wait, must not miss that it was raised.
func TestRaisedLimitIsNoticed(t *testing.T) {
	var s slots
	s.freed.L = &s.mu
	s.open = 1
	rechecked := make(chan struct{})
	limits := []int{1, 2}
	acquired := make(chan bool)
	go func() {
		acquired <- s.acquire(func() int {
			limit := limits[0]
			if limits = limits[1:]; len(limits) == 1 { // the limit is raised right behind this look at it
				go func() { s.recheck(); close(rechecked) }()
				select {
				case <-rechecked:
				case <-time.After(20 * time.Millisecond): // it waits for the lock, as it should
				}
			}
			return limit
		})
	}()
	select {
	case ok := <-acquired:
		if !ok {
			t.Error("the slots are shut")
		}
	case <-time.After(10 * time.Second):
		t.Error("the acceptor waits at the limit of before")
		s.close()
		<-acquired
	}
}

// TestUnbind: addresses of a Table that nobody adopts are free again.
func TestUnbind(t *testing.T) {
	const text = "version: 1\nroutes: {}\nlisteners: {w: {address: \"127.0.0.1:0\"}}\n"
	file, errs := routefile.Parse("routes.yaml", []byte(text))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	set := routefile.NewSet(file)
	built, err := Build(set, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(Options{Current: func() *Table { return nil }, Log: slog.New(slog.DiscardHandler)})
	if err := s.Bind(built, set); err != nil {
		t.Fatal(err)
	}
	var address string
	for _, k := range s.spare {
		address = k.ln.Addr().String()
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
	built, err := Build(set, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(Options{Current: func() *Table { return nil }, Log: slog.New(slog.DiscardHandler)})
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

// TestClashes: which two addresses one machine cannot give to two listeners.
func TestClashes(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:80", "localhost:80", true},
		{"127.0.0.1:80", "[::ffff:127.0.0.1]:80", true},
		{"127.0.0.1:80", "127.0.0.1:http", true},
		{"127.0.0.1:80", ":80", true},
		{"0.0.0.0:80", "[::]:80", true},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "[::1]:80", false},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{"unix:/run/a", "unix:/run/a", false}, // their texts show it
	} {
		if got := resolve(test.a).clashes(resolve(test.b)); got != test.want {
			t.Errorf("%s beside %s: %v, wanted %v", test.a, test.b, got, test.want)
		}
		if got := resolve(test.b).clashes(resolve(test.a)); got != test.want {
			t.Errorf("%s beside %s: %v, wanted %v", test.b, test.a, got, test.want)
		}
	}
}

// TestSlotsTellOfEndings: an acceptor that is out of descriptors waits for a
// connection to end, and is not woken by the slot that it gives back itself.
func TestSlotsTellOfEndings(t *testing.T) {
	s := slots{released: make(chan struct{}, 1)}
	s.freed.L = &s.mu
	any := func() int { return 0 }
	s.acquire(any)
	s.giveBack()
	if len(s.released) > 0 {
		t.Error("a slot that was not used counts as an ending")
	}
	for range 2 {
		s.acquire(any)
		s.release()
	}
	if len(s.released) == 0 {
		t.Error("an ending is not told")
	}
}
