package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// TestEveryCallIsDocumented: the document has just the calls that there are.
func TestEveryCallIsDocumented(t *testing.T) {
	a := newAPI(withDefaults(Options{Debug: true}))
	var served []string
	for _, c := range a.calls() {
		served = append(served, c.method+" "+c.path)
		if abouts[c.method+" "+c.path].summary == "" {
			t.Errorf("%s %s has no summary", c.method, c.path)
		}
	}
	slices.Sort(served)
	if documented := slices.Sorted(maps.Keys(abouts)); !slices.Equal(served, documented) {
		t.Errorf("served\n%s\ndocumented\n%s", served, documented)
	}
	w := askWith(t, Options{}, loopback, "GET", "/v1/openapi.json", "", nil)
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil || document.OpenAPI != "3.1.0" {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	n := 0
	for _, methods := range document.Paths {
		n += len(methods)
	}
	if want := len(newAPI(withDefaults(Options{})).calls()); n != want || document.Paths["/debug/pprof/"] != nil {
		t.Errorf("%d calls, want %d without those of --admin-debug", n, want)
	}
}

// TestParametersAreDocumented: the list of tunnels takes what the document says and nothing
// else.
func TestParametersAreDocumented(t *testing.T) {
	l := &listing{}
	for _, p := range tunnelFilters {
		if err := l.set(p.name, ""); err != nil && strings.Contains(err.Error(), "no such parameter") {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

// TestAnswersAreAsDocumented: what the handlers answer has the fields that the document
// says, of its types, and no others.
func TestAnswersAreAsDocumented(t *testing.T) {
	g, _ := openTunnels(3)
	p := &fakeProxy{
		status: statusapi.Status{Refused: &statusapi.Refused{Mistakes: []statusapi.Mistake{{File: "a", Line: 1}}}, Files: []statusapi.File{{Path: "a"}}},
		check: func(string, []byte) (statusapi.CheckResult, error) {
			return statusapi.CheckResult{OK: true, Impact: &statusapi.Impact{Routes: map[string]statusapi.RouteImpact{"a": {Kept: 1, Cause: "x"}}}}, nil
		},
	}
	a := newAPI(withDefaults(Options{Proxy: p, Tunnels: g, Feed: &Feed{}}))
	text, err := json.Marshal(documentOf(a.calls()))
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	handler := Handler(a.Options)
	for _, ask := range []struct{ method, path, target, body string }{
		{"GET", "/v1/status", "/v1/status", ""},
		{"GET", "/v1/records", "/v1/records", ""},
		{"POST", "/v1/check", "/v1/check", "version: 1"},
		{"GET", "/v1/tunnels", "/v1/tunnels", ""},
		{"GET", "/v1/tunnels/{id}", "/v1/tunnels/id-1", ""},
		{"POST", "/v1/drain", "/v1/drain", `{"route":"chat","window":"1h","dry_run":true}`},
		{"POST", "/v1/drain", "/v1/drain", `{"route":"chat","window":"1h"}`},
		{"GET", "/v1/drains", "/v1/drains", ""},
		{"DELETE", "/v1/tunnels/{id}", "/v1/tunnels/id-1", ""},
		{"GET", "/v1/routes", "/v1/routes?cursor=a", ""},
		{"GET", "/v1/pools", "/v1/pools", ""},
		{"POST", "/v1/pools/{pool}/backends/{name}", "/v1/pools/p/backends/a", `{"state":"none"}`},
		{"GET", "/v1/history", "/v1/history", ""},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, newRequest(t, socket, ask.method, ask.target, ask.body, func(r *http.Request) {
			r.Header.Set("Content-Type", "application/yaml")
		}))
		var answer any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
			t.Errorf("%s %s: %d %s", ask.method, ask.target, w.Code, w.Body)
			continue
		}
		schema := at(document, "paths", ask.path, strings.ToLower(ask.method), "responses", "200", "content", "application/json", "schema")
		if wrong := conforms(document, schema, answer, ask.target); wrong != "" {
			t.Error(wrong)
		}
	}
	if wrong := conforms(document, at(document, "components", "schemas", "Closed"), map[string]any{"tunnels": 1.0, "more": 1.0}, "x"); wrong == "" {
		t.Error("the check finds no field too many")
	}
}

func at(value any, path ...string) any {
	for _, name := range path {
		value = value.(map[string]any)[name]
	}
	return value
}

// conforms returns what of a value is not as its schema says.
func conforms(document map[string]any, schema, value any, where string) string {
	s, ok := schema.(map[string]any)
	if !ok {
		return where + ": no schema"
	}
	if ref, ok := s["$ref"].(string); ok {
		return conforms(document, at(document, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...), value, where)
	}
	types := fmt.Sprint(s["type"])
	switch v := value.(type) {
	case nil:
		if !strings.Contains(types, "null") {
			return where + " is null"
		}
	case string:
		if types != "string" {
			return where + " is a text, want " + types
		}
	case bool:
		if types != "boolean" {
			return where + " is a boolean, want " + types
		}
	case float64:
		if types != "number" && (types != "integer" || v != float64(int64(v))) {
			return where + " is a number, want " + types
		}
	case []any:
		for i, item := range v {
			if wrong := conforms(document, s["items"], item, fmt.Sprintf("%s[%d]", where, i)); wrong != "" {
				return wrong
			}
		}
	case map[string]any:
		if each, ok := s["additionalProperties"]; ok {
			for name, item := range v {
				if wrong := conforms(document, each, item, where+"."+name); wrong != "" {
					return wrong
				}
			}
			return ""
		}
		properties := s["properties"].(map[string]any)
		for name, item := range v {
			if properties[name] == nil {
				return where + "." + name + " is not documented"
			}
			if wrong := conforms(document, properties[name], item, where+"."+name); wrong != "" {
				return wrong
			}
		}
		for _, name := range s["required"].([]any) {
			if _, there := v[name.(string)]; !there {
				return fmt.Sprintf("%s.%s is missing", where, name)
			}
		}
	}
	return ""
}
