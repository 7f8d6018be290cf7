package tunnel

// What the portable engine puts into a direction: Ping, Close, the end of file. The
// session says what is pending; the next holder of the direction's write lock at a
// boundary puts it in.

import (
	"crypto/rand"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// injectSoon waits for the write lock, unless the tunnel is cut first, and puts in what
// is pending and can be.
func (d *portableDirection) injectSoon() {
	select {
	case d.writeLock <- struct{}{}:
		d.inject()
		d.unlock()
	case <-d.t.cut:
	}
}

// finishNow half-closes dst as it stands, or closes it if it does not even take
// the bytes that are being written.
func (d *portableDirection) finishNow() {
	select {
	case d.writeLock <- struct{}{}:
		d.inject()
		d.unlock()
	default:
		d.t.mu.Lock()
		dst := d.dst
		d.t.mu.Unlock()
		closeNow(dst)
	}
}

// inject puts in what is pending and can be. The write lock is held.
func (d *portableDirection) inject() {
	for {
		what, frame := d.next()
		switch what {
		case injectNothing:
			return
		case injectFlush:
			d.flushWaiting()
		case injectFIN:
			closeWrite(d.dst)
			d.report(event{kind: evFINSent})
		default:
			if _, err := d.dst.Write(frame); err != nil {
				d.report(event{kind: evWriteFailed})
			} else if what == injectClose {
				d.report(event{kind: evHanded})
			}
		}
	}
}

// next is what is put in now, and the frame of it.
func (d *portableDirection) next() (what injection, frame []byte) {
	t := d.t
	t.mu.Lock()
	defer t.mu.Unlock()
	ev := event{kind: evWritable, dir: d.index, aligned: d.walker.Between(), whole: d.delivered.atMessageBoundary()}
	what = t.applyLocked(ev)
	switch what {
	case injectClose:
		frame = wsproto.AppendClose(nil, d.state().closeCode, t.note.closeText[d.index], d.mask())
	case injectLeave:
		v := t.redialer.leaving
		frame = wsproto.AppendClose(nil, v.code[fromClient], v.text, d.mask())
	case injectPing:
		frame = wsproto.AppendFrame(nil, wsproto.OpPing, d.other().token[:], d.mask())
	}
	return what, frame
}

// mask is a fresh masking key if dst needs one (RFC 6455 section 5.3 wants it
// unpredictable).
func (d *portableDirection) mask() *[4]byte {
	if d.index != fromClient {
		return nil
	}
	var key [4]byte
	rand.Read(key[:])
	return &key
}
