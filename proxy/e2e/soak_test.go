package e2e

// A soak: clients and backends that do all that such do, at once and at random, and
// edits meanwhile. At the end nothing is left of it. The short form is for every day;
// TUNNELFORM_SOAK=10m makes it as long as that.

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// soakVariable says how long a soak takes, and makes other scenarios larger.
const soakVariable = "TUNNELFORM_SOAK"

func TestSoak(t *testing.T) {
	length := 6 * time.Second
	if long := os.Getenv(soakVariable); long != "" {
		var err error
		if length, err = time.ParseDuration(long); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		t.Skip("it takes some seconds")
	}
	s := newSoak(t)
	s.visit(s.plain, "/echo", 0) // what is made once is made
	s.visit(s.sealed, "/echo", 0)
	s.p.waitOpen(0)
	before := s.p.usage(t)

	over := time.Now().Add(length)
	var clients sync.WaitGroup
	for i := range 12 {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for time.Now().Before(over) {
				address := s.plain
				if rnd.IntN(2) == 0 {
					address = s.sealed
				}
				s.visit(address, soakPaths[rnd.IntN(len(soakPaths))], rnd.IntN(len(soakEnds)))
			}
		})
	}
	for edit := 1; time.Now().Before(over); edit++ {
		s.p.edit(s.routes(edit % 7))
		time.Sleep(200 * time.Millisecond)
	}
	clients.Wait()

	s.p.waitOpen(0)
	eventually(t, func() (bool, string) {
		after := s.p.usage(t)
		return after.descriptors <= before.descriptors+8,
			fmt.Sprintf("%d descriptors when all have gone, %d before", after.descriptors, before.descriptors)
	})
	t.Logf("%d tunnels in %v; %+v before, %+v after", s.opened.Load(), length, before, s.p.usage(t))
	if _, err := s.p.log.wait(0, max(1, s.p.countLog("tunnel opened", nil)), "tunnel closed", nil); err != nil {
		t.Error(err)
	}
}

// soak is a proxy with a plain listener and one with TLS, and its backends.
type soak struct {
	p             *proxy
	begin         string // of the routes file
	backends      map[string]string
	plain, sealed string
	config        *tls.Config
	opened        atomic.Int64
}

var soakPaths = []string{"/echo", "/redial", "/feed", "/flood", "/dies", "/resets", "/deaf", "/raw"}

func newSoak(t *testing.T) *soak {
	certificate := proxytest.NewAuthority(t).Issue([]string{"127.0.0.1"})
	s := &soak{
		begin: strings.Replace(web, "}}\n", `}, sealed: {address: "127.0.0.1:0", tls: {certificates: [`+files(certificate)+"]}}}\n", 1),
		backends: map[string]string{
			"echo":   proxytest.EchoServer(t, proxytest.EchoOptions{}).Addr,
			"raw":    newBackend(t, "raw").authority(),
			"feed":   proxytest.NewRawBackend(t, feed(5*time.Millisecond, fromBackend(0x82, "tick"))).Addr,
			"flood":  proxytest.NewRawBackend(t, feed(0, "\x82\x7e\xea\x60"+string(make([]byte, 60000)))).Addr,
			"dies":   proxytest.NewRawBackend(t, switches(func(conn net.Conn) { io.WriteString(conn, fromBackend(0x82, "last words")) })).Addr,
			"resets": proxytest.NewRawBackend(t, switches(func(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) })).Addr,
			"deaf":   proxytest.NewRawBackend(t, switches(func(conn net.Conn) { time.Sleep(time.Second) })).Addr,
		},
		config: &tls.Config{InsecureSkipVerify: true},
	}
	s.p = start(t, s.routes(0))
	s.plain, s.sealed = s.p.address("web"), s.p.address("sealed")
	return s
}

// switches is the script of a server that accepts a handshake, does something, and
// closes.
func switches(then func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		head, err := proxytest.ReadHead(bufio.NewReader(conn))
		if err != nil {
			return
		}
		io.WriteString(conn, proxytest.Switching(proxytest.HeaderValue(head, "Sec-WebSocket-Key")))
		then(conn)
	}
}

// routes is the file in one of its versions: each is without another route, whose
// tunnels are drained.
func (s *soak) routes(version int) string {
	text := s.begin + `
defaults: {keepalive: {ping: 100ms, pong: 200ms}, drain: {window: off, close_timeout: 200ms}, timeouts: {lifetime: 3s}}
routes:` + statusRoute
	for i, path := range soakPaths {
		if i == version+1 { // the first stays
			continue
		}
		to, more := s.backends[path[1:]], ""
		switch path {
		case "/redial":
			to, more = s.backends["feed"], ", on_backend_loss: redial"
		case "/raw":
			more = ", upgrade: any"
		}
		text += `  ` + path[1:] + `: {match: {path: ` + path + `}, to: "ws://` + to + `"` + more + "}\n"
	}
	return text
}

// visit opens a tunnel, if it can, says something, reads something, and ends in a
// way of soakEnds.
func (s *soak) visit(address, path string, end int) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	beneath := conn.(*net.TCPConn)
	beneath.SetReadBuffer(16 << 10)
	if address == s.sealed {
		conn = tls.Client(conn, s.config)
	}
	hello := proxytest.Handshake{Target: path, Body: fromClient(0x82, "hello")}
	if path == "/raw" {
		hello.Change = map[string]string{"Upgrade": "something", "Sec-WebSocket-Key": "", "Sec-WebSocket-Version": ""}
	}
	if _, err := io.WriteString(conn, hello.String()); err != nil {
		return
	}
	reader := bufio.NewReader(conn)
	head, err := proxytest.ReadHead(reader)
	if err != nil || !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		return
	}
	s.opened.Add(1)
	reader.ReadByte()
	soakEnds[end](conn, beneath, reader)
}

// soakEnds are the ways in which a client ends. Whatever is open then is closed.
var soakEnds = []func(conn net.Conn, beneath *net.TCPConn, reader *bufio.Reader){
	func(conn net.Conn, _ *net.TCPConn, reader *bufio.Reader) { // as it should
		io.WriteString(conn, fromClient(opClose, "\x03\xe8"))
		io.Copy(io.Discard, reader)
	},
	func(conn net.Conn, _ *net.TCPConn, _ *bufio.Reader) { conn.Close() },
	func(_ net.Conn, beneath *net.TCPConn, _ *bufio.Reader) { beneath.Close() },
	func(_ net.Conn, beneath *net.TCPConn, _ *bufio.Reader) { beneath.SetLinger(0) },
	func(conn net.Conn, beneath *net.TCPConn, _ *bufio.Reader) { // reads no more, says its last word, and is reset
		time.Sleep(50 * time.Millisecond)
		halfClose(conn)
		beneath.SetLinger(0)
	},
	func(conn net.Conn, _ *net.TCPConn, reader *bufio.Reader) { // half-closes, and reads on
		halfClose(conn)
		io.CopyN(io.Discard, reader, 1000)
	},
	func(conn net.Conn, _ *net.TCPConn, _ *bufio.Reader) { // closes, and never comes to an end
		for text := fromClient(opClose, "\x03\xe8"); ; text = fromClient(opPong, "") {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	},
	func(conn net.Conn, _ *net.TCPConn, reader *bufio.Reader) { io.Copy(io.Discard, reader) }, // is told to go
}
