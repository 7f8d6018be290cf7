package admin

// What the proxy serves, and whether it takes new connections.

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// MaxWait bounds a long poll.
const MaxWait = 10 * time.Minute

const defaultWait = 30 * time.Second

func (a *api) livez(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok") }

func (a *api) readyz(w http.ResponseWriter, _ *http.Request) {
	if !a.Proxy.Status().Ready {
		writeText(w, http.StatusServiceUnavailable, "stopping")
		return
	}
	writeText(w, http.StatusOK, "ok")
}

func (a *api) status(w http.ResponseWriter, r *http.Request) {
	revision := r.URL.Query().Get("wait")
	if revision == "" {
		writeJSON(w, http.StatusOK, a.Proxy.Status())
		return
	}
	timeout, err := waitTimeout(r.URL.Query().Get("timeout"))
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	outcome, err := a.Proxy.Wait(ctx, revision)
	if err != nil {
		outcome = statusapi.Pending
	}
	status := a.Proxy.Status()
	status.Outcome = outcome
	writeJSON(w, http.StatusOK, status)
}

func (a *api) records(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Proxy.Records())
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
