package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// onOneLoop runs f on a loop of e, and waits until it has.
func onOneLoop(t *testing.T, e Engine, f func(Loop)) {
	t.Helper()
	done := make(chan struct{})
	if !Dispatch(e, func(l Loop) { defer close(done); f(l) }) {
		t.Fatal("there is no loop")
	}
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the loop stands still")
	}
}

// accepted is a connection by way of an Acceptor: itself, and its client.
func accepted(t *testing.T) (fd Descriptor, client *net.TCPConn) {
	t.Helper()
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := NewAcceptor(ln.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	fd, peer, err := a.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if peer.String() != conn.LocalAddr().String() {
		t.Errorf("accepted %v, which is %v", peer, conn.LocalAddr())
	}
	return fd, conn.(*net.TCPConn)
}

// loads is what the loops count as theirs.
func loads(e Engine) (n int32) {
	for _, l := range e.(*loops).loops {
		n += l.load.Load()
	}
	return n
}

// TestWatch: what is true at the beginning is told, and what becomes true; nothing
// is once it was closed.
func TestWatch(t *testing.T) {
	e := New()
	fd, client := accepted(t)
	client.Write([]byte("before"))
	told := make(chan string)
	var w *Watch
	onOneLoop(t, e, func(l Loop) {
		var err error
		w, err = l.Watch(fd, func(edge Edge) {
			n, err := w.Read(l.Scratch())
			if err == syscall.EAGAIN {
				return
			}
			text := string(l.Scratch()[:n])
			if edge.Gone || n == 0 || err != nil {
				text = "gone"
				w.Close()
			}
			told <- text
		})
		if err != nil {
			t.Error(err)
		}
	})
	for _, want := range []string{"before", "after", "gone"} {
		switch want {
		case "after":
			client.Write([]byte(want))
		case "gone":
			client.SetLinger(0)
			client.Close()
		}
		if got := <-told; got != want {
			t.Errorf("told of %q, wanted %q", got, want)
		}
	}
	w.loopIsEmpty(t, e)
}

// loopIsEmpty waits until a watch that was told last is done with.
func (w *Watch) loopIsEmpty(t *testing.T, e Engine) {
	t.Helper()
	done := make(chan struct{})
	Loop{w.loop}.Run(func() { close(done) })
	<-done
	if n := loads(e); n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

// TestWatchesKnowOldEvents: an event that was reported before a watch ended is not
// its successor's, though that has its index and perhaps its descriptor.
func TestWatchesKnowOldEvents(t *testing.T) {
	var ws watches
	told := 0
	old := &Watch{ready: func(Edge) { t.Error("a watch that has ended was told") }}
	ws.add(old)
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(watchBit | old.index), Pad: int32(old.gen)}
	ws.drop(old)
	ws.note(&e)
	ws.serve()
	next := &Watch{ready: func(Edge) { told++ }}
	ws.add(next)
	if next.index != old.index {
		t.Fatalf("the index %d is not used again", old.index)
	}
	ws.note(&e)
	ws.serve()
	e.Pad = int32(next.gen)
	ws.note(&e)
	ws.serve()
	if told != 1 {
		t.Errorf("told %d times, wanted once", told)
	}
}

// Edges that come faster than they are told become one.
func TestWatchesQueueEachOnce(t *testing.T) {
	var ws watches
	var got []Edge
	w := &Watch{ready: func(e Edge) { got = append(got, e) }}
	ws.add(w)
	for _, events := range []uint32{unix.EPOLLIN, unix.EPOLLIN, unix.EPOLLOUT, unix.EPOLLIN} {
		ws.note(&unix.EpollEvent{Events: events, Fd: int32(watchBit | w.index), Pad: int32(w.gen)})
	}
	if len(ws.told) != 1 {
		t.Errorf("%d wait for their turn, want 1", len(ws.told))
	}
	ws.serve()
	ws.note(&unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(watchBit | w.index), Pad: int32(w.gen)})
	ws.serve()
	if want := []Edge{{Readable: true, Writable: true}, {Readable: true}}; !slices.Equal(got, want) {
		t.Errorf("told of %v, want %v", got, want)
	}
}

// TestReleaseGivesTheDescriptorBack: as a connection it goes on where it was.
func TestReleaseGivesTheDescriptorBack(t *testing.T) {
	e := New()
	fd, client := accepted(t)
	var released Descriptor
	onOneLoop(t, e, func(l Loop) {
		w, err := l.Watch(fd, func(Edge) { t.Error("told after it was released") })
		if err != nil {
			t.Error(err)
			return
		}
		released = w.Release()
	})
	conn, err := released.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client.Write([]byte("hello"))
	got := make([]byte, 5)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		t.Errorf("read %q, %v", got, err)
	}
	if n := loads(e); n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

// TestDialAndOpen: what was dialled, sent and watched becomes a tunnel with all that
// came meanwhile.
func TestDialAndOpen(t *testing.T) {
	e := New()
	fd, client := accepted(t)
	client.Write([]byte("early"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ended := make(chan Summary, 1)
	onOneLoop(t, e, func(l Loop) {
		near, err := l.Watch(fd, func(Edge) {})
		if err != nil {
			t.Error(err)
			return
		}
		to := ln.Addr().(*net.TCPAddr).AddrPort()
		far, sent, err := l.Dial(to, []byte("first "), func(Edge) {})
		if err != nil || sent != len("first ") {
			t.Errorf("sent %d, %v", sent, err)
			return
		}
		l.Open(Spec{Done: func(s Summary) { ended <- s }}, near, far)
	})
	backend, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	backend.SetDeadline(time.Now().Add(patience))
	got := make([]byte, len("first early"))
	if _, err := io.ReadFull(backend, got); err != nil || string(got) != "first early" {
		t.Errorf("the backend read %q, %v", got, err)
	}
	backend.Write([]byte("late"))
	if _, err := io.ReadFull(client, got[:4]); err != nil || string(got[:4]) != "late" {
		t.Errorf("the client read %q, %v", got[:4], err)
	}
	backend.Close()
	client.Close()
	<-ended
}

// TestDialRefused: whether at once or by an edge, it is an error, and nothing is left.
func TestDialRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := ln.Addr().(*net.TCPAddr).AddrPort()
	ln.Close()
	e := New()
	failed := make(chan error, 1)
	onOneLoop(t, e, func(l Loop) {
		var far *Watch
		var err error
		far, _, err = l.Dial(to, []byte("first"), func(Edge) {
			_, err := far.Write([]byte("first"))
			far.Close()
			failed <- err
		})
		if err != nil {
			failed <- err
		}
	})
	if err := <-failed; !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, wanted that it is refused", err)
	}
	onOneLoop(t, e, func(Loop) {})
	if n := loads(e); n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

// TestWatchWithoutDescriptors: whoever gets an error has no descriptor to close.
func TestWatchWithoutDescriptors(t *testing.T) {
	e := New()
	onOneLoop(t, e, func(Loop) {}) // the loop has its own
	restore := exhaust(t)
	none := Dispatch(New(), func(Loop) { t.Error("run on a loop without descriptors") })
	onOneLoop(t, e, func(l Loop) {
		if _, _, err := l.Dial(netip.MustParseAddrPort("127.0.0.1:9"), nil, nil); !errors.Is(err, unix.EMFILE) {
			t.Errorf("dialling: %v, wanted EMFILE", err)
		}
	})
	restore()
	if none {
		t.Error("an engine without descriptors has a loop")
	}
}

// TestConnTakesTheReserve: a connection can be made though there is no descriptor
// left but the reserve; with none at all it is closed.
func TestConnTakesTheReserve(t *testing.T) {
	for _, want := range []error{nil, unix.EMFILE} {
		reserve.keep()
		fd, client := accepted(t)
		var restore func()
		if want == nil {
			restore = exhaustBelow(t, reserve.file.Fd()+1)
		} else {
			restore = exhaust(t)
		}
		conn, err := fd.Conn()
		restore()
		if !errors.Is(err, want) {
			t.Fatalf("%v, wanted %v", err, want)
		}
		if err == nil {
			conn.Close()
		}
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the descriptor is not closed: %v", err)
		}
	}
}

// TestDispatchWithoutLoops runs nothing.
func TestDispatchWithoutLoops(t *testing.T) {
	if Dispatch(Portable(), func(Loop) { t.Error("run") }) {
		t.Error("the portable engine has a loop")
	}
}

// TestAcceptorCloses: an Accept that waits ends, and the listener goes on without.
func TestAcceptorCloses(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := NewAcceptor(ln.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, _, err := a.Accept()
		ended <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, wanted net.ErrClosed", err)
		}
	case <-ctx.Done():
		t.Fatal("Accept waits for ever")
	}
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
}

// TestWatchTLS: a connection with TLS is watched as a plain one is. What came with the end
// of its handshake is told of, though no event ever does; and it goes back into net as it
// was, with what has not been read.
func TestWatchTLS(t *testing.T) {
	e := New()
	inside, outside := loopback(t)
	server, client := tls.Server(Under(inside), selfSigned(t)), tls.Client(outside, &tls.Config{InsecureSkipVerify: true})
	shaken := make(chan error, 1)
	go func() {
		if err := client.Handshake(); err != nil {
			shaken <- err
			return
		}
		_, err := client.Write([]byte("first"))
		shaken <- err
	}()
	if err := errors.Join(server.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); err != nil { // TLS has all of it now
		t.Fatal(err)
	}
	d, ok := Detach(server)
	if !ok || d.TLS() == nil {
		t.Fatalf("detached %v, TLS %v", ok, d.TLS())
	}
	told, released := make(chan string), make(chan Descriptor, 1)
	var w *Watch
	onOneLoop(t, e, func(l Loop) {
		var err error
		w, err = l.Watch(d, func(Edge) {
			n, err := w.Read(l.Scratch())
			if err == syscall.EAGAIN {
				return
			}
			if n, err := w.Write([]byte("answer")); n != len("answer") || err != nil {
				t.Errorf("written %d, %v", n, err)
			}
			told <- string(l.Scratch()[:n])
			if string(l.Scratch()[:n]) == "second" {
				released <- w.Release()
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
	if got := <-told; got != "irst" {
		t.Errorf("told of %q", got)
	}
	client.Write([]byte("second"))
	if got := <-told; got != "second" {
		t.Errorf("told of %q", got)
	}
	client.Write([]byte("third"))
	conn, err := (<-released).Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	got := make([]byte, len("answeranswer"))
	if _, err := io.ReadFull(conn, got[:5]); err != nil || string(got[:5]) != "third" {
		t.Errorf("back in net it reads %q, %v", got[:5], err)
	}
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "answeranswer" {
		t.Errorf("the client has read %q, %v", got, err)
	}
}
