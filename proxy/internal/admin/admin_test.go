package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// fakeProxy is a proxy whose state a test sets.
type fakeProxy struct {
	status  statusapi.Status
	records statusapi.Records
	wait    func(ctx context.Context, revision string) (statusapi.Outcome, error)
	check   func(file string, data []byte) (statusapi.CheckResult, error)
}

func (p *fakeProxy) Status() statusapi.Status { return p.status }

func (p *fakeProxy) Records() statusapi.Records { return p.records }

func (p *fakeProxy) Wait(ctx context.Context, revision string) (statusapi.Outcome, error) {
	return p.wait(ctx, revision)
}

func (p *fakeProxy) Check(_ context.Context, file string, data []byte) (statusapi.CheckResult, error) {
	return p.check(file, data)
}

// ask sends a request, changed by change, and returns the answer.
func ask(t *testing.T, p Proxy, method, target, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	return askWith(t, Options{Proxy: p}, loopback, method, target, body, change)
}

var (
	loopback = net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9901})
	remote   = net.Addr(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9901})
	socket   = net.Addr(&net.UnixAddr{Net: "unix", Name: "/run/admin.sock"})
)

// askWith is ask of an API with these options, which listens at local.
func askWith(t *testing.T, o Options, local net.Addr, method, target, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(withDefaults(o)).ServeHTTP(w, newRequest(t, local, method, target, body, change))
	return w
}

func withDefaults(o Options) Options {
	o.MaxBody, o.Log = 1<<10, slog.New(slog.DiscardHandler)
	return o
}

func newRequest(t *testing.T, local net.Addr, method, target, body string, change func(*http.Request)) *http.Request {
	ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, local)
	r := httptest.NewRequestWithContext(ctx, method, "http://127.0.0.1:9901"+target, strings.NewReader(body))
	if change != nil {
		change(r)
	}
	return r
}

func TestBrowsersAreKeptOut(t *testing.T) {
	p := &fakeProxy{status: statusapi.Status{Ready: true}}
	tests := []struct {
		host, origin string
		want         int
	}{
		{"127.0.0.1:9901", "", 200},
		{"[::1]:9901", "", 200},
		{"[::1]", "", 200},
		{"10.1.2.3:9901", "", 200},
		{"localhost:9901", "", 200},
		{"localhost", "", 200},
		{"rebound.example:9901", "", 403},
		{"localhost.example", "", 403},
		{"127.0.0.1.example", "", 403},
		{"", "", 403},
		{"127.0.0.1:9901", "https://evil.example", 403},
		{"127.0.0.1:9901", "http://127.0.0.1:9901", 200}, // a page of its own
		{"127.0.0.1:9901", "http://127.0.0.1:9902", 403},
		{"127.0.0.1:9901", "https://127.0.0.1:9901", 403},
		{"rebound.example:9901", "http://rebound.example:9901", 403},
		{"127.0.0.1:9901", "null", 403},
	}
	for _, tt := range tests {
		w := ask(t, p, "GET", "/v1/status", "", func(r *http.Request) {
			r.Host = tt.host
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
		})
		if w.Code != tt.want {
			t.Errorf("Host %q, Origin %q: %d, want %d", tt.host, tt.origin, w.Code, tt.want)
		}
	}
}

func TestProbes(t *testing.T) {
	for _, tt := range []struct {
		ready  bool
		target string
		want   int
	}{{true, "/livez", 200}, {false, "/livez", 200}, {true, "/readyz", 200}, {false, "/readyz", 503}, {true, "/", 404}} {
		p := &fakeProxy{status: statusapi.Status{Ready: tt.ready}}
		if w := ask(t, p, "GET", tt.target, "", nil); w.Code != tt.want {
			t.Errorf("ready %v, %s: %d, want %d", tt.ready, tt.target, w.Code, tt.want)
		}
	}
}

func TestABadEditDoesNotFailReadiness(t *testing.T) {
	p := &fakeProxy{status: statusapi.Status{Ready: true, Refused: &statusapi.Refused{}}}
	if w := ask(t, p, "GET", "/readyz", "", nil); w.Code != 200 {
		t.Errorf("%d, want 200", w.Code)
	}
}

func TestStatusWaits(t *testing.T) {
	tests := []struct {
		query   string
		outcome statusapi.Outcome
		err     error
		status  int
		want    statusapi.Outcome
	}{
		{"", "", nil, 200, ""},
		{"?wait=abc", statusapi.Served, nil, 200, statusapi.Served},
		{"?wait=abc&timeout=1m", statusapi.Rejected, nil, 200, statusapi.Rejected},
		{"?wait=abc", statusapi.Superseded, nil, 200, statusapi.Superseded},
		{"?wait=abc", "", context.DeadlineExceeded, 200, statusapi.Pending},
		{"?wait=abc&timeout=soon", "", nil, 400, ""},
		{"?wait=abc&timeout=-1s", "", nil, 400, ""},
		{"?wait=abc&timeout=11m", "", nil, 400, ""},
	}
	for _, tt := range tests {
		p := &fakeProxy{wait: func(_ context.Context, revision string) (statusapi.Outcome, error) {
			if revision != "abc" {
				t.Errorf("%s: waited for %q", tt.query, revision)
			}
			return tt.outcome, tt.err
		}}
		w := ask(t, p, "GET", "/v1/status"+tt.query, "", nil)
		var got statusapi.Status
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Errorf("%s: %v in %s", tt.query, err, w.Body)
		}
		if w.Code != tt.status || got.Outcome != tt.want {
			t.Errorf("%s: %d with outcome %q, want %d with %q", tt.query, w.Code, got.Outcome, tt.status, tt.want)
		}
	}
}

// The wait is bounded by the timeout that was asked for.
func TestWaitHasADeadline(t *testing.T) {
	p := &fakeProxy{wait: func(ctx context.Context, _ string) (statusapi.Outcome, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}}
	w := ask(t, p, "GET", "/v1/status?wait=abc&timeout=1ms", "", nil)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"pending"`) {
		t.Errorf("%d %s, want 200 with the outcome pending", w.Code, w.Body)
	}
}

func TestCheck(t *testing.T) {
	p := &fakeProxy{check: func(file string, data []byte) (statusapi.CheckResult, error) {
		if file == "unknown.yaml" {
			return statusapi.CheckResult{}, errors.New(`file "unknown.yaml" is not among those that are served`)
		}
		return statusapi.CheckResult{OK: true, Revision: file + " " + string(data)}, nil
	}}
	yaml := func(r *http.Request) { r.Header.Set("Content-Type", "application/yaml; charset=utf-8") }
	tests := []struct {
		name, target, body string
		change             func(*http.Request)
		status             int
		want               string
	}{
		{"a candidate", "/v1/check?file=a.yaml", "version: 1", yaml, 200, `"revision": "a.yaml version: 1"`},
		{"an unknown file", "/v1/check?file=unknown.yaml", "version: 1", yaml, 400, "not among those"},
		{"too large", "/v1/check", strings.Repeat("x", 2<<10), yaml, 413, "too large"},
		{"what a form can send", "/v1/check", "version: 1", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, "application/yaml"},
		{"no type", "/v1/check", "version: 1", nil, 415, "application/yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := ask(t, p, "POST", tt.target, tt.body, tt.change)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("%d %s, want %d with %q", w.Code, w.Body, tt.status, tt.want)
			}
		})
	}
	if w := ask(t, p, "GET", "/v1/check", "", nil); w.Code != 405 {
		t.Errorf("GET /v1/check: %d, want 405", w.Code)
	}
}

func TestRecords(t *testing.T) {
	p := &fakeProxy{records: statusapi.Records{Generation: 3, Files: []statusapi.FileRecords{
		{Path: "r.yaml", Revision: "abc", Routes: map[string]string{"chat": "1"}, Pools: map[string]string{"rooms": "2"}},
	}}}
	w := ask(t, p, http.MethodGet, "/v1/records", "", nil)
	var got statusapi.Records
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("answer %d, %v: %s", w.Code, err, w.Body)
	}
	if len(got.Files) != 1 || got.Generation != 3 || got.Files[0].Routes["chat"] != "1" || got.Files[0].Pools["rooms"] != "2" {
		t.Errorf("got %+v", got)
	}
}

// heldProxy blocks every check until it is released or its client disconnects.
type heldProxy struct {
	fakeProxy
	begun chan struct{}
	ended chan error
	letGo chan struct{}
}

func (p *heldProxy) Check(ctx context.Context, _ string, _ []byte) (statusapi.CheckResult, error) {
	p.begun <- struct{}{}
	select {
	case <-ctx.Done():
		p.ended <- ctx.Err()
		return statusapi.CheckResult{}, ctx.Err()
	case <-p.letGo:
		return statusapi.CheckResult{OK: true}, nil
	}
}

func TestChecksAreBoundedAndEndWithTheirAsker(t *testing.T) {
	p := &heldProxy{begun: make(chan struct{}, MaxChecks), ended: make(chan error, MaxChecks), letGo: make(chan struct{})}
	server := httptest.NewServer(Handler(withDefaults(Options{Proxy: p})))
	defer server.Close()
	post := func(ctx context.Context) (status int, retry string) {
		r, err := http.NewRequestWithContext(ctx, "POST", server.URL+"/v1/check", strings.NewReader("version: 1"))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		r.Header.Set("Content-Type", "application/yaml")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, ""
		}
		answer.Body.Close()
		return answer.StatusCode, answer.Header.Get("Retry-After")
	}
	leaving, leave := context.WithCancel(t.Context())
	results := make(chan int, MaxChecks)
	for i := range MaxChecks {
		ctx := t.Context()
		if i == 0 {
			ctx = leaving
		}
		go func() {
			status, _ := post(ctx)
			results <- status
		}()
	}
	for range MaxChecks {
		<-p.begun
	}
	if status, retry := post(t.Context()); status != 503 || retry == "" {
		t.Errorf("one check more than may wait: %d, Retry-After %q", status, retry)
	}
	leave()
	if err := <-p.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a check whose asker has left: %v", err)
	}
	close(p.letGo)
	ok := 0
	for range MaxChecks {
		if <-results == 200 {
			ok++
		}
	}
	if ok != MaxChecks-1 {
		t.Errorf("%d checks were answered, want %d", ok, MaxChecks-1)
	}
}
