package e2e

// Listeners: several at once, on addresses and on a unix socket.

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// shortDir is a directory whose name leaves a socket's path room: it has 108
// bytes at most.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestListeners: every listener takes WebSockets and HTTP, and match.listener
// tells them apart.
func TestListeners(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortDir(t), "front.sock")
	b := newUnixBackend(t, "b")
	p := start(t, fill(`version: 1
listeners:
  web:    {address: "127.0.0.1:0"}
  six:    {address: "[::1]:0"}
  socket: {address: "unix:$socket"}
routes:
  inside: {match: {listener: socket}, to: "unix+ws://$b:/inside"}
  six:    {match: {listener: six}, to: "unix+ws://$b:/six"}
  others: {to: "unix+ws://$b:/others"}
`, map[string]string{"socket": socket, "b": b.authority()}))
	for listener, want := range map[string]struct{ address, asked, client string }{
		"web":    {p.address("web"), "/others/", "127.0.0.1"},
		"six":    {p.address("six"), "/six/", "::1"},
		"socket": {socket, "/inside/", ""},
	} {
		client := proxytest.Dial(t, want.address)
		if got := ask(t, client, request("GET / HTTP/1.1", "Host: a")); strings.TrimSuffix(got.body, "/") != strings.TrimSuffix("b GET "+want.asked, "/") {
			t.Errorf("%s: %d %q, wanted %s asked", listener, got.status, got.body, want.asked)
		}
		if got := b.last(t).Header.Get("X-Forwarded-For"); got != want.client {
			t.Errorf("%s: the backend got X-Forwarded-For %q, wanted %q", listener, got, want.client)
		}
		dialer := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) {
			if listener == "socket" {
				return net.Dial("unix", want.address)
			}
			return net.Dial("tcp", want.address)
		}}
		m := p.log.mark()
		conn, _ := dialWith(t, "ws://any.test/", dialer, nil)
		echo(t, conn, listener)
		conn.Close()
		opened := p.waitLogAfter(m, "tunnel opened", nil)
		if listener == "socket" && opened.text("client") != "unix" {
			t.Errorf("logged as %v, wanted the client unix", opened)
		}
		p.waitLogAfter(m, "tunnel closed", fields{"id": opened.text("id"), "messages_from_client": 1})
	}
}

// TestSocketOfTheDead: a socket that a killed proxy has left behind is taken
// over, one that a process listens on is not.
func TestSocketOfTheDead(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortDir(t), "s")
	routes := "version: 1\nlisteners: {web: {address: \"unix:" + socket + "\"}}\nroutes: {all: {respond: {body: ours}}}\n"
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	start(t, routes)
	if got := ask(t, proxytest.Dial(t, socket), request("GET / HTTP/1.1", "Host: a")); got.body != "ours" {
		t.Errorf("%d %q, wanted the proxy's answer", got.status, got.body)
	}

	second := spawn(t, map[string]string{routesFile: routes}, routesFile)
	if status := second.exit(); status != 1 {
		t.Errorf("a second proxy on the socket ended with %d, wanted 1", status)
	}
	if told := strings.Join(second.log.other(), "\n"); !strings.Contains(told, "address already in use") || !strings.Contains(told, "routes.yaml:2:") {
		t.Errorf("it said %q, wanted which address of which line is taken", told)
	}
	second.log.allowNoise()
	if got := ask(t, proxytest.Dial(t, socket), request("GET / HTTP/1.1", "Host: a")); got.status != http.StatusOK {
		t.Errorf("after the second: %d %q, wanted the first's answer", got.status, got.body)
	}
}

// otherGroup is a group that this process may give a file to, and not the one that it makes
// files with, if there is another.
func otherGroup() int {
	if os.Geteuid() == 0 {
		return 1
	}
	groups, _ := os.Getgroups()
	for _, g := range groups {
		if g != os.Getegid() {
			return g
		}
	}
	return os.Getegid()
}

// fileMode is who may use a file, as `stat` would say it: mode and group.
func fileMode(t testing.TB, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%04o %d", info.Mode().Perm(), info.Sys().(*syscall.Stat_t).Gid)
}

// TestSocketModeAndGroup: a socket is for the owner and the group by default, whatever the
// umask is; an edit changes one that is listened on.
func TestSocketModeAndGroup(t *testing.T) {
	t.Parallel()
	socket, group := filepath.Join(shortDir(t), "s"), otherGroup()
	routes := func(more string) string {
		return "version: 1\nlisteners: {in: {address: \"unix:" + socket + "\"" + more + "}}\nroutes: {all: {respond: {body: ours}}}\n"
	}
	p := start(t, routes(""))
	for _, step := range []struct{ more, want string }{
		{"", fmt.Sprint("0660 ", os.Getegid())},
		{fmt.Sprintf(`, mode: "0600", group: "%d"`, group), fmt.Sprint("0600 ", group)},
		{fmt.Sprintf(", mode: 0666, group: %d", group), fmt.Sprint("0666 ", group)},
	} {
		if step.more != "" {
			p.edit(routes(step.more))
		}
		if got := fileMode(t, socket); got != step.want {
			t.Errorf("with %q: %s, wanted %s", step.more, got, step.want)
		}
		if got := ask(t, proxytest.Dial(t, socket), request("GET / HTTP/1.1", "Host: a")); got.body != "ours" {
			t.Errorf("with %q: %d %q, wanted the proxy's answer", step.more, got.status, got.body)
		}
	}
	if mistakes := p.spoil(routes(", group: no-such-group-here")); len(mistakes) != 1 || !strings.Contains(mistakes[0].text("text"), `group "no-such-group-here": unknown group`) {
		t.Errorf("an unknown group: %v", mistakes)
	}
}

// TestSocketIsRemoved by a proxy that ends.
func TestSocketIsRemoved(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortDir(t), "s")
	p := start(t, "version: 1\nlisteners: {web: {address: \"unix:"+socket+"\"}}\nroutes: {}\n")
	p.cut()
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket after the end: %v, wanted it gone", err)
	}
}
