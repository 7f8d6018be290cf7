package e2e

// Listeners come, go, are renamed and move by an edit, and what is open on the
// others does not notice.

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// listening is a file with these listeners and an echo on all of them.
func listening(listeners string) string {
	return "version: 1\nlisteners: {" + listeners + `}
routes:
  echo: {match: {path: /echo}, to: "internal://echo"}
  page: {match: {path: /page}, respond: {body: here}}
`
}

// TestListenersComeAndGo: a new one answers, an old one refuses, and a tunnel
// that came in by it stays: a tunnel belongs to its route.
func TestListenersComeAndGo(t *testing.T) {
	t.Parallel()
	const first, second = `first: {address: "127.0.0.1:0"}`, `second: {address: "127.0.0.1:0"}`
	p := start(t, listening(first))
	old := p.address("first")
	conn, held := dial(t, "ws://"+old+"/echo"), proxytest.Dial(t, old)

	p.edit(listening(first + ", " + second))
	if p.address("first") != old {
		t.Errorf("the first listener has moved from %s to %s", old, p.address("first"))
	}
	young := dial(t, "ws://"+p.address("second")+"/echo")
	echo(t, young, "by the new one")
	if got := ask(t, held, request("GET /page HTTP/1.1", "Host: x")); got.body != "here" {
		t.Errorf("a connection from before the edit got %d", got.status)
	}

	p.edit(listening(second))
	if conn, err := net.Dial("tcp", old); err == nil {
		conn.Close()
		t.Error("a listener that is gone accepts")
	}
	echo(t, conn, "came in by the old one")
	echo(t, young, "came in by the new one")
	echo(t, dial(t, "ws://"+p.address("second")+"/echo"), "still coming")
}

// TestListenerIsRenamedInPlace: the socket is its address, whatever its name:
// the kernel's queue is not lost, and connections go on.
func TestListenerIsRenamedInPlace(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	p := start(t, listening(`first: {address: "`+address+`"}`))
	held := proxytest.Dial(t, address)
	conn := dial(t, "ws://"+address+"/echo")
	p.edit(listening(`renamed: {address: "` + address + `", limits: {headers: 20}}`))
	if n := p.countLog("listening", nil); n != 1 {
		t.Errorf("listened %d times, wanted once", n)
	}
	for range 2 {
		if got := ask(t, held, request("GET /page HTTP/1.1", "Host: x")); got.body != "here" {
			t.Errorf("a connection from before the edit got %d", got.status)
		}
	}
	echo(t, conn, "open all along")
}

// TestListenerNarrows: ":P" becomes "127.0.0.1:P", which no second socket could
// be bound to beside it, and back.
func TestListenerNarrows(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	wide, narrow := listening(`web: {address: ":`+port+`"}`), listening(`web: {address: "`+address+`"}`)
	p := start(t, wide)
	conn := dial(t, "ws://"+address+"/echo")
	for i, routes := range []string{narrow, wide, narrow} {
		p.edit(routes)
		echo(t, conn, "open all along")
		if got := get(t, "http://"+address+"/page"); got.body != "here" {
			t.Errorf("after edit %d: %d", i, got.status)
		}
	}
	if n := p.countLog("cannot listen", nil); n != 0 {
		t.Errorf("%d listeners could not be opened", n)
	}
}

// TestListenerSplits: ":P" becomes two names of one address, which only shows when
// ":P" is gone: the file is refused before that, and ":P" goes on serving.
func TestListenerSplits(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	wide := listening(`web: {address: ":` + port + `"}`)
	p := start(t, wide)
	conn := dial(t, "ws://"+address+"/echo")
	mistakes := p.spoil(listening(`a: {address: "` + address + `"}, b: {address: "localhost:` + port + `"}`))
	if len(mistakes) != 1 || !strings.Contains(mistakes[0].text("text"), `listener "b"`) || !strings.Contains(mistakes[0].text("text"), `listener "a"`) {
		t.Errorf("the mistakes are %v, wanted one of listener b that names a", mistakes)
	}
	if got := get(t, "http://"+address+"/page"); got.body != "here" {
		t.Errorf("%d while the file is bad", got.status)
	}
	p.edit(listening(`a: {address: "` + address + `"}`))
	if got := get(t, "http://"+address+"/page"); got.body != "here" {
		t.Errorf("%d on the listener that is left", got.status)
	}
	echo(t, conn, "open all along")
}

// TestListenersSwapAddresses: two sockets, two names, exchanged.
func TestListenersSwapAddresses(t *testing.T) {
	t.Parallel()
	a, b := freeAddress(t), freeAddress(t)
	routes := func(a, b string) string {
		return fmt.Sprintf(`version: 1
listeners: {a: {address: "%s"}, b: {address: "%s"}}
routes:
  a: {match: {listener: a}, respond: {body: a}}
  b: {match: {listener: b}, respond: {body: b}}
`, a, b)
	}
	p := start(t, routes(a, b))
	held := proxytest.Dial(t, a)
	if got := ask(t, held, request("GET / HTTP/1.1", "Host: x")); got.body != "a" {
		t.Errorf("listener a answers %q", got.body)
	}
	p.edit(routes(b, a))
	if got := ask(t, held, request("GET / HTTP/1.1", "Host: x")); got.body != "b" {
		t.Errorf("what is listener b now answers %q", got.body)
	}
	if n := p.countLog("listening", nil); n != 2 {
		t.Errorf("listened %d times, wanted twice", n)
	}
}

// TestPortThatIsTaken: the file is refused, and taken when the port is free.
func TestPortThatIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p := start(t, listening(`web: {address: "127.0.0.1:0"}`))
	conn := dial(t, p.ws("/echo"))
	mistake := p.spoil(listening(`web: {address: "127.0.0.1:0"}, more: {address: "127.0.0.1:0"}, wanted: {address: "` + taken.Addr().String() + `"}`))[0]
	if mistake.text("line") != "2" || !strings.Contains(mistake.text("text"), "wanted") || !strings.Contains(mistake.text("text"), taken.Addr().String()) {
		t.Errorf("the mistake is %v, wanted listener wanted of line 2", mistake)
	}
	echo(t, conn, "not concerned")
	if n := p.countLog("listening", nil); n != 1 {
		t.Errorf("%d listeners, wanted the one that served before", n)
	}
	taken.Close() // and nothing else: the file is looked at again by itself
	p.waitLog("routes loaded", fields{"generation": 2})
	echo(t, dial(t, "ws://"+taken.Addr().String()+"/echo"), "there now")
	echo(t, conn, "still open")
}
