package tunnel

// Putting in, as in put.go: a Ping or Close between two frames of a lane, and the
// end of file. What is wanted is a bit in lane.wants; it is put in as soon as the
// lane stands where it may be and nothing is kept for dst.

import (
	"crypto/rand"

	"golang.org/x/sys/unix"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

const (
	wantPing uint32 = 1 << iota
	wantClose
	wantFIN
)

// put puts in what is wanted and can be, and reports whether that was anything.
func (l *loop) put(t *slot, w *lane) (did bool) {
	var room [2 + 4 + 125]byte
	for w.wants != 0 && !w.blocked {
		frame := l.choose(t, w, room[:0])
		if frame == nil && !w.takeFIN() {
			return did
		}
		did = true
		if frame != nil {
			l.say(t, w, frame)
		} else {
			w.fin, w.mute = true, true
			l.shut(t, w)
		}
		l.advance(t)
	}
	return did
}

// say gives dst a frame of ours.
func (l *loop) say(t *slot, w *lane, frame []byte) {
	n, errno := l.give(t, w, frame)
	switch {
	case errno != 0:
		l.writeFailed(t, w)
	case n < len(frame):
		l.keep(w, frame[n:], 0, true)
	default:
		l.handedOver(t, w)
	}
}

// shut half-closes w's destination. If that has gone, its reader finds out.
func (l *loop) shut(t *slot, w *lane) {
	out := t.other(w)
	if s := l.side(t, out); s != nil {
		_ = s.conn.CloseWrite()
		w.blocked = w.blocked || len(s.under.backlog) > 0
		return
	}
	_ = unix.Shutdown(int(out.fd), unix.SHUT_WR)
}

// choose appends to b the next of the frames that are wanted and can be put in.
func (l *loop) choose(t *slot, w *lane, b []byte) []byte {
	if frame := l.chooseClose(t, w, b); frame != nil {
		return frame
	}
	return l.choosePing(t, w, b)
}

func (w *lane) want(bits uint32)       { w.wants |= uint8(bits) }
func (w *lane) wanted(bit uint32) bool { return w.wants&uint8(bit) != 0 }
func (w *lane) unwant(bit uint32)      { w.wants &^= uint8(bit) }

// takeFIN reports whether the end of file is to be put in now.
func (w *lane) takeFIN() bool {
	wanted := w.wanted(wantFIN)
	w.unwant(wantFIN)
	return wanted && !w.fin
}

// between reports whether a frame may be put in now.
func (t *slot) between(w *lane) bool {
	return t.websocket && (w.walker.Between() || w.stopped)
}

func (l *loop) chooseClose(t *slot, w *lane, b []byte) []byte {
	switch {
	case !w.wanted(wantClose):
	case w.told || w.fin || w.deaf:
		w.unwant(wantClose)
	case t.between(w):
		w.unwant(wantClose)
		w.told, w.telling, w.mute = true, true, true
		text := l.slab.end(t).closeText[w.from.lane()]
		l.firstFrame(t, w.closeCode, text)
		return wsproto.AppendClose(b, w.closeCode, text, w.mask())
	case !t.websocket || w.blind: // the end is all that can be told
		w.want(wantFIN)
		w.unwant(wantClose)
	}
	return nil
}

func (l *loop) choosePing(t *slot, w *lane, b []byte) []byte {
	switch {
	case !w.wanted(wantPing):
	case t.phase != phaseOpen || w.mute || w.blind:
		w.unwant(wantPing)
	case t.between(w):
		w.unwant(wantPing)
		w.pingedAt = l.now
		return wsproto.AppendFrame(b, wsproto.OpPing, t.other(w).token[:], w.mask())
	}
	return nil
}

// mask is a fresh masking key if dst is the backend.
func (w *lane) mask() *[4]byte {
	if w.from != ByClient {
		return nil
	}
	key := new([4]byte)
	rand.Read(key[:])
	return key
}
