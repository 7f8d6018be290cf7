package tunnel

// What a loop puts into a direction: Ping, Close, the end of file. It is put in as soon
// as the session lets it and nothing is kept for dst.

import (
	"crypto/rand"

	"golang.org/x/sys/unix"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// inject puts in what is pending and can be, and reports whether that was anything.
func (l *loop) inject(t *slot, d *loopDirection) (did bool) {
	var room [2 + 4 + 125]byte
	for s := t.state(d); s.pending != 0 && !s.waiting && t.phase != phaseCut; did = true {
		switch l.apply(t, event{kind: evWritable, dir: int(d.index), aligned: d.walker.Between()}) {
		case injectClose:
			text := l.slab.ref(t).end.closeText[d.index]
			l.say(t, d, wsproto.AppendClose(room[:0], s.closeCode, text, d.mask()))
		case injectPing:
			l.say(t, d, wsproto.AppendFrame(room[:0], wsproto.OpPing, t.other(d).token[:], d.mask()))
		case injectFIN:
			l.shut(t, d)
			l.report(t, d, evFINSent)
		default:
			return did
		}
	}
	return did
}

// say gives dst a frame of the proxy's.
func (l *loop) say(t *slot, d *loopDirection, frame []byte) {
	n, errno := l.give(t, d, frame)
	switch {
	case errno != 0:
		l.writeFailed(t, d)
	case n < len(frame):
		l.keep(t, d, frame[n:], 0, true)
	default:
		l.handed(t, d)
	}
}

// shut half-closes dst. If that has gone, its reader finds out.
func (l *loop) shut(t *slot, d *loopDirection) {
	out := t.other(d)
	if tls := l.side(t, out); tls != nil {
		_ = tls.conn.CloseWrite()
		tls.note(t, d)
		return
	}
	_ = unix.Shutdown(int(out.fd), unix.SHUT_WR)
}

// mask is a fresh masking key if dst is the backend.
func (d *loopDirection) mask() *[4]byte {
	if d.index != fromClient {
		return nil
	}
	key := new([4]byte)
	rand.Read(key[:])
	return key
}
