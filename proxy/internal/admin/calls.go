package admin

// The calls of the API: what each one needs, and what handles it.

import (
	"net/http"
)

// call is one method on one path.
type call struct {
	method, path string
	need         need
	handle       http.HandlerFunc
}

func (a *api) calls() []call {
	calls := []call{
		{"GET", "/livez", needsNothing, a.livez},
		{"GET", "/readyz", needsNothing, a.readyz},
		{"GET", "/metrics", needsPublic, a.metrics},
		{"GET", "/v1/status", needsPublic, a.status},
		{"GET", "/v1/records", needsRead, a.records},
		{"POST", "/v1/check", needsRead, a.check},
		{"GET", "/v1/tunnels", needsRead, a.listTunnels},
		{"GET", "/v1/tunnels/{id}", needsRead, a.showTunnel},
		{"DELETE", "/v1/tunnels/{id}", needsWrite, a.closeTunnel},
		{"DELETE", "/v1/tunnels", needsWrite, a.revokeUser},
		{"POST", "/v1/drain", needsWrite, a.startDrain},
		{"GET", "/v1/drains", needsRead, a.listDrains},
		{"DELETE", "/v1/drains/{id}", needsWrite, a.spareDrain},
		{"GET", "/v1/routes", needsRead, a.listRoutes},
		{"GET", "/v1/pools", needsRead, a.listPools},
		{"POST", "/v1/pools/{pool}/backends/{name}", needsWrite, a.setBackend},
		{"GET", "/v1/history", needsRead, a.history},
		{"GET", "/v1/events", needsRead, a.events},
		{"GET", "/v1/openapi.json", needsRead, a.openAPI},
		{"POST", "/v1/session", needsToken, a.openSession},
	}
	if a.Debug {
		calls = append(calls,
			call{"GET", "/debug/pprof/", needsRead, a.debug},
			call{"GET", "/debug/pprof/{name}", needsRead, a.debug})
	}
	return calls
}
