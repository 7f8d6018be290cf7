package e2e

// What a reload costs, measured on the built binary; docs/performance.md has
// results. No clock decides anything here.

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const many = 10000

// manyRoutes is a file of n routes of several kinds, one of which, /page, answers
// with body, and one, /echo, tunnels.
func manyRoutes(n int, body string) string {
	var b strings.Builder
	b.WriteString(web + "routes:\n")
	for i := range n - 2 {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "  host-%d: {match: {host: h%d.example.com}, to: \"ws://10.0.%d.%d:9000\"}\n", i, i, i/250, i%250)
		case 1:
			fmt.Fprintf(&b, "  prefix-%d: {match: {path_prefix: /p%d/}, to: \"http://10.0.%d.%d:9000/base\"}\n", i, i, i/250, i%250)
		case 2:
			fmt.Fprintf(&b, "  exact-%d:\n    match: {path: \"/e%d/{room}\", methods: [GET]}\n    to: \"ws://10.0.%d.%d:9000/r/{room}\"\n    timeouts: {idle: 10m}\n", i, i, i/250, i%250)
		case 3:
			fmt.Fprintf(&b, "  regex-%d:\n    match:\n      path_regex: \"^/x%d/([a-z]+)$\"\n    to: \"ws://10.0.%d.%d:9000/$1\"\n", i, i, i/250, i%250)
		}
	}
	fmt.Fprintf(&b, "  page: {match: {path: /page}, respond: {body: %q}}\n  echo: {match: {path: /echo}, to: \"internal://echo\"}\n", body)
	return b.String()
}

// BenchmarkReloadCheck is `tunnelform check` of 10,000 routes, the process's start
// and end included.
func BenchmarkReloadCheck(b *testing.B) {
	p := &proxy{t: b, dir: b.TempDir()}
	p.write(routesFile, manyRoutes(many, "x"))
	tool := binary(b)
	var largest int64
	var processor time.Duration
	for b.Loop() {
		command := exec.Command(tool, "check", filepath.Join(p.dir, routesFile))
		if output, err := command.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, output)
		}
		largest = max(largest, maxResident(command.ProcessState))
		processor += command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	}
	b.ReportMetric(milliseconds(processor)/float64(b.N), "ms-cpu")
	b.ReportMetric(float64(largest)/1024, "MiB-peak")
}

// BenchmarkReloadMany is an edit of one among 10,000 routes, from the write to the
// first answer of the new routes, by a client that asks all the time. Beside it
// are the times that a WebSocket message took while that went on and before.
func BenchmarkReloadMany(b *testing.B) { benchmarkEdits(b, many) }

// BenchmarkReloadFew is the same with ten routes: what is left is the waiting for
// the file to be still.
func BenchmarkReloadFew(b *testing.B) { benchmarkEdits(b, 10) }

func benchmarkEdits(b *testing.B, routes int) {
	p := start(b, manyRoutes(routes, "start"))
	var phase atomic.Int32 // of the traffic: 0 quiet, 1 during edits
	traffic := talk(b, p.ws("/echo"), &phase)
	<-time.After(2 * time.Second) // of quiet traffic
	before := p.usage(b)
	var answered []time.Duration
	phase.Store(1)
	n := 0
	for b.Loop() {
		n++
		answered = append(answered, p.editUntilAnswered(b, manyRoutes(routes, strconv.Itoa(n)), strconv.Itoa(n)))
	}
	b.StopTimer()
	after := p.usage(b)
	quiet, busy := traffic()
	b.ReportMetric(milliseconds(quantile(answered, 0.5)), "ms-median")
	b.ReportMetric(milliseconds(quantile(answered, 0.99)), "ms-p99")
	b.ReportMetric(milliseconds(after.processor-before.processor)/float64(n), "ms-cpu/edit")
	b.ReportMetric(milliseconds(quantile(quiet, 0.99)), "ms-msg-p99-quiet")
	b.ReportMetric(milliseconds(quantile(busy, 0.99)), "ms-msg-p99-edits")
	b.ReportMetric(float64(after.kilobytes)/1024, "MiB-resident")
}

// editUntilAnswered writes the file and asks until body comes.
func (p *proxy) editUntilAnswered(b *testing.B, routes, want string) time.Duration {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	page := p.http("/page")
	p.write(routesFile, routes)
	begin := time.Now()
	for {
		got, err := body(client, page)
		if err != nil {
			b.Fatal(err)
		}
		if got == want {
			return time.Since(begin)
		}
		if time.Since(begin) > patience {
			b.Fatalf("%s still answers %q, wanted %q", page, got, want)
		}
		time.Sleep(time.Millisecond) // so as not to be the load
	}
}

// talk echoes small messages through eight tunnels, one every 5 ms on each, until
// the function that it returns is called, which gives their times by phase.
func talk(b *testing.B, url string, phase *atomic.Int32) (end func() (quiet, busy []time.Duration)) {
	const tunnels = 8
	stop, results := make(chan struct{}), make(chan [2][]time.Duration, tunnels)
	for range tunnels {
		conn := dial(b, url)
		conn.NetConn().SetDeadline(time.Time{})
		go converse(b, conn, phase, stop, results)
	}
	return func() (quiet, busy []time.Duration) {
		close(stop)
		for range tunnels {
			times := <-results
			quiet, busy = append(quiet, times[0]...), append(busy, times[1]...)
		}
		return quiet, busy
	}
}

// converse is one tunnel's talk.
func converse(b *testing.B, conn *websocket.Conn, phase *atomic.Int32, stop <-chan struct{}, results chan<- [2][]time.Duration) {
	var times [2][]time.Duration
	defer func() { results <- times }()
	next := time.NewTicker(5 * time.Millisecond)
	defer next.Stop()
	for {
		select {
		case <-stop:
			return
		case <-next.C:
		}
		now, begin := phase.Load(), time.Now()
		if err := exchange(conn, "a small message"); err != nil {
			b.Error(err)
			return
		}
		times[now] = append(times[now], time.Since(begin))
	}
}

// quantile of times; 0 for none.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[int(q*float64(len(times)-1))]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
