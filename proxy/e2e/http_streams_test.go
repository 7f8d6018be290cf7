package e2e

// Answers and requests that take their time: each part passes when it comes,
// and none is gathered.

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestEvents: an event has arrived before the next one is sent.
func TestEvents(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	events := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		if length := r.URL.Query().Get("length"); length != "" {
			w.Header().Set("Content-Length", length)
		}
		flusher := http.NewResponseController(w)
		flusher.Flush()
		for event := range next {
			if event == "" {
				return
			}
			io.WriteString(w, event)
			flusher.Flush()
		}
	}))
	t.Cleanup(func() { close(next) })
	p := site(t, events.Addr)

	for _, query := range []string{"type=text/event-stream", "type=application/x-ndjson", "type=text/plain&length=1000"} {
		transport := &http.Transport{DisableKeepAlives: true}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.http("/?"+query), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(r) // the head has come before the first event
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(answer.Body)
		for i := range 10 {
			event := fmt.Sprintf("data: event number %02d\n", i)
			next <- event
			if got, err := in.ReadString('\n'); got != event {
				t.Fatalf("%s: got %q, %v, wanted %q", query, got, err, event)
			}
		}
		next <- ""
		answer.Body.Close()
	}
}

// TestLargeBodies: 64 MiB each way, byte for byte, in memory that does not grow
// with them.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	echoing := proxytest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	}))
	p := site(t, echoing.Addr)
	if got := get(t, p.http("/")); got.status != 200 { // it is warm now
		t.Fatal(got.status)
	}
	before := residentBytes(t, p)

	for _, length := range []int64{size, -1} {
		sent, got := sha256.New(), sha256.New()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.http("/"), io.TeeReader(io.LimitReader(new(counting), size), sent))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = length
		answer, err := new(http.Transport).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(got, answer.Body)
		answer.Body.Close()
		if err != nil || n != size || string(got.Sum(nil)) != string(sent.Sum(nil)) {
			t.Errorf("length %d: %d bytes came back, %v, wanted the same %d", length, n, err, size)
		}
	}
	// Half of one body is far above what the garbage collector and the race
	// detector may add.
	if grown := residentBytes(t, p) - before; grown > size/2 {
		t.Errorf("the proxy grew by %d KiB", grown>>10)
	}
}

// counting reads as 0, 1, 2 and so on.
type counting byte

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(*c)
		*c++
	}
	return len(p), nil
}

// residentBytes is the most memory that the proxy has had at a time.
func residentBytes(t *testing.T, p *proxy) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("the proxy's memory is not to be had here: %v", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
