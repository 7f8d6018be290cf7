package e2e

// Reloads under load: no handshake fails, no tunnel is lost, and once the new
// routes have answered, the old ones never do again.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
)

// numbered is a file whose every answer, and every 101, carries its number.
func numbered(n int) string {
	return web + strings.ReplaceAll(`
routes:
  kept: {match: {path: /kept}, to: "internal://echo"}
  page: {match: {path: /page}, respond: {body: "$n"}}
  echo: {match: {path: /echo}, to: "internal://echo", headers: {response: {set: {X-Number: "$n"}}}}
`, "$n", strconv.Itoa(n))
}

// watchers ask without pause, and hold every answer to the newest that any of
// them had before it asked.
type watchers struct {
	newest  atomic.Int64
	asked   atomic.Int64
	stopped atomic.Bool
	running sync.WaitGroup
	mu      sync.Mutex // guards faults
	faults  []error
}

// watch begins one watcher. ask returns the number of the routes that answered.
func (w *watchers) watch(ask func() (string, error)) {
	w.running.Go(func() {
		for !w.stopped.Load() {
			if err := w.once(ask); err != nil {
				w.mu.Lock()
				w.faults = append(w.faults, err)
				w.mu.Unlock()
				return
			}
		}
	})
}

func (w *watchers) once(ask func() (string, error)) error {
	before := w.newest.Load()
	text, err := ask()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return err
	}
	w.asked.Add(1)
	if n < before {
		return fmt.Errorf("routes %d answered, after %d had", n, before)
	}
	for {
		newest := w.newest.Load()
		if n <= newest || w.newest.CompareAndSwap(newest, n) {
			return nil
		}
	}
}

// stop waits for the watchers and returns what they found wrong.
func (w *watchers) stop() []error {
	w.stopped.Store(true)
	w.running.Wait()
	return w.faults
}

func TestReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	p := start(t, numbered(0))
	kept := dialMany(t, p.ws("/kept"), 20)
	page, tunnel := p.http("/page"), p.ws("/echo")
	var w watchers
	for range 2 {
		client := &http.Client{Transport: &http.Transport{}} // a connection of its own, kept
		defer client.CloseIdleConnections()
		w.watch(func() (string, error) { return body(client, page) })
	}
	for range 2 {
		w.watch(func() (string, error) { return numberOf(tunnel) })
	}
	for n := 1; n <= 40; n++ {
		p.edit(numbered(n))
		if got := get(t, page).body; got != strconv.Itoa(n) {
			t.Errorf("after routes %d were loaded, %s answered", n, got)
		}
	}
	for _, err := range w.stop() {
		t.Error(err)
	}
	for _, conn := range kept {
		echo(t, conn, "kept")
	}
	t.Logf("%d requests and handshakes through 40 reloads", w.asked.Load())
}

// body asks for a page.
func body(client *http.Client, url string) (string, error) {
	answer, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		return "", errors.New(answer.Status)
	}
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// numberOf opens a tunnel, uses it and closes it, and returns its number.
func numberOf(url string) (string, error) {
	conn, answer, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		return "", fmt.Errorf("handshake: %w%s", err, describe(answer))
	}
	defer conn.Close()
	return answer.Header.Get("X-Number"), exchange(conn, "hello")
}
