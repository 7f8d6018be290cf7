package e2e

// SIGTERM and SIGINT: how a proxy shuts down.

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// startAdmin starts a proxy with its admin API, whose URL it returns.
func startAdmin(t *testing.T, routes string) (p *proxy, admin string) {
	t.Helper()
	p = startFiles(t, map[string]string{routesFile: routes}, routesFile, "--admin", "127.0.0.1:0")
	return p, "http://" + p.waitLog("admin listening", nil).text("address")
}

// TestTermDelays: during shutdown.delay the proxy is not ready, and serves as
// before, so that load balancers turn away first.
func TestTermDelays(t *testing.T) {
	t.Parallel()
	p, admin := startAdmin(t, web+`
shutdown: {delay: 1h}
routes:
  echo: {match: {path: /echo}, to: "internal://echo"}
  page: {match: {path: /page}, respond: {body: "here"}}
`)
	if got := get(t, admin+"/readyz").status; got != 200 {
		t.Errorf("/readyz is %d before the shutdown, wanted 200", got)
	}
	conn := dial(t, p.ws("/echo"))
	p.signal(syscall.SIGTERM)
	p.waitLog("shutting down", fields{"tunnels": 1})
	awaitNotReady(t, admin)
	if got := get(t, admin+"/livez").status; got != 200 {
		t.Errorf("/livez is %d during the shutdown, wanted 200", got)
	}
	echo(t, conn, "still here")
	echo(t, dial(t, p.ws("/echo")), "still accepting")
	if got := get(t, p.http("/page")); got.body != "here" {
		t.Errorf("a request during the delay: %d %q", got.status, got.body)
	}
	cutNow(t, p)
	if status := p.exit(); status != 0 {
		t.Errorf("exit status %d, wanted 0", status)
	}
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("a message came from a tunnel that was cut")
	}
}

// TestSignalsThatStop: QUIT, with which some images are stopped, and INT drain as TERM
// does, and nothing but JSON is in the log.
func TestSignalsThatStop(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			p := start(t, web+"shutdown: {delay: 0s, window: 1ms}\nroutes: {echo: {to: \"internal://echo\"}}\n")
			conn := dial(t, p.ws("/"))
			p.signal(sig)
			if code, _ := closeCode(t, conn); code != websocket.CloseGoingAway {
				t.Errorf("closed with %d, wanted %d", code, websocket.CloseGoingAway)
			}
			if status := p.exit(); status != 0 {
				t.Errorf("exit status %d, wanted 0", status)
			}
			p.waitLog("shutting down", fields{"signal": sig.String()})
		})
	}
}

// cutNow sends the second SIGTERM, until it is taken for one: soon after the
// first it would count as the same.
func cutNow(t *testing.T, p *proxy) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for p.countLog("cutting what is left", nil) == 0 {
		p.signal(syscall.SIGTERM)
		select {
		case <-again.C:
		case <-p.exited:
			return
		}
	}
}

// awaitNotReady asks until the shutdown that has been announced shows.
func awaitNotReady(t *testing.T, admin string) {
	t.Helper()
	for {
		if got := get(t, admin+"/readyz").status; got == 503 {
			return
		} else if got != 200 {
			t.Fatalf("/readyz is %d, wanted 503", got)
		}
	}
}

// held is a backend whose every answer, or 101, waits until it is let go.
type held struct {
	asked, letGo chan struct{}
}

func (h held) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.asked <- struct{}{}
	<-h.letGo
	if !websocket.IsWebSocketUpgrade(r) {
		fmt.Fprint(w, "at last")
		return
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for err == nil {
		_, _, err = conn.ReadMessage()
	}
}

// startHeld starts a proxy in front of such a backend.
func startHeld(t *testing.T) (*proxy, held) {
	t.Helper()
	h := held{make(chan struct{}), make(chan struct{})}
	server := proxytest.Serve(t, h)
	return start(t, web+`
shutdown: {delay: 1ms, window: 1ms}
defaults: {drain: {close_timeout: 1m}} # the shutdown waits for so long
routes:
  held: {match: {path: /held}, to: "`+server.URL+`"}
`), h
}

// TestTermLetsRequestsFinish: a request that is under way gets its answer, whole,
// and then the process ends.
func TestTermLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	p, h := startHeld(t)
	raw := connect(t, p)
	raw.Send(request("GET /held HTTP/1.1", "Host: x"))
	<-h.asked
	p.signal(syscall.SIGTERM)
	awaitClosed(t, p)
	close(h.letGo)
	if answer, body := raw.Response("GET"); answer.StatusCode != 200 || body != "at last" {
		t.Errorf("the request got %d %q", answer.StatusCode, body)
	}
	if rest := raw.Rest(); rest != "" {
		t.Errorf("behind the answer came %q", rest)
	}
	if status := p.exit(); status != 0 {
		t.Errorf("exit status %d, wanted 0", status)
	}
	p.waitLog("stopped", fields{"cut": false})
}

// awaitClosed connects until nothing listens any more.
func awaitClosed(t *testing.T, p *proxy) {
	t.Helper()
	for address := p.address("web"); ; {
		conn, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			return
		}
		conn.Close()
	}
}

// TestTermEndsALateTunnel: a handshake that is under way may end, and the tunnel
// that it opens is closed like the others.
func TestTermEndsALateTunnel(t *testing.T) {
	t.Parallel()
	p, h := startHeld(t)
	raw := connect(t, p)
	raw.Send(proxytest.Handshake{Target: "/held"}.String())
	<-h.asked
	p.signal(syscall.SIGTERM)
	awaitClosed(t, p)
	close(h.letGo)
	if answer, _ := raw.Response("GET"); answer.StatusCode != 101 {
		t.Fatalf("the handshake got %d, wanted 101", answer.StatusCode)
	}
	frame := make([]byte, 4)
	if _, err := io.ReadFull(raw.Reader, frame); err != nil || frame[0] != 0x88 || int(frame[2])<<8|int(frame[3]) != websocket.CloseGoingAway {
		t.Errorf("read %x and %v, wanted a Close frame with 1001", frame, err)
	}
	raw.Close()
	if status := p.exit(); status != 0 {
		t.Errorf("exit status %d, wanted 0", status)
	}
}

// TestTermDrains: every tunnel is closed with 1001, whatever its route keeps,
// and the process ends by itself with status 0.
func TestTermDrains(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
shutdown: {delay: 1ms, window: 1ms}
routes:
  echo: {match: {path: /echo}, to: "internal://echo"}
  kept: {match: {path: /kept}, to: "internal://echo", drain: {keep: true}}
`)
	tunnels := []*websocket.Conn{dial(t, p.ws("/echo")), dial(t, p.ws("/kept"))}
	p.signal(syscall.SIGTERM)
	for _, conn := range tunnels {
		if code, _ := closeCode(t, conn); code != websocket.CloseGoingAway {
			t.Errorf("closed with %d, wanted 1001", code)
		}
		conn.Close()
	}
	if status := p.exit(); status != 0 {
		t.Errorf("exit status %d, wanted 0", status)
	}
	p.waitLog("stopped", nil)
	if n := p.countLog("tunnel closed", fields{"reason": "shutdown", "closed_by": "proxy", "code": 1001}); n != 2 {
		t.Errorf("%d tunnels logged as closed by the shutdown, wanted 2", n)
	}
}

// TestSecondTermCuts: tunnels that would be drained for an hour are cut.
func TestSecondTermCuts(t *testing.T) {
	t.Parallel()
	p := start(t, web+`
shutdown: {delay: 1ms, window: 1h}
routes:
  echo: {match: {path: /echo}, to: "internal://echo"}
`)
	conn := dial(t, p.ws("/echo"))
	echo(t, conn, "open")
	p.cut() // fails the test if that takes longer than patience
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("a message came from a tunnel that was cut")
	}
}
