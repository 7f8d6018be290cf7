package e2e

// Tunnels that must go are spread over their route's window, and one whose turn
// has not come is let off when it is welcome again.

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// acceptOne is a server that hands over the connection of each tunnel.
func acceptOne(accepted chan<- *websocket.Conn) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, err := upgrader.Upgrade(w, r, nil); err == nil {
			accepted <- conn
		}
	})
}

// spread is a file with one route of this window, or without it.
func spread(window string, there bool) string {
	if !there {
		return web + "routes: {}\n"
	}
	return web + `routes: {r: {match: {path: /r}, to: "internal://echo", drain: {window: ` + window + "}}}\n"
}

// TestWindowEndsAll: whatever their turns, all go, and each is told.
func TestWindowEndsAll(t *testing.T) {
	t.Parallel()
	p := start(t, spread("500ms", true))
	conns := dialMany(t, p.ws("/r"), 20)
	if loaded := p.edit(spread("", false)); loaded.text("tunnels_draining") != "20" {
		t.Errorf("logged as %v, wanted 20 tunnels draining", loaded)
	}
	for _, conn := range conns {
		if code, _ := closeCode(t, conn); code != drained {
			t.Errorf("closed with %d, wanted %d", code, drained)
		}
		conn.Close()
	}
}

// TestWindowSpreads: of 20 tunnels with 20s to go, most are still there when the
// first has been told; the route's return lets them off, and only them.
func TestWindowSpreads(t *testing.T) {
	t.Parallel()
	p := start(t, spread("20s", true))
	conns := dialMany(t, p.ws("/r"), 20)
	closed := make(chan int, len(conns))
	var reading sync.WaitGroup
	for i, conn := range conns {
		reading.Go(func() {
			for {
				if _, _, err := conn.ReadMessage(); err != nil {
					closed <- i
					return
				}
			}
		})
	}
	p.edit(spread("", false))
	gone := map[int]bool{<-closed: true}
	back := p.edit(spread("20s", true))
	kept := int(back.number(t, "tunnels_kept"))
	if kept == 0 {
		t.Error("no tunnel was left when the first had been told: they were not spread over the window")
	}
	for len(gone) < len(conns)-kept {
		gone[<-closed] = true
	}
	for i, conn := range conns {
		if !gone[i] {
			conn.Close() // by the client: the proxy has not told it anything
		}
	}
	reading.Wait()
	if n := p.countLog("tunnel closed", fields{"reason": "drain"}); n > len(conns)-kept {
		t.Errorf("%d tunnels drained, but %d of %d were let off", n, kept, len(conns))
	}
}

// TestReturnedRouteLetsTunnelsOff: with a window of days no tunnel's turn has come
// when the route, then its backend, is there again.
func TestReturnedRouteLetsTunnelsOff(t *testing.T) {
	t.Parallel()
	b, other := newBackend(t, "b"), newBackend(t, "other")
	routes := func(to string) string {
		return web + `routes: {r: {match: {path: /r}, to: "` + to + `", drain: {window: 1000h}}}` + "\n"
	}
	p := start(t, routes(b.url("ws")))
	conns := dialMany(t, p.ws("/r"), 5)
	for _, away := range []string{web + "routes: {}\n", routes(other.url("ws")), spread("1000h", true)} {
		if loaded := p.edit(away); loaded.text("tunnels_draining") != "5" {
			t.Errorf("logged as %v, wanted 5 tunnels draining", loaded)
		}
		if loaded := p.edit(routes(b.url("ws"))); loaded.text("tunnels_kept") != "5" || loaded.text("tunnels_draining") != "0" {
			t.Errorf("logged as %v, wanted all 5 kept", loaded)
		}
	}
	for _, conn := range conns {
		echo(t, conn, "welcome again")
	}
}

// TestEditTakenBackSparesTunnels: a writer that pauses leaves half of its routes for
// a while, which is a valid file. However short the window, no tunnel is closed
// before three seconds are over.
func TestEditTakenBackSparesTunnels(t *testing.T) {
	t.Parallel()
	const grace = 3 * time.Second
	p := start(t, spread("1ms", true))
	conn := dial(t, p.ws("/r"))

	edited := time.Now()
	p.edit(spread("1ms", false))
	p.edit(spread("1ms", true))
	if time.Since(edited) > grace {
		t.Skip("two edits took longer than an edit may be taken back")
	}
	echo(t, conn, "spared")

	edited = time.Now()
	if loaded := p.edit(spread("1ms", false)); loaded.text("tunnels_draining") != "1" {
		t.Errorf("logged as %v, wanted one tunnel draining", loaded)
	}
	if code, _ := closeCode(t, conn); code != drained || time.Since(edited) < grace {
		t.Errorf("closed with %d %v after the edit, wanted %d and not before %v", code, time.Since(edited), drained, grace)
	}
}

// dialMany opens n tunnels.
func dialMany(t *testing.T, url string, n int) []*websocket.Conn {
	t.Helper()
	conns := make([]*websocket.Conn, n)
	for i := range conns {
		conns[i] = dial(t, url)
	}
	return conns
}
