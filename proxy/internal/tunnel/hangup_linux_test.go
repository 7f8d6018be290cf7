package tunnel

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// TestHangup has peers of every kind hang up behind a byte that nobody reads.
func TestHangup(t *testing.T) {
	for name, network := range map[string]string{"tcp": "tcp", "unix": "unix", "tls": "tcp"} {
		for how, hangUp := range map[string]func(net.Conn){
			"closes":       func(c net.Conn) { c.Close() },
			"half-closes":  func(c net.Conn) { c.(interface{ CloseWrite() error }).CloseWrite() },
			"resets":       func(c net.Conn) { setLinger(c); c.Close() },
			"is closed by": nil,
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				near, far := connected(t, network)
				h := newHangup(near)
				if name == "tls" {
					h = newHangup(tls.Client(Under(near), nil))
				}
				if _, err := far.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				if h.peerHungUp() {
					t.Fatal("heard before it was so")
				}
				if hangUp == nil {
					near.Close()
				} else {
					hangUp(far)
				}
				for began := time.Now(); !h.peerHungUp(); time.Sleep(time.Millisecond) {
					if time.Since(began) > time.Minute {
						t.Fatal("never heard")
					}
				}
			})
		}
	}
}

func setLinger(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

func connected(t testing.TB, network string) (near, far net.Conn) {
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return near, far
}

// TestNoHangup: a connection that is no socket cannot tell.
func TestNoHangup(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if h := newHangup(near); h != nil {
		t.Errorf("%T, want nil", h)
	}
}

// BenchmarkHangup is what a client's message costs more where a backend can be replaced.
func BenchmarkHangup(b *testing.B) {
	near, _ := connected(b, "tcp")
	h := newHangup(near)
	b.ReportAllocs()
	for b.Loop() {
		if h.peerHungUp() {
			b.Fatal("heard")
		}
	}
}
