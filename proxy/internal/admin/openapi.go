package admin

// The OpenAPI document. It is made of the table of calls and of the types that they read
// and answer, so that it cannot differ from what is served.

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// parameter is one of a call's query.
type parameter struct{ name, about string }

// about is what the document says of a call besides its path and its need.
type about struct {
	summary string
	query   []parameter
	body    any    // a value of the JSON type of the request; nil: none
	answer  any    // of the answer; nil: none, or media says what it is
	media   string // of an answer that is not JSON, or of one more than JSON
}

// routesFile is the body of a check.
type routesFile struct{}

var tunnelFilters = []parameter{
	{"route", "only of this route"}, {"pool", "only of this pool"}, {"backend", "only to this backend: its URL or host:port"},
	{"client", "only from this address or network"}, {"user", "only of this user"}, {"draining", "true or false"},
	{"min_age", "a duration such as 1h"}, {"sort", "a field, with - before it for the largest first"},
	{"limit", "100 by default, at most 1000"}, {"cursor", "next of the page before"},
}

var abouts = map[string]about{
	"GET /livez":      {summary: "200 while the process answers", media: "text/plain"},
	"GET /readyz":     {summary: "200 until a shutdown begins, then 503", media: "text/plain"},
	"GET /metrics":    {summary: "Prometheus metrics", media: "text/plain"},
	"GET /v1/status":  {summary: "What is served", query: []parameter{{"wait", "a revision whose outcome is waited for"}, {"timeout", "for so long, at most 10m"}}, answer: statusapi.Status{}},
	"GET /v1/records": {summary: "A hash of each record that is served", answer: statusapi.Records{}},
	"POST /v1/check": {summary: "Checks a routes file and says what it would do; nothing is loaded",
		query: []parameter{{"file", "the served file in whose place it would come"}}, body: routesFile{}, answer: statusapi.CheckResult{}},
	"GET /v1/tunnels":                       {summary: "Open tunnels", query: tunnelFilters, answer: statusapi.TunnelList{}, media: ndjson},
	"GET /v1/tunnels/{id}":                  {summary: "One open tunnel", answer: statusapi.Tunnel{}},
	"DELETE /v1/tunnels/{id}":               {summary: "Ends a tunnel as a drain does", query: []parameter{{"code", "the close code"}, {"reason", "the reason in the Close frame"}}, answer: statusapi.Closed{}},
	"DELETE /v1/tunnels":                    {summary: "Ends all tunnels of a user with 1008", query: []parameter{{"user", "the user, as the log has it; required"}}, answer: statusapi.Closed{}},
	"POST /v1/drain":                        {summary: "Tells tunnels to go", body: statusapi.DrainRequest{}, answer: statusapi.Drain{}},
	"GET /v1/drains":                        {summary: "Drains by hand", answer: statusapi.DrainList{}},
	"DELETE /v1/drains/{id}":                {summary: "Lets those be that a drain has not told yet", answer: statusapi.Drain{}},
	"GET /v1/routes":                        {summary: "The routes that are served", query: []parameter{{"limit", "at most 1000"}, {"cursor", "next of the page before"}}, answer: statusapi.RouteList{}},
	"GET /v1/pools":                         {summary: "The pools that are served", answer: statusapi.PoolList{}},
	"POST /v1/pools/{pool}/backends/{name}": {summary: "Gives a backend a state for a while", body: statusapi.BackendRequest{}, answer: statusapi.Backend{}},
	"GET /v1/history":                       {summary: "The latest generations and refusals", answer: statusapi.History{}},
	"GET /v1/events":                        {summary: "What happens: figures, drain, generation, refusal, backend", media: "text/event-stream"},
	"POST /v1/session":                      {summary: "Sets a browser's cookie for the token"},
	"GET /v1/openapi.json":                  {summary: "This document", media: "application/json"},
	"GET /debug/pprof/":                     {summary: "Go's profiles", media: "text/html"},
	"GET /debug/pprof/{name}":               {summary: "One of Go's profiles", media: "application/octet-stream"},
}

type object = map[string]any

// openAPI answers with the document.
func (a *api) openAPI(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, documentOf(a.calls()))
}

func documentOf(calls []call) object {
	schemas := schemas{"Error": nil}
	schemas.of(reflect.TypeFor[statusapi.Error]())
	paths := object{}
	for _, c := range calls {
		path, _ := paths[c.path].(object)
		if path == nil {
			path = object{}
			paths[c.path] = path
		}
		path[strings.ToLower(c.method)] = operationOf(c, abouts[c.method+" "+c.path], schemas)
	}
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Tunnelform admin API", "version": "1"},
		"paths":   paths,
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}
}

func operationOf(c call, d about, s schemas) object {
	parameters := []object{}
	for part := range strings.SplitSeq(c.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			parameters = append(parameters, object{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	for _, p := range d.query {
		parameters = append(parameters, object{"name": p.name, "in": "query", "description": p.about, "schema": object{"type": "string"}})
	}
	content := object{}
	if d.answer != nil {
		content["application/json"] = object{"schema": s.of(reflect.TypeOf(d.answer))}
	}
	if d.media != "" {
		content[d.media] = object{}
	}
	good := object{"description": "done"}
	if len(content) > 0 {
		good["content"] = content
	}
	status := "200"
	if len(content) == 0 {
		status = "204"
	}
	operation := object{
		"summary":    d.summary,
		"parameters": parameters,
		"security":   securityOf(c.need),
		"responses": object{
			status:    good,
			"default": object{"description": "why not", "content": object{"application/json": object{"schema": s.of(reflect.TypeFor[statusapi.Error]())}}},
		},
	}
	switch d.body.(type) {
	case nil:
	case routesFile:
		operation["requestBody"] = object{"required": true, "content": object{"application/yaml": object{}}}
	default:
		operation["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(reflect.TypeOf(d.body))}}}
	}
	return operation
}

// securityOf says whether a token is needed: always, depending on the address, or never.
func securityOf(n need) []object {
	token := object{"token": []string{}}
	switch {
	case n == needsNothing:
		return []object{}
	case n < needsToken:
		return []object{token, {}}
	}
	return []object{token}
}

// schemas are the types that calls read and answer, by name.
type schemas object

// of returns the schema of a type, a reference if it has a name.
func (s schemas) of(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return object{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice:
		return object{"type": []string{"array", "null"}, "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": []string{"object", "null"}, "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		if s[t.Name()] == nil {
			s[t.Name()] = object{} // in case it has itself in it
			s[t.Name()] = s.structure(t)
		}
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	return object{"type": "integer"}
}

func (s schemas) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	for field := range t.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		properties[name] = s.of(field.Type)
		if !strings.Contains(options, "omitempty") {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required}
}
