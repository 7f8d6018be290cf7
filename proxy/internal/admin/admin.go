// Package admin is the admin API, over HTTP on a listener of its own:
//
//	GET  /livez                              200 while the process answers
//	GET  /readyz                             200 until a shutdown begins; a bad edit does not count
//	GET  /v1/status                          statusapi.Status
//	GET  /v1/status?wait=REVISION&timeout=D  the same, when the outcome of REVISION is known
//	GET  /v1/records                         statusapi.Records: the hash of each record that is served
//	POST /v1/check?file=PATH                 statusapi.CheckResult of the body, which is not loaded
//
// It changes nothing in the proxy, and has no secrets. Yet it refuses what a web page in a
// browser on the same machine could send: a foreign Host (DNS rebinding) or any Origin.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

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
}

// MaxWait bounds a long poll.
const MaxWait = 10 * time.Minute

// MaxChecks bounds the checks that run or wait, each with its body in memory.
const MaxChecks = 8

// bodyTimeout is how long a candidate may take to arrive.
const bodyTimeout = 30 * time.Second

const defaultWait = 30 * time.Second

// Handler serves the API. maxBody bounds the bytes that Check takes.
func Handler(p Proxy, maxBody int64) http.Handler {
	a := &api{proxy: p, maxBody: maxBody, slots: make(chan struct{}, MaxChecks)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /v1/status", a.status)
	mux.HandleFunc("GET /v1/records", a.records)
	mux.HandleFunc("POST /v1/check", a.check)
	return guard(mux)
}

type api struct {
	proxy   Proxy
	maxBody int64
	slots   chan struct{} // a token for each check that runs or waits
}

// guard refuses browsers: a page whose name was rebound to this address sends that name as
// Host, and every cross-site request has an Origin.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Origin") != "":
			writeError(w, http.StatusForbidden, "requests from web pages are refused")
		case !isLocalHost(r.Host):
			writeError(w, http.StatusForbidden, "Host must be an IP address or localhost")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isLocalHost accepts addresses and localhost, which DNS cannot rebind. A client of a unix
// socket may send either.
func isLocalHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

func (a *api) readyz(w http.ResponseWriter, _ *http.Request) {
	if !a.proxy.Status().Ready {
		writeText(w, http.StatusServiceUnavailable, "stopping")
		return
	}
	writeText(w, http.StatusOK, "ok")
}

func (a *api) status(w http.ResponseWriter, r *http.Request) {
	revision := r.URL.Query().Get("wait")
	if revision == "" {
		writeJSON(w, http.StatusOK, a.proxy.Status())
		return
	}
	timeout, err := waitTimeout(r.URL.Query().Get("timeout"))
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	outcome, err := a.proxy.Wait(ctx, revision)
	if err != nil {
		outcome = statusapi.Pending
	}
	status := a.proxy.Status()
	status.Outcome = outcome
	writeJSON(w, http.StatusOK, status)
}

func (a *api) records(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.proxy.Records())
}

func waitTimeout(text string) (time.Duration, error) {
	if text == "" {
		return defaultWait, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > MaxWait {
		return 0, errors.New(`timeout: want a duration up to 10m, such as "30s"`)
	}
	return d, nil
}

func (a *api) check(w http.ResponseWriter, r *http.Request) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		writeError(w, http.StatusServiceUnavailable, "too many checks are waiting")
		return
	}
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(bodyTimeout)) // the ResponseRecorder of tests has none
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, a.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		writeError(w, http.StatusRequestEntityTooLarge, "the file is too large")
		return
	case err != nil:
		writeError(w, http.StatusBadRequest, "the request body is incomplete")
		return
	}
	if !isFile(r.Header.Get("Content-Type")) {
		writeError(w, http.StatusUnsupportedMediaType, "Content-Type must be application/yaml")
		return
	}
	_ = deadline.SetReadDeadline(time.Time{}) // or the server takes its expiry for the client's disconnect
	result, err := a.proxy.Check(r.Context(), r.URL.Query().Get("file"), data)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, result)
}

// isFile accepts types that no HTML form can send.
func isFile(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch mediaType {
	case "application/yaml", "application/x-yaml", "application/octet-stream":
		return true
	}
	return false
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error": "the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{text})
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
