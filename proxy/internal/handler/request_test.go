package handler

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/listen"
	"github.com/tunnelform/tunnelform/proxy/internal/metrics"
	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/routing/routingtest"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
)

// newTestHandler returns a Handler whose tunnels end with the test.
func newTestHandler(t *testing.T, current func() *routing.Table, log *slog.Logger) *Handler {
	t.Helper()
	h := New(Deps{Current: current, Engine: tunnel.New(), Tunnels: drain.NewGroup(), Log: log, Counters: new(Counters), Metrics: metrics.NewRegistry(), LogAgents: true})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), proxytest.Patience)
		defer cancel()
		h.Tunnels.Cut(tunnel.ReasonShutdown)
		if err := h.Tunnels.Wait(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

// serveOne has a Handler of these routes answer one request and returns its log
// and what the handler panicked with.
func serveOne(t *testing.T, routes string, status func() any, r *http.Request) (w *httptest.ResponseRecorder, log string, aborted any) {
	t.Helper()
	now := routingtest.Build(t, nil, routes)
	var lines bytes.Buffer
	h := newTestHandler(t, func() *routing.Table { return now }, slog.New(slog.NewTextHandler(&lines, nil)))
	h.Status = status
	w = httptest.NewRecorder()
	func() {
		defer func() { aborted = recover() }()
		h.ServeHTTP(&listen.Socket{}, w, r)
	}()
	return w, lines.String(), aborted
}

// TestBugIsLogged: a panic is told with its stack, and passed on to net/http,
// which ends the connection.
func TestBugIsLogged(t *testing.T) {
	const routes = "routes: {s: {to: \"internal://status\"}}\n"
	broken := func() any { panic("no status today") }
	_, log, aborted := serveOne(t, routes, broken, httptest.NewRequest(http.MethodGet, "/", nil))
	if aborted != "no status today" {
		t.Errorf("net/http is told of %v", aborted)
	}
	for _, want := range []string{"level=ERROR msg=bug", "no status today", "TestBugIsLogged", "msg=request"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
}

// TestAnswerWithoutBodyIsLogged: an answer that nobody has written anything of is
// a 200 on the wire, and in the log.
func TestAnswerWithoutBodyIsLogged(t *testing.T) {
	const routes = "routes: {e: {to: \"internal://echo\"}}\n"
	r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
	r.ContentLength = -1 // chunked
	w, log, aborted := serveOne(t, routes, nil, r)
	if aborted != nil || w.Code != http.StatusOK || !strings.Contains(log, "status=200") {
		t.Errorf("answered %d, panicked with %v, logged\n%s", w.Code, aborted, log)
	}
}
