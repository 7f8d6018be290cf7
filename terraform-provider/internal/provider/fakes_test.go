package provider

// A fake admin API whose answers a test supplies.

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// fakeProxy answers with its functions; nil ones serve everything at once.
type fakeProxy struct {
	address string
	outcome func(ctx context.Context, revision string) statusapi.Status // guarded by mu once it is asked
	check   func(data []byte) statusapi.CheckResult
	records func() statusapi.Records

	mu    sync.Mutex
	waits []string // revisions asked for; guarded by mu
}

func newFakeProxy(t *testing.T) *fakeProxy {
	t.Helper()
	p := &fakeProxy{}
	server := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(server.Close)
	p.address = server.Listener.Addr().String()
	return p
}

func (p *fakeProxy) serve(w http.ResponseWriter, r *http.Request) {
	if r.Host != "localhost" {
		http.Error(w, "want Host localhost", http.StatusForbidden)
		return
	}
	var answer any
	switch r.URL.Path {
	case "/v1/status":
		answer = p.status(r)
	case "/v1/check":
		data, _ := io.ReadAll(r.Body)
		result := statusapi.CheckResult{OK: true}
		if p.check != nil {
			result = p.check(data)
		}
		answer = result
	case "/v1/records":
		if p.records == nil {
			http.NotFound(w, r)
			return
		}
		answer = p.records()
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (p *fakeProxy) status(r *http.Request) statusapi.Status {
	revision := r.URL.Query().Get("wait")
	p.mu.Lock()
	p.waits = append(p.waits, revision)
	outcome := p.outcome
	p.mu.Unlock()
	if outcome == nil {
		return statusapi.Status{Revision: revision, Outcome: statusapi.Served}
	}
	timeout, _ := time.ParseDuration(r.URL.Query().Get("timeout"))
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	return outcome(ctx, revision)
}

// answers changes the answer to requests that wait; nil serves everything.
func (p *fakeProxy) answers(outcome func(context.Context, string) statusapi.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcome = outcome
}

func (p *fakeProxy) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waits
}

// pending answers when the request's own timeout is over.
func pending(ctx context.Context, _ string) statusapi.Status {
	<-ctx.Done()
	return statusapi.Status{Outcome: statusapi.Pending}
}

func rejects(mistakes ...statusapi.Mistake) func(context.Context, string) statusapi.Status {
	return func(_ context.Context, revision string) statusapi.Status {
		return statusapi.Status{Outcome: statusapi.Rejected, Refused: &statusapi.Refused{Revision: revision, Mistakes: mistakes}}
	}
}

// deadAddress returns an address without a listener.
func deadAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func mustDocument(path string, data []byte, revision string) *document {
	d, err := newDocument(context.Background(), path, data, revision)
	if err != nil {
		panic(err) // only where its context ends
	}
	return d
}

// setting changes the configuration of a test's session.
type setting func(*configuration)

func withAdmin(addresses ...string) setting {
	return func(config *configuration) {
		config.Admin, _ = types.ListValueFrom(context.Background(), types.StringType, addresses)
	}
}

func withWait(timeout, require string) setting {
	return func(config *configuration) {
		config.Wait = &waitModel{Timeout: types.StringValue(timeout), Require: types.StringValue(require)}
	}
}

// newTestSession is a session over a file that holds content; "" is no file.
func newTestSession(t *testing.T, content string, settings ...setting) *session {
	t.Helper()
	file := filepath.Join(t.TempDir(), "routes.yaml")
	if content != "" {
		writeFile(t, file, content)
	}
	return sessionOver(t, file, settings...)
}

func sessionOver(t *testing.T, file string, settings ...setting) *session {
	t.Helper()
	config := configuration{
		File: types.StringValue(file), Wait: &waitModel{}, ClashWait: types.StringValue("0s"),
		Admin: types.ListNull(types.StringType), ContextFiles: types.ListNull(types.StringType),
	}
	for _, set := range settings {
		set(&config)
	}
	var diags diag.Diagnostics
	s := newSession(config, &diags)
	if diags.HasError() {
		t.Fatal(diags)
	}
	return s
}
