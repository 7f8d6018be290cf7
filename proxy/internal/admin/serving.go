package admin

// What is served, with live figures; and how it came about.

import (
	"fmt"
	"net/http"
	"strconv"
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
