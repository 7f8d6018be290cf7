package cli

// The log's lines on their way out: written together, a moment later, and never
// waited for. A reader of the log that is slow, or stands still, must not hold up
// tunnels.

import (
	"io"
	"sync"
	"time"
)

const (
	// lineDelay is how long a line may wait for others to be written with it.
	lineDelay = 2 * time.Millisecond
	// waitingBytes bounds what waits for a reader that stands still: some
	// thousand lines. What comes then is lost, and that some are is said later.
	waitingBytes = 1 << 20
	// lastLines is how long the end of a process may wait for that reader.
	lastLines = 2 * time.Second
)

// lines is a writer whose Write takes whole lines, at once. Safe for concurrent
// use. Whoever makes it calls flush before the process ends.
type lines struct {
	to io.Writer

	mu      sync.Mutex
	waiting []byte        // guarded by mu
	spare   []byte        // guarded by mu
	lost    int           // guarded by mu; lines that there was no room for
	idle    chan struct{} // guarded by mu; nil while nothing waits or is being written; then closed at the end of that
	tell    func(lost int)
}

// Write implements io.Writer. It never fails.
func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting)+len(line) > waitingBytes {
		l.lost++
		return len(line), nil
	}
	l.waiting = append(l.waiting, line...)
	if l.idle == nil {
		l.idle = make(chan struct{})
		time.AfterFunc(lineDelay, l.writeOut)
	}
	return len(line), nil
}

// writeOut writes until nothing waits.
func (l *lines) writeOut() {
	for {
		l.mu.Lock()
		out, lost := l.waiting, l.lost
		l.waiting, l.spare, l.lost = l.spare[:0], nil, 0
		if len(out) == 0 && lost == 0 {
			l.spare = out
			close(l.idle)
			l.idle = nil
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		_, _ = l.to.Write(out) // there is nobody to tell
		l.mu.Lock()
		l.spare = out[:0]
		l.mu.Unlock()
		if lost > 0 && l.tell != nil {
			l.tell(lost) // which writes a line
		}
	}
}

// flush returns when all lines are written, or when they have been waited for long
// enough.
func (l *lines) flush() {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-time.After(lastLines):
	}
}
