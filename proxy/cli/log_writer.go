package cli

// The writer beneath the log. It writes lines in batches, and no caller waits for it: a
// slow or blocked reader of the log must not hold up tunnels.

import (
	"io"
	"sync"
	"time"
)

const (
	// batchDelay is how long a line may wait for others to be written with it.
	batchDelay = 2 * time.Millisecond
	// maxPending bounds the bytes, some thousand lines, that wait for a blocked reader.
	// Further lines are lost; how many is logged later.
	maxPending = 1 << 20
	// flushTimeout is how long the end of the process may wait for that reader.
	flushTimeout = 2 * time.Second
)

// logWriter is a writer whose Write takes whole lines. Safe for concurrent use. Its owner
// calls flush before the process ends.
type logWriter struct {
	to io.Writer

	mu      sync.Mutex
	pending []byte        // guarded by mu
	spare   []byte        // guarded by mu; the other buffer
	lost    int           // guarded by mu; lines that there was no room for, and that are not reported yet
	lostAll uint64        // guarded by mu; all of them
	idle    chan struct{} // guarded by mu; nil while nothing is pending or being written, else closed when that is so

	reportLost func(lost int) // logs it
}

// Write implements io.Writer. It never fails.
func (l *logWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending)+len(line) > maxPending {
		l.lost++
		l.lostAll++
		return len(line), nil
	}
	l.pending = append(l.pending, line...)
	if l.idle == nil {
		l.idle = make(chan struct{})
		time.AfterFunc(batchDelay, l.writeOut)
	}
	return len(line), nil
}

// linesLost is how many lines were lost.
func (l *logWriter) linesLost() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lostAll
}

// logWriters are those of the log and of the access log, which is nil if there is none.
type logWriters [2]*logWriter

func (all logWriters) linesLost() (lost uint64) {
	for _, l := range all {
		if l != nil {
			lost += l.linesLost()
		}
	}
	return lost
}

// writeOut writes until nothing is pending.
func (l *logWriter) writeOut() {
	for {
		l.mu.Lock()
		out, lost := l.pending, l.lost
		l.pending, l.spare, l.lost = l.spare[:0], nil, 0
		if len(out) == 0 && lost == 0 {
			l.spare = out
			close(l.idle)
			l.idle = nil
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		_, _ = l.to.Write(out) // a log that cannot be written has nowhere to say so
		l.mu.Lock()
		l.spare = out[:0]
		l.mu.Unlock()
		if lost > 0 && l.reportLost != nil {
			l.reportLost(lost) // which writes a line
		}
	}
}

// flush returns when all lines are written, or after flushTimeout.
func (l *logWriter) flush() {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-time.After(flushTimeout):
	}
}
