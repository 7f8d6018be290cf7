package admin

// Go's profiles, where the operator has asked for them.

import (
	"net/http"
	"net/http/pprof"
)

// debug serves /debug/pprof/.
func (a *api) debug(w http.ResponseWriter, r *http.Request) {
	switch r.PathValue("name") {
	case "cmdline":
		writeError(w, http.StatusNotFound, "the command line is not shown")
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}
