package tunnel

// Putting in: what the proxy itself says on a way (Ping, Close, the end of file),
// and where it may. What is wanted is a bit in way.wants; whoever has the turn
// at the next boundary puts it in.

import (
	"crypto/rand"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// Things to put into a way, as bits of way.wants.
const (
	wantPing  uint32 = 1 << iota // between two frames
	wantClose                    // between two frames
	wantFIN                      // at once; with wantClose, behind it where it can go
	wantFlush                    // before all else: what waits for a backend that is there now
	wantLeave                    // between two messages: Close, to a backend that the tunnel leaves
)

// putInTurn waits for the turn, unless the tunnel is cut first, and puts in what
// is wanted and can be.
func (w *way) putInTurn() {
	select {
	case w.turn <- struct{}{}:
		w.put()
		w.give()
	case <-w.t.cut:
	}
}

// finishNow half-closes dst as it stands, or closes it if it does not even take
// the bytes that are being written.
func (w *way) finishNow() {
	select {
	case w.turn <- struct{}{}:
		w.wants.Or(wantFIN)
		w.put()
		w.give()
	default:
		w.t.mu.Lock()
		dst := w.dst
		w.t.mu.Unlock()
		closeNow(dst)
	}
}

// put puts in what is wanted and can be. Called in turn.
func (w *way) put() {
	w.flushWaiting()
	for {
		frame, fin := w.choose()
		switch {
		case frame != nil:
			if _, err := w.dst.Write(frame); err != nil {
				w.putFailed()
			}
			w.t.handedOver(w)
		case fin:
			closeWrite(w.dst)
		default:
			return
		}
		w.t.didPut(w, fin)
	}
}

// didPut notes what has been put into w.
func (t *tunnel) didPut(w *way, fin bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.fin = w.fin || fin
	t.advanceLocked()
}

// choose takes the next of the things that are wanted and can be put in now.
func (w *way) choose() (frame []byte, fin bool) {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	if frame := w.chooseCloseLocked(); frame != nil {
		return frame, false
	}
	if frame := w.chooseLeaveLocked(); frame != nil {
		return frame, false
	}
	if frame := w.choosePingLocked(); frame != nil {
		return frame, false
	}
	if w.wants.And(^wantFIN)&wantFIN == 0 || w.fin {
		return nil, false
	}
	w.mute = true
	return nil, true
}

// between reports whether a frame may be put in now.
func (w *way) between() bool {
	return w.t.websocket && (w.walker.Between() || w.stopped)
}

func (w *way) chooseCloseLocked() []byte {
	wants := w.wants.Load()
	switch {
	case wants&wantClose == 0:
		return nil
	case w.told || w.fin || w.deaf || w.away:
		w.wants.And(^wantClose)
		return nil
	case w.between():
		w.wants.And(^wantClose)
		w.told, w.telling, w.mute = true, true, true
		w.t.frameLocked(w.closeCode, w.closeText)
		return wsproto.AppendClose(nil, w.closeCode, w.closeText, w.mask())
	case !w.t.websocket || w.blind: // the end is all that can be told
		w.wants.Or(wantFIN)
		w.wants.And(^wantClose)
	}
	return nil
}

func (w *way) choosePingLocked() []byte {
	switch {
	case w.wants.Load()&wantPing == 0:
		return nil
	case w.t.phase > phaseRedialling || w.mute || w.blind || w.away:
		w.wants.And(^wantPing)
		return nil
	case !w.between():
		return nil
	}
	w.wants.And(^wantPing)
	w.pingedAt = w.t.since()
	token := w.t.other(w).token
	return wsproto.AppendFrame(nil, wsproto.OpPing, token[:], w.mask())
}

// mask is a fresh masking key if dst needs one (RFC 6455 section 5.3 wants it
// unpredictable).
func (w *way) mask() *[4]byte {
	if !w.masked {
		return nil
	}
	var key [4]byte
	rand.Read(key[:])
	return &key
}
