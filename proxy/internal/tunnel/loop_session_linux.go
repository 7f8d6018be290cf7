package tunnel

// What a loop does with a tunnel's session: it reports events, carries out what comes
// of them, and closes what has been cut. Where the portable engine's goroutines wait
// for a write lock, everything is done at once or stays pending.

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// apply reports an event of a tunnel to its session, and carries out what comes of it.
func (l *loop) apply(t *slot, ev event) injection {
	r := t.session.apply(ev, env{now: time.Duration(l.now), limits: l.limits.at(t.limits), note: &l.slab.ref(t).end})
	if r.do&actCut != 0 {
		l.cut(t)
		return r.inject
	}
	l.arm(t, r.at)
	for i := range t.io {
		d := &t.io[i]
		if r.do&(actGiveUp<<i) != 0 {
			l.ended(t, d, false)
		}
		if r.do&(actFinish<<i) != 0 && t.state(d).waiting {
			l.drop(t, d)
		}
	}
	return r.inject
}

// report reports an event of one direction.
func (l *loop) report(t *slot, d *loopDirection, kind eventKind) {
	l.apply(t, event{kind: kind, dir: int(d.index)})
}

// ended notes that nothing more comes from src: clean is an orderly end. What is held
// of a header goes nowhere: dst could do nothing with it, and so still stands between
// two frames.
func (l *loop) ended(t *slot, d *loopDirection, clean bool) {
	if !t.state(d).waiting {
		l.dropBacklog(t, d)
	}
	l.apply(t, event{kind: evEOF, dir: int(d.index), clean: clean && !d.broken})
}

// writeFailed notes that dst refused bytes, and has what it has sent before read soon.
func (l *loop) writeFailed(t *slot, d *loopDirection) {
	in := t.other(d)
	l.report(t, d, evWriteFailed)
	if t.state(in).read != readEOF {
		in.readable, in.hup = true, true
		l.later(t, in)
	}
}

// handed reports that dst has taken all, where a Close frame was the last of it.
func (l *loop) handed(t *slot, d *loopDirection) {
	if s := t.state(d); s.write.onItsWay() && !s.waiting {
		l.report(t, d, evHanded)
	}
}

// drop closes dst, which does not take the bytes on their way, as far as that is seen
// from outside.
func (l *loop) drop(t *slot, d *loopDirection) {
	in := t.other(d)
	l.dropBacklog(t, d)
	_ = unix.Shutdown(int(in.fd), unix.SHUT_RDWR) // fails if it has gone
	l.report(t, d, evWriteFailed)
	l.ended(t, in, false)
}

// cut takes a tunnel that has been cut out of service. Its descriptors are closed after
// the events that have come already: a number that is closed may be
// another descriptor at once.
func (l *loop) cut(t *slot) {
	l.wheel.drop(t.index)
	l.dead = append(l.dead, t)
}

// closeDead closes what was cut, and calls its Done.
func (l *loop) closeDead() {
	if len(l.dead) == 0 {
		return
	}
	calls := make([]doneCall, 0, len(l.dead))
	for _, t := range l.dead {
		for i := range t.io {
			l.dropBacklog(t, &t.io[i])
			unix.Close(int(t.io[i].fd))
		}
		r := *l.slab.ref(t)
		s := t.summary(r.end, t.counts(), time.Duration(l.clock())-t.start)
		r.handle.leave(s.Counts)
		r.handle.ended.Store(true)
		l.release(t)
		if r.done != nil {
			calls = append(calls, doneCall{r.done, s})
		}
	}
	clear(l.dead)
	l.dead = l.dead[:0]
	// Not on the loop: locks may be waited for. And not each in a goroutine: thousands
	// at once would be kept by the runtime for ever.
	go notifyDone(calls)
	runtime.Gosched() // to that goroutine: this one may keep the processor while it waits
}

// doneCall is a call of a tunnel's Done.
type doneCall struct {
	done func(Summary)
	end  Summary
}

func notifyDone(calls []doneCall) {
	for _, c := range calls {
		c.done(c.end)
	}
}

// release has a tunnel no more.
func (l *loop) release(t *slot) {
	l.limits.give(t.limits)
	l.slab.give(t)
	l.open--
	l.load.Add(-1)
}
