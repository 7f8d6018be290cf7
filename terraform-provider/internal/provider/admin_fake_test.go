package provider

// A fake admin API whose state a test controls.

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload/store"
)

// adminFake behaves like a proxy that loads its file at once, unless it is told to
// reject the file or to ignore it. Safe for concurrent use.
type adminFake struct {
	address string // host:port
	file    string

	mu       sync.Mutex
	mistakes []statusapi.Mistake // of whatever is new; guarded by mu
	asleep   bool                // serves what it served; guarded by mu
	obliging bool                // serves whatever is waited for; guarded by mu
	serves   string              // revision; guarded by mu
	refused  *statusapi.Refused  // guarded by mu
}

func newAdminFake(t *testing.T, file string) *adminFake {
	t.Helper()
	a := &adminFake{file: file}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", a.status)
	mux.HandleFunc("POST /v1/check", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, statusapi.CheckResult{OK: true})
	})
	mux.HandleFunc("GET /v1/records", a.records)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	a.address = strings.TrimPrefix(server.URL, "http://")
	return a
}

func (a *adminFake) block() string {
	return `admin = ["` + a.address + `"]` + "\n" + `  wait { timeout = "2s" }`
}

// does changes the proxy's behaviour.
func (a *adminFake) does(change func(*adminFake)) func() {
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		change(a)
	}
}

func refuse(mistakes ...statusapi.Mistake) func(*adminFake) {
	return func(a *adminFake) { a.mistakes, a.asleep = mistakes, false }
}

func sleep(a *adminFake) { a.asleep, a.mistakes, a.refused = true, nil, nil }

func wake(a *adminFake) { a.asleep, a.mistakes = false, nil }

func (a *adminFake) status(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	data, _ := os.ReadFile(a.file) // a missing file reads as empty
	now := store.RevisionOf(data)
	if a.obliging {
		if wanted := r.URL.Query().Get("wait"); wanted != "" {
			a.serves = wanted
		}
		now = a.serves
	}
	switch {
	case a.asleep || now == a.serves:
	case len(a.mistakes) > 0:
		a.refused = &statusapi.Refused{Revision: now, Mistakes: a.mistakes}
	default:
		a.serves, a.refused = now, nil
	}
	s := statusapi.Status{
		Version: "v1", Ready: true, Generation: 3, Revision: a.serves, Routes: 1, Refused: a.refused,
		StartedAt: time.Unix(0, 0).UTC(), LoadedAt: time.Unix(60, 0).UTC(), Listeners: map[string]string{"web": "127.0.0.1:8080"},
		Files: []statusapi.File{{Path: a.file, Revision: a.serves}}, Tunnels: statusapi.Tunnels{Open: 7, Draining: 2},
	}
	if wanted := r.URL.Query().Get("wait"); wanted != "" {
		s.Outcome = a.outcome(wanted, now)
		if s.Outcome == statusapi.Pending {
			a.mu.Unlock()
			select { // a long poll, if a short one: the asker must not spin
			case <-r.Context().Done():
			case <-time.After(100 * time.Millisecond):
			}
			a.mu.Lock()
		}
	}
	writeJSON(w, s)
}

// records are the file's, if it is what is served.
func (a *adminFake) records(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	data, _ := os.ReadFile(a.file)
	doc := mustDocument(a.file, data, store.RevisionOf(data))
	if doc.revision != a.serves {
		doc = mustDocument(a.file, []byte(emptyFile), a.serves)
	}
	one := statusapi.FileRecords{Path: a.file, Revision: doc.revision, Routes: map[string]string{}, Pools: map[string]string{}}
	for name := range doc.file.Routes {
		one.Routes[name] = doc.fingerprint(recordID{routefile.InRoutes, name})
	}
	for name := range doc.file.Pools {
		one.Pools[name] = doc.fingerprint(recordID{routefile.InPools, name})
	}
	writeJSON(w, statusapi.Records{Generation: 3, Files: []statusapi.FileRecords{one}})
}

func (a *adminFake) outcome(wanted, now string) statusapi.Outcome {
	switch {
	case wanted == a.serves:
		return statusapi.Served
	case a.refused != nil && wanted == a.refused.Revision:
		return statusapi.Rejected
	case wanted != now && !a.asleep:
		return statusapi.Superseded
	}
	return statusapi.Pending
}

func writeJSON(w http.ResponseWriter, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(data)
}
