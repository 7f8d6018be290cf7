package e2e

// A thousand tunnels with steady traffic through a hundred edits of other
// routes: nothing is dropped, lost or reordered, and nothing grows.

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// scale is how many tunnels there are, and how often each sends.
func scale() (tunnels int, pace time.Duration) {
	if raceDetector {
		return 300, 300 * time.Millisecond
	}
	return 1000, 100 * time.Millisecond
}

// crowdRoutes is a file with the crowd's route and n others.
func crowdRoutes(backend string, n int, body string) string {
	var b strings.Builder
	b.WriteString(web + "routes:\n  crowd: {match: {path_prefix: /crowd/}, to: \"" + backend + "\"}\n")
	for i := range n {
		fmt.Fprintf(&b, "  other-%d: {match: {path: /other/%d}, respond: {body: %q}}\n", i, i, body)
	}
	return b.String()
}

// crowd is many tunnels, each with one goroutine that sends numbered messages,
// and checks that each comes back, in order, before it sends the next.
type crowd struct {
	stop    chan struct{}
	members sync.WaitGroup
	mu      sync.Mutex // guards faults and echoed
	faults  []error
	echoed  int
}

// gather opens n tunnels.
func gather(t *testing.T, url string, n int, pace time.Duration) *crowd {
	t.Helper()
	c := &crowd{stop: make(chan struct{})}
	for i := range n {
		conn := dial(t, url)
		conn.NetConn().SetDeadline(time.Time{})
		c.members.Go(func() { c.chat(conn, i, pace) })
	}
	return c
}

// chat is one member: it has two messages under way, so that their order shows.
func (c *crowd) chat(conn *websocket.Conn, member int, pace time.Duration) {
	next := time.NewTicker(pace)
	defer next.Stop()
	for n := 0; ; n += 2 {
		err := exchange(conn, fmt.Sprintf("%d: %d", member, n), fmt.Sprintf("%d: %d", member, n+1))
		c.mu.Lock()
		if err != nil {
			c.faults = append(c.faults, fmt.Errorf("tunnel %d, message %d: %w", member, n, err))
		}
		c.echoed += 2
		c.mu.Unlock()
		if err != nil {
			return
		}
		select {
		case <-c.stop:
			return
		case <-next.C:
		}
	}
}

// exchange sends texts and wants them back, in order.
func exchange(conn *websocket.Conn, texts ...string) error {
	conn.SetReadDeadline(time.Now().Add(patience))
	for _, text := range texts {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			return err
		}
	}
	for _, text := range texts {
		switch _, got, err := conn.ReadMessage(); {
		case err != nil:
			return err
		case string(got) != text:
			return fmt.Errorf("got %q, wanted %q", got, text)
		}
	}
	return nil
}

// count is how many messages have come back, and what has gone wrong.
func (c *crowd) count() (int, []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.echoed, c.faults
}

// disperse ends the chat and returns what has gone wrong in it.
func (c *crowd) disperse() []error {
	close(c.stop)
	c.members.Wait()
	_, faults := c.count()
	return faults
}

// TestThousandTunnelsThroughEdits is the product's first promise. Every edit is a
// swap of ..data, and every tenth a bad file.
func TestThousandTunnelsThroughEdits(t *testing.T) {
	t.Parallel()
	n, pace := scale()
	b := newBackend(t, "b")
	mounted := mountConfigMap(t, t.TempDir(), crowdRoutes(b.url("ws"), 10, "start"))
	p := startFiles(t, nil, mounted.file())
	crowd := gather(t, p.ws("/crowd/"), n, pace)

	settled := p.usage(t)
	for edit := range 100 {
		m := p.log.mark()
		switch {
		case edit%10 == 5:
			mounted.swap(crowdRoutes(b.url("ws"), 10, "bad") + "  - nonsense\n")
			p.waitLogAfter(m, "routes refused", nil)
		default:
			text := crowdRoutes(b.url("ws"), 1+edit%20, fmt.Sprint(edit))
			mounted.swap(text)
			loaded := p.waitLogAfter(m, "routes loaded", fields{"revision": revision(text)})
			if loaded.text("tunnels_kept") != fmt.Sprint(n) {
				t.Errorf("edit %d: %s tunnels kept, wanted %d", edit, loaded.text("tunnels_kept"), n)
			}
		}
		if edit == 20 {
			settled = p.usage(t) // with warm buffers
		}
		if _, faults := crowd.count(); len(faults) > 0 {
			break
		}
	}
	after := p.usage(t)
	faults := crowd.disperse() // its tunnels stay open
	goroutines := p.goroutines()
	for _, err := range faults[:min(len(faults), 5)] {
		t.Error(err)
	}
	echoed, _ := crowd.count()
	t.Logf("%d tunnels, %d messages; after 20 edits %+v, after 100 %+v and %d goroutines", n, echoed, settled, after, goroutines)
	if closed := p.countLog("tunnel closed", fields{"closed_by": "proxy"}); closed != 0 || len(faults) != 0 {
		t.Errorf("%d tunnels closed by the proxy and %d broken, wanted none", closed, len(faults))
	}
	if goroutines > 3*n+50 { // two a tunnel, and one that may put a frame in
		t.Errorf("%d goroutines for %d tunnels", goroutines, n)
	}
	if after.descriptors > settled.descriptors+10 {
		t.Errorf("%d descriptors after 100 edits, %d after 20", after.descriptors, settled.descriptors)
	}
	if after.kilobytes > 2*settled.kilobytes {
		t.Errorf("%d KiB resident after 100 edits, %d after 20", after.kilobytes, settled.kilobytes)
	}
}
