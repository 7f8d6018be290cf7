package proxy

// Lines of the log that a stranger can have written as often as it likes: so many
// are written in each interval, the rest is counted.

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	repeatInterval = 10 * time.Second
	repeatLines    = 100 // in each interval, of each kind at each listener
)

// repeats bounds the lines of a log. Safe for concurrent use.
type repeats struct {
	mu    sync.Mutex
	kinds map[repeatKind]*repeatCount // guarded by mu; of the present intervals
}

type repeatKind struct{ msg, listener string }

type repeatCount struct{ lines, left int }

// log writes the line, or counts it: then the interval's end tells how many there
// were.
func (r *repeats) log(to *slog.Logger, level slog.Level, kind repeatKind, attrs ...slog.Attr) {
	if r.may(to, kind) {
		to.LogAttrs(context.Background(), level, kind.msg, attrs...)
	}
}

func (r *repeats) may(to *slog.Logger, kind repeatKind) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := r.kinds[kind]
	if count == nil {
		if r.kinds == nil {
			r.kinds = make(map[repeatKind]*repeatCount)
		}
		count = new(repeatCount)
		r.kinds[kind] = count
		time.AfterFunc(repeatInterval, func() { r.end(to, kind) })
	}
	if count.lines == repeatLines {
		count.left++
		return false
	}
	count.lines++
	return true
}

// end ends a kind's interval.
func (r *repeats) end(to *slog.Logger, kind repeatKind) {
	r.mu.Lock()
	left := r.kinds[kind].left
	delete(r.kinds, kind)
	r.mu.Unlock()
	if left > 0 {
		to.LogAttrs(context.Background(), slog.LevelWarn, "lines left out", slog.String("of", kind.msg),
			slog.String("listener", kind.listener), slog.Int("lines", left), slog.Float64("seconds", repeatInterval.Seconds()))
	}
}
