package h1

import (
	"bufio"
	"testing"
	"testing/synctest"
	"time"
)

// TestQuietIsOfOneRequest: on a half-closed connection an answer before the current
// request does not pass for the beginning of its answer.
func TestQuietIsOfOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Wrap(&scripted{rest: []byte(request + request), piece: pieces(len(request))}, testLimits, nil).(*Conn)
		r := bufio.NewReader(g)
		for i := range 2 {
			if _, err := readMessage(r); err != nil {
				t.Fatal(err)
			}
			eof := time.Now()
			time.Sleep(2 * DefaultSilence)
			if g.send.quiet(eof) {
				t.Errorf("request %d: quiet before its answer has begun", i)
			}
			if _, err := g.Write([]byte("HTTP/1.1 200 OK\r\n")); err != nil {
				t.Fatal(err)
			}
			if g.send.quiet(eof) {
				t.Errorf("request %d: quiet with an answer that has just begun", i)
			}
			time.Sleep(DefaultSilence)
			if !g.send.quiet(eof) {
				t.Errorf("request %d: not quiet after %v without a byte", i, DefaultSilence)
			}
		}
	})
}
