package tunnel

import (
	"io"
	"net"
	"testing"
	"time"
)

// figuresPair is two ends of one TCP connection.
func figuresPair(t *testing.T, ln net.Listener) (far, near net.Conn) {
	t.Helper()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if near, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return far, near
}

// TestFigures: of more tunnels than a loop looks at in a turn, each has its own figures; and
// a peer that answers a ping has a round trip's time. Both engines.
func TestFigures(t *testing.T) {
	for name, engine := range map[string]Engine{"best": New(), "portable": Portable()} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			const n = MaxFigures + 50
			var tunnels []Tunnel
			ended := make(chan struct{}, n)
			for i := range n {
				client, nearClient := figuresPair(t, ln)
				backend, nearBackend := figuresPair(t, ln)
				spec := Spec{Client: Endpoint{Conn: nearClient}, Backend: Endpoint{Conn: nearBackend}, Done: func(Summary) { ended <- struct{}{} }}
				if i == 0 {
					spec.WebSocket = true
					spec.Limits = Limits{PingClient: time.Millisecond, Pong: time.Minute, Lifetime: time.Hour}
				}
				tunnels = append(tunnels, engine.Open(spec))
				if i == 0 {
					answerPing(t, client)
					continue
				}
				if _, err := client.Write(make([]byte, i)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(backend, make([]byte, i)); err != nil {
					t.Fatal(err)
				}
			}
			for late := time.Now().Add(30 * time.Second); ReadFigures(tunnels[:1])[0].ClientRTT == 0; time.Sleep(time.Millisecond) {
				if time.Now().After(late) {
					t.Fatal("no round trip's time")
				}
			}
			figures := ReadFigures(tunnels)
			// What has arrived may be counted a moment later.
			counted := func() (bytes int64) {
				for _, f := range figures {
					bytes += f.FromClient.Bytes
				}
				return bytes - figures[0].FromClient.Bytes
			}
			for late := time.Now().Add(30 * time.Second); counted() != n*(n-1)/2 && time.Now().Before(late); time.Sleep(time.Millisecond) {
				figures = ReadFigures(tunnels)
			}
			if f := figures[0]; f.Expires <= 0 || f.Expires > time.Hour || f.ClientRTT > f.Age || f.BackendRTT != 0 {
				t.Errorf("of the first: %+v", f)
			}
			for i, f := range figures[1:] {
				if f.FromClient.Bytes != int64(i+1) || f.Age <= 0 || f.Idle > f.Age || f.Expires != 0 {
					t.Fatalf("of number %d: %+v", i+1, f)
				}
			}
			for _, open := range tunnels {
				open.Cut(ReasonOperator)
			}
			for range n {
				<-ended
			}
			if f := ReadFigures(tunnels)[n-1]; f.FromClient.Bytes != n-1 {
				t.Errorf("after the end: %+v", f)
			}
		})
	}
}

// answerPing reads one ping and answers it, with a mask of zeros.
func answerPing(t *testing.T, client net.Conn) {
	t.Helper()
	ping := make([]byte, 10)
	if _, err := io.ReadFull(client, ping); err != nil || ping[0] != 0x89 || ping[1] != 8 {
		t.Fatalf("read %x, %v; want a ping", ping, err)
	}
	pong := append([]byte{0x8A, 0x80 | 8, 0, 0, 0, 0}, ping[2:]...)
	if _, err := client.Write(pong); err != nil {
		t.Fatal(err)
	}
}
