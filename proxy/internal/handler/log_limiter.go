package handler

// Lines of the log that any client can cause as often as it likes: so many are written in
// each interval, the rest is counted.

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	logInterval = 10 * time.Second
	logLines    = 100 // in each interval, of each kind at each listener
)

// logLimiter bounds the lines of a log. Safe for concurrent use.
type logLimiter struct {
	mu    sync.Mutex
	kinds map[logKind]*logCount // guarded by mu; of the present intervals
}

type logKind struct{ msg, listener string }

type logCount struct{ lines, left int }

// log writes the line, or counts it: then a line at the interval's end has the number.
func (r *logLimiter) log(to *slog.Logger, level slog.Level, kind logKind, attrs ...slog.Attr) {
	if r.allows(to, kind) {
		to.LogAttrs(context.Background(), level, kind.msg, attrs...)
	}
}

func (r *logLimiter) allows(to *slog.Logger, kind logKind) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := r.kinds[kind]
	if count == nil {
		if r.kinds == nil {
			r.kinds = make(map[logKind]*logCount)
		}
		count = new(logCount)
		r.kinds[kind] = count
		time.AfterFunc(logInterval, func() { r.end(to, kind) })
	}
	if count.lines == logLines {
		count.left++
		return false
	}
	count.lines++
	return true
}

// end ends a kind's interval.
func (r *logLimiter) end(to *slog.Logger, kind logKind) {
	r.mu.Lock()
	left := r.kinds[kind].left
	delete(r.kinds, kind)
	r.mu.Unlock()
	if left > 0 {
		to.LogAttrs(context.Background(), slog.LevelWarn, "lines left out", slog.String("of", kind.msg),
			slog.String("listener", kind.listener), slog.Int("lines", left), slog.Float64("seconds", logInterval.Seconds()))
	}
}
