package admin

// What is served, with live figures; and how it came about.

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

const maxRoutes = 1000

func (a *api) listRoutes(w http.ResponseWriter, r *http.Request) {
	limit, query := maxRoutes, r.URL.Query()
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxRoutes {
			writeError(w, http.StatusBadRequest, fmt.Sprintf("limit=%q: want a number from 1 to %d", text, maxRoutes))
			return
		}
		limit = n
	}
	writeJSON(w, http.StatusOK, a.Proxy.Routes(query.Get("cursor"), limit))
}

func (a *api) listPools(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Proxy.Pools())
}

func (a *api) history(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Proxy.History())
}

const (
	defaultFor = time.Hour
	maxFor     = 24 * time.Hour
)

// setBackend gives a backend a state for a while.
func (a *api) setBackend(w http.ResponseWriter, r *http.Request) {
	var request statusapi.BackendRequest
	if !readJSON(w, r, &request) {
		return
	}
	lasts := defaultFor
	if request.For != "" {
		d, err := time.ParseDuration(request.For)
		if err != nil || d < time.Second || d > maxFor {
			writeError(w, http.StatusBadRequest, fmt.Sprintf("for %q: want a duration from 1s to 24h", request.For))
			return
		}
		lasts = d
	}
	switch request.State {
	case "drain", "disable", "force_down", "none":
	default:
		writeError(w, http.StatusBadRequest, fmt.Sprintf("state %q: want drain, disable, force_down or none", request.State))
		return
	}
	pool, name := r.PathValue("pool"), r.PathValue("name")
	backend, err := a.Proxy.SetBackend(pool, name, request.State, lasts, request.Force)
	if err != nil {
		status := http.StatusNotFound
		if a.Proxy.IsLastBackend(err) {
			status = http.StatusConflict
		}
		writeError(w, status, fmt.Sprintf("pool %q, backend %q: %v", pool, name, err))
		return
	}
	a.Log.Info("backend state set", "pool", pool, "backend", name, "state", request.State, "seconds", lasts.Seconds(), "by", callerOf(r).by())
	writeJSON(w, http.StatusOK, backend)
}
