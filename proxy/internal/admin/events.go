package admin

// What happens, as server-sent events. A reader that is too slow is disconnected, and comes
// back: it never holds up what it is told of.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const (
	maxStreams  = 64 // of events, at a time
	maxUnread   = 64 // events for one of them
	figuresTick = time.Second
)

// Feed hands events to all streams. Safe for concurrent use; its zero value is ready.
type Feed struct {
	mu      sync.Mutex // guards streams
	streams map[chan event]struct{}
}

type event struct {
	name string
	data []byte
}

// Publish tells all streams; data is sent as JSON.
func (f *Feed) Publish(name string, data any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.streams) == 0 {
		return
	}
	text, err := json.Marshal(data)
	if err != nil {
		return // a type of ours always can be
	}
	for stream := range f.streams {
		select {
		case stream <- event{name, text}:
		default:
			close(stream)
			delete(f.streams, stream)
		}
	}
}

// subscribe returns nil if there are too many streams. The channel is closed when its
// reader is too slow.
func (f *Feed) subscribe() (stream chan event, end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.streams) >= maxStreams {
		return nil, nil
	}
	if f.streams == nil {
		f.streams = make(map[chan event]struct{})
	}
	stream = make(chan event, maxUnread)
	f.streams[stream] = struct{}{}
	return stream, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.streams, stream)
	}
}

// figures are counted once for all streams: counting goes through all tunnels.
type figures struct {
	mu   sync.Mutex // guards what follows
	at   time.Time
	last statusapi.Figures
}

func (f *figures) now(p Proxy) statusapi.Figures {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) >= figuresTick*9/10 {
		f.last, f.at = p.Figures(), time.Now()
	}
	return f.last
}

// events streams until its client leaves, is too slow, or may read no more.
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	stream, end := a.Feed.subscribe()
	if stream == nil {
		w.Header().Set("Retry-After", "5")
		writeError(w, http.StatusServiceUnavailable, "too many event streams are open")
		return
	}
	defer end()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(figuresTick)
	defer tick.Stop()
	for ok := a.tick(w); ok; {
		select {
		case <-r.Context().Done():
			return
		case e, open := <-stream:
			ok = open && send(w, e.name, e.data)
		case <-tick.C:
			ok = a.deny(r, a.identify(r), needsRead) == nil && a.tick(w)
		}
	}
}

// tick sends the figures, and how far the drains are that are under way.
func (a *api) tick(w http.ResponseWriter) bool {
	text, _ := json.Marshal(a.figures.now(a.Proxy)) // plain numbers
	ok := send(w, "figures", text)
	for _, d := range a.Tunnels.Drains() {
		if !d.Over() && ok {
			text, _ := json.Marshal(drainOf(d)) // plain data
			ok = send(w, "drain", text)
		}
	}
	return ok
}

// send writes one event. JSON has no line feeds in it.
func send(w http.ResponseWriter, name string, data []byte) bool {
	limitWriting(w)
	if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, data); err != nil {
		return false
	}
	return http.NewResponseController(w).Flush() == nil
}
