package tunnel

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// engines are what is measured: on systems with one engine, both are that.
var engines = []struct {
	name string
	open func() Engine
}{{"portable", Portable}, {"best", New}}

// BenchmarkEcho is one message through a tunnel and back, over TCP on the
// loopback interface, with both peers in the same process.
func BenchmarkEcho(b *testing.B) {
	for _, e := range engines {
		for _, size := range []int{64, 16 << 10} {
			b.Run(fmt.Sprintf("%s/%dB", e.name, size), func(b *testing.B) { benchEcho(b, e.open(), size) })
		}
	}
}

func benchEcho(b *testing.B, e Engine, size int) {
	client, backend, open := benchPeers(b, e)
	done := make(chan Summary, 1)
	tun := open(done)
	request := fromClientFrame(wsproto.OpBinary, make([]byte, size))
	reply := fromBackendFrame(wsproto.OpBinary, make([]byte, size))
	go answer(backend, len(request), reply)
	b.ReportAllocs()
	b.SetBytes(int64(2 * size))
	buf := make([]byte, len(reply))
	for b.Loop() {
		client.Write(request)
		if _, err := io.ReadFull(client, buf); err != nil {
			b.Fatal(err)
		}
	}
	tun.Cut(ReasonShutdown)
	<-done
}

// answer writes reply for each n bytes it reads.
func answer(c net.Conn, n int, reply []byte) {
	buf := make([]byte, n)
	for {
		if _, err := io.ReadFull(c, buf); err != nil {
			return
		}
		if _, err := c.Write(reply); err != nil {
			return
		}
	}
}

// benchPeers makes the two connections of a tunnel, and a function that opens it.
func benchPeers(b *testing.B, e Engine) (client, backend net.Conn, open func(chan Summary) Tunnel) {
	b.Helper()
	inClient, client := loopback(b)
	inBackend, backend := loopback(b)
	return client, backend, func(done chan Summary) Tunnel {
		return e.Open(Spec{
			Client: Endpoint{Conn: inClient}, Backend: Endpoint{Conn: inBackend},
			WebSocket: true, Done: func(s Summary) { done <- s },
		})
	}
}

func loopback(b testing.TB) (inside, outside net.Conn) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if outside, err = net.Dial("tcp", l.Addr().String()); err != nil {
		b.Fatal(err)
	}
	if inside, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { inside.Close(); outside.Close() })
	return inside, outside
}

// BenchmarkIdle reports what a tunnel that has moved a message each way and waits
// now adds to the process's heap and stacks.
func BenchmarkIdle(b *testing.B) {
	const tunnels = 2000
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				b.ReportMetric(float64(idleBytes(b, e.open(), tunnels))/tunnels, "B/tunnel")
				b.StartTimer()
			}
		})
	}
}

// idleBytes opens n tunnels and returns what they hold while they wait.
func idleBytes(b *testing.B, e Engine, n int) int64 {
	done := make(chan Summary, n)
	clients, backends := make([]net.Conn, n), make([]net.Conn, n)
	opens := make([]func(chan Summary) Tunnel, n)
	for i := range n {
		clients[i], backends[i], opens[i] = benchPeers(b, e)
	}
	tunnels := make([]Tunnel, n)
	before := inUse()
	for i, open := range opens {
		tunnels[i] = open(done)
		exchange(b, clients[i], backends[i], fromClientFrame(wsproto.OpText, make([]byte, 64)))
		exchange(b, backends[i], clients[i], fromBackendFrame(wsproto.OpText, make([]byte, 64)))
	}
	held := inUse() - before
	for i, t := range tunnels {
		t.Cut(ReasonShutdown)
		<-done
		clients[i].Close()
		backends[i].Close()
	}
	return held
}

func exchange(b *testing.B, from, to net.Conn, frame []byte) {
	b.Helper()
	from.Write(frame)
	if _, err := io.ReadFull(to, make([]byte, len(frame))); err != nil {
		b.Fatal(err)
	}
}

func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the first only retires what the pools hold
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
