package tunnel

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/histogram"
)

// connectedPair returns both ends of a TCP connection.
func connectedPair(t *testing.T) (inside, outside net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if outside, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if inside, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { outside.Close() })
	return inside, outside
}

// dataFrame is a frame, masked with zeros where a client's must be masked.
func dataFrame(first byte, masked bool, payload []byte) []byte {
	frame := binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(len(payload)))
	switch {
	case len(payload) < 126:
		frame = []byte{first, byte(len(payload))}
	case len(payload) < 1<<16:
		frame = binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(len(payload)))
	}
	if masked {
		frame[1] |= 0x80
		frame = append(frame, 0, 0, 0, 0)
	}
	return append(frame, payload...)
}

// TestCarried: tunnels that share a Tally add up there, messages by the type of their first
// frame, on every engine; large payloads that a loop splices, too.
func TestCarried(t *testing.T) {
	for name, engine := range map[string]Engine{"loops": New(), "portable": Portable()} {
		t.Run(name, func(t *testing.T) {
			tally := new(Tally)
			large := bytes.Repeat([]byte("x"), 1<<20)
			fromClient := bytes.Join([][]byte{
				dataFrame(0x81, true, []byte("hello")),
				dataFrame(0x01, true, large), // a text in two frames
				dataFrame(0x80, true, []byte("!")),
			}, nil)
			fromBackend := dataFrame(0x82, false, large)
			const tunnels = 2
			done := make(chan Summary, tunnels)
			for range tunnels {
				clientIn, client := connectedPair(t)
				backendIn, backend := connectedPair(t)
				engine.Open(Spec{
					Client: Endpoint{Conn: clientIn}, Backend: Endpoint{Conn: backendIn},
					WebSocket: true, Tally: tally, Done: func(s Summary) { done <- s },
				})
				go client.Write(fromClient)
				go backend.Write(fromBackend)
				got := make(chan error, 2)
				go func() { got <- readAll(backend, len(fromClient)) }()
				go func() { got <- readAll(client, len(fromBackend)) }()
				for range 2 {
					if err := <-got; err != nil {
						t.Fatal(err)
					}
				}
				client.Close()
				backend.Close()
			}
			var bytesOfAll [2]int64
			for range tunnels {
				select {
				case s := <-done:
					bytesOfAll[0] += s.Counts.FromClient.Bytes
					bytesOfAll[1] += s.Counts.FromBackend.Bytes
				case <-time.After(30 * time.Second):
					t.Fatal("a tunnel has not ended")
				}
			}
			for _, sum := range []Carried{ReadTallies(engine, []*Tally{new(Tally), tally})[1], tally.Ended()} {
				if sum.Bytes != bytesOfAll || sum.Bytes[0] != tunnels*int64(len(fromClient)) {
					t.Errorf("%v bytes, want %v, as the tunnels say", sum.Bytes, bytesOfAll)
				}
				if sum.Text != [2]int64{2 * tunnels, 0} || sum.Binary != [2]int64{0, tunnels} {
					t.Errorf("%v texts and %v binary messages", sum.Text, sum.Binary)
				}
				small, big := histogram.Sizes.Bucket(5), histogram.Sizes.Bucket(1<<20+1)
				if s := sum.Sizes[0]; s == nil || s.Counts[small] != tunnels || s.Counts[big] != tunnels || s.Sum != tunnels*(5+1+1<<20) {
					t.Errorf("sizes %+v", sum.Sizes[0])
				}
				if sum.Sizes[1] == nil || sum.RTT[0] != nil {
					t.Errorf("sizes %v of the backend's, round trips %v of the client's", sum.Sizes[1], sum.RTT[0])
				}
			}
		})
	}
}

func readAll(from io.Reader, n int) error {
	_, err := io.CopyN(io.Discard, from, int64(n))
	return err
}
