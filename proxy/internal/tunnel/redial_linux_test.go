package tunnel_test

// What a client sends when its backend's end has arrived and is not read yet.

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// unread is a tunnel whose client does not take what its backend has said before it
// hung up, so that the tunnel cannot come to the end.
type unread struct {
	client, backend, next net.Conn
	said                  []byte // all of it, but for what the client has taken
	tunnel                tunnel.Tunnel
	redials               int
	done                  chan tunnel.Summary
}

// newUnread has the backend say something, and this behind it, and hang up by half-closing.
func newUnread(t *testing.T, behind []byte) *unread {
	said := wsproto.AppendFrame(nil, wsproto.OpText, []byte("last words"), nil)
	client, inside := net.Pipe()
	s := newShuffle(t, 0)
	backend, inside2 := s.pair()
	next, inside3 := s.pair()
	u := &unread{client: client, backend: backend, next: next, done: make(chan tunnel.Summary, 1)}
	u.tunnel = tunnel.Portable().Open(tunnel.Spec{
		Client: tunnel.Endpoint{Conn: inside}, Backend: tunnel.Endpoint{Conn: inside2}, WebSocket: true,
		Redial: func(context.Context, tunnel.Reason) (tunnel.Next, error) {
			u.redials++
			return tunnel.Next{Backend: tunnel.Endpoint{Conn: inside3}}, nil
		},
		Done: func(sum tunnel.Summary) { u.done <- sum },
	})
	backend.Write(said)
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil { // the rest is being written now
		t.Fatal(err)
	}
	u.said = append(said[1:], behind...)
	backend.Write(behind)
	backend.(*net.TCPConn).CloseWrite()
	awaitHangup(t, inside2)
	return u
}

// awaitHangup waits until the end of file has arrived at c.
func awaitHangup(t *testing.T, c net.Conn) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for began, arrived := time.Now(), false; !arrived; time.Sleep(time.Millisecond) {
		raw.Control(func(fd uintptr) {
			set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
			n, _ := unix.Poll(set, 0)
			arrived = n > 0
		})
		if time.Since(began) > time.Minute {
			t.Fatal("no end of file")
		}
	}
}

func (u *unread) expect(t *testing.T, from net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("% x and %v, want % x", got, err, want)
	}
}

func (u *unread) close() {
	u.client.Close()
	u.backend.Close()
	u.next.Close()
	<-u.done
}

// TestRedialHungUp: what a client sends to a backend that has hung up already is for
// the next one.
func TestRedialHungUp(t *testing.T) {
	u := newUnread(t, nil)
	late := numbered(1, 10)
	u.client.Write(late)
	u.expect(t, u.client, u.said)
	u.expect(t, u.next, late)
	u.close()
}

// TestHungUpAfterClose: who hangs up behind a Close frame of its own gets what is said
// to it all the same, and the answer: it may well read on.
func TestHungUpAfterClose(t *testing.T) {
	u := newUnread(t, wsproto.AppendClose(nil, 1000, "bye", nil))
	late := wsproto.AppendClose(numbered(1, 10), 1000, "", &[4]byte{1, 2, 3, 4})
	u.client.Write(late)
	u.expect(t, u.client, u.said)
	u.expect(t, u.backend, late)
	u.close()
	if u.redials != 0 {
		t.Error("redialled after a Close frame")
	}
}

// TestHungUpAndEnded: a tunnel that is ended does not keep its writer waiting.
func TestHungUpAndEnded(t *testing.T) {
	u := newUnread(t, nil)
	u.client.Write(numbered(1, 10))
	u.tunnel.Cut(tunnel.ReasonShutdown)
	u.close()
}
