// Package admin is the admin API, over HTTP on a listener of its own. The calls and what
// each needs are the table in calls.go; docs/admin.md describes them for users.
//
// It has no secrets to give away. Who may call what is access.go: on a unix socket the
// file's mode decides; on TCP every call that changes something needs a token, from
// loopback too, and what a web page could send from a browser on the same machine is
// refused: a foreign Host (DNS rebinding) or a foreign Origin.
//
// Package cli wires it: admin.go starts it, admin_status.go, admin_check.go, records.go and
// pools.go are the Proxy that it asks, admin_token.go writes a run's own token, and
// admin_client.go is its client, for the commands that ask a running proxy.
package admin

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// Proxy is what the API reports on. Safe for concurrent use.
type Proxy interface {
	Status() statusapi.Status
	// Records returns the hashes of the records that are served.
	Records() statusapi.Records
	// Wait blocks until the outcome of a revision is known, or ctx is done.
	Wait(ctx context.Context, revision string) (statusapi.Outcome, error)
	// Check checks data as the new content of one routes file ("" if there is only one),
	// as a reload would.
	Check(ctx context.Context, file string, data []byte) (statusapi.CheckResult, error)
	// Routes returns up to limit routes, by name, from behind the name after.
	Routes(after string, limit int) statusapi.RouteList
	Pools() statusapi.PoolList
	History() statusapi.History
	Figures() statusapi.Figures
	// SetBackend gives a backend a state for a while. IsLastBackend tells of its error
	// whether the pool would be left without one.
	SetBackend(pool, name, state string, lasts time.Duration, force bool) (statusapi.Backend, error)
	IsLastBackend(err error) bool
}

// Options is what the API is made of.
type Options struct {
	Proxy   Proxy
	Tunnels *drain.Group
	Feed    *Feed // of the events
	Debug   bool  // serve Go's profiles
	MaxBody int64 // bytes that a check takes
	Log     *slog.Logger

	// Metrics answers GET /metrics.
	Metrics http.Handler
	// Tokens are the tokens that hold now; nil: there are none.
	Tokens func() *Tokens
	// Hosts are names that a Host header may have besides addresses and localhost.
	Hosts []string
	// PublicMetrics lets metrics and status be read without a token on every address.
	PublicMetrics bool
	// Audit is the file that gets a line for each call that changes something; "": none.
	Audit string
}

// Handler serves the API.
func Handler(o Options) http.Handler {
	a := newAPI(o)
	mux := http.NewServeMux()
	for _, c := range a.calls() {
		mux.HandleFunc(c.method+" "+c.path, a.admit(c))
	}
	return a.guard(mux)
}

func newAPI(o Options) *api {
	if o.Tokens == nil {
		o.Tokens = func() *Tokens { return nil }
	}
	return &api{
		Options:  o,
		slots:    make(chan struct{}, MaxChecks),
		lists:    make(chan struct{}, maxLists),
		sessions: newSessions(),
		audit:    &auditLog{path: o.Audit, log: o.Log},
	}
}

type api struct {
	Options
	slots    chan struct{} // a token for each check that runs or waits
	lists    chan struct{} // a token for each list of tunnels that is made or written
	figures  figures
	sessions *sessions
	audit    *auditLog
}

func (a *api) metrics(w http.ResponseWriter, r *http.Request) {
	limitWriting(w)
	a.Metrics.ServeHTTP(w, r)
}

// answerTimeout bounds the writing of one answer, or of one part of a stream.
const answerTimeout = 30 * time.Second

// limitWriting gives the client answerTimeout from now to take what is written next.
func limitWriting(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // the ResponseRecorder of tests has none
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.MarshalIndent(body, "", "  ")
	data = printable.Bytes(data)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error": "the answer cannot be encoded"}`)
	}
	limitWriting(w)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, statusapi.Error{Error: text})
}

func writeText(w http.ResponseWriter, status int, text string) {
	limitWriting(w)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
