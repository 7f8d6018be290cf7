package e2e

// A backend that dies with its tunnels, and all its clients at once again.

import (
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestBackendDies: clients of a backend that is gone without a word are told to
// come back, and may all come at once.
func TestBackendDies(t *testing.T) {
	t.Parallel()
	b := proxytest.EchoServer(t, proxytest.EchoOptions{})
	p := start(t, web+`routes: {r: {match: {path: /r}, to: "`+b.WS()+`"}}`+"\n")
	conns := dialMany(t, p.ws("/r"), 50)
	for _, conn := range conns {
		echo(t, conn, "alive")
	}
	b.CutTunnels()
	for _, conn := range conns {
		if code, reason := closeCode(t, conn); code != websocket.CloseServiceRestart || reason == "" {
			t.Errorf("closed with %d %q, wanted 1012 and a reason", code, reason)
		}
	}
	if _, err := p.log.wait(0, 50, "tunnel closed", fields{"closed_by": "backend", "reason": "lost", "code": 1012}); err != nil {
		t.Error(err)
	}

	const all = 200
	url, together, errs := p.ws("/r"), make(chan struct{}), make(chan error, all)
	var clients sync.WaitGroup
	for range all {
		clients.Go(func() {
			<-together
			errs <- comeBack(url)
		})
	}
	close(together)
	clients.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}

// comeBack opens a tunnel and uses it.
func comeBack(url string) error {
	dialer := websocket.Dialer{HandshakeTimeout: patience}
	conn, _, err := dialer.Dial(url, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	return exchange(conn, "back")
}
