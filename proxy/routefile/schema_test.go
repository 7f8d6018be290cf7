package routefile

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// fits is a slow and obvious reader of the part of JSON Schema that Schema uses.
func fits(root, s map[string]any, v any) bool {
	if ref, ok := s["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/definitions/")
		return fits(root, root["definitions"].(map[string]any)[name].(map[string]any), v)
	}
	for word, want := range s {
		if !fitsWord(root, s, word, want, v) {
			return false
		}
	}
	return true
}

func fitsWord(root, s map[string]any, word string, want, v any) bool {
	text, isText := v.(string)
	number, isNumber := v.(float64)
	list, isList := v.([]any)
	object, isObject := v.(map[string]any)
	switch word {
	case "type":
		return hasType(want, v)
	case "enum":
		return slices.ContainsFunc(want.([]any), func(e any) bool { return reflect.DeepEqual(e, v) })
	case "pattern":
		return !isText || regexp.MustCompile(want.(string)).MatchString(text)
	case "minimum":
		return !isNumber || number >= want.(float64)
	case "maximum":
		return !isNumber || number <= want.(float64)
	case "exclusiveMinimum":
		return !isNumber || number > want.(float64)
	case "minItems":
		return !isList || len(list) >= int(want.(float64))
	case "items":
		return !slices.ContainsFunc(list, func(item any) bool { return !fits(root, want.(map[string]any), item) })
	case "required":
		return !isObject || !slices.ContainsFunc(want.([]any), func(k any) bool { _, ok := object[k.(string)]; return !ok })
	case "oneOf":
		return count1(root, want, v) == 1
	case "anyOf":
		return count1(root, want, v) > 0
	case "not":
		return !fits(root, want.(map[string]any), v)
	case "propertyNames":
		return !slices.ContainsFunc(sortedNames(object), func(name string) bool { return !fits(root, want.(map[string]any), name) })
	case "dependencies":
		return fitsDependencies(want.(map[string]any), object)
	case "properties", "additionalProperties":
		return fitsProperties(root, s, object)
	case "description", "default", "examples", "$schema", "title", "definitions":
		return true
	}
	panic("the test knows no " + word)
}

func count1(root map[string]any, forms, v any) (n int) {
	for _, form := range forms.([]any) {
		if fits(root, form.(map[string]any), v) {
			n++
		}
	}
	return n
}

func fitsDependencies(needs, object map[string]any) bool {
	for name, others := range needs {
		if _, ok := object[name]; !ok {
			continue
		}
		for _, other := range others.([]any) {
			if _, ok := object[other.(string)]; !ok {
				return false
			}
		}
	}
	return true
}

func fitsProperties(root, s, object map[string]any) bool {
	properties, _ := s["properties"].(map[string]any)
	for name, value := range object {
		if p, ok := properties[name].(map[string]any); ok {
			if !fits(root, p, value) {
				return false
			}
			continue
		}
		switch rest := s["additionalProperties"].(type) {
		case bool:
			if !rest {
				return false
			}
		case map[string]any:
			if !fits(root, rest, value) {
				return false
			}
		}
	}
	return true
}

func hasType(want, v any) bool {
	if list, ok := want.([]any); ok {
		return slices.ContainsFunc(list, func(one any) bool { return hasType(one, v) })
	}
	switch v := v.(type) {
	case nil:
		return want == "null"
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	}
	return false
}

func schemaObject(t *testing.T) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal(Schema(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is a file as an editor's validator sees it.
func asJSON(t *testing.T, text string) any {
	t.Helper()
	var v, back any
	if err := yamledit.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestSchemaAcceptsTheExample(t *testing.T) {
	data, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	s := schemaObject(t)
	if !fits(s, s, asJSON(t, string(data))) {
		t.Error("the schema refuses routes.example.yaml")
	}
}

// TestSchemaAgainstParse puts values of every kind at every key: the schema
// accepts whatever Parse accepts, and both refuse the wrong kinds.
func TestSchemaAgainstParse(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	s := schemaObject(t)
	values := []string{
		"x", `""`, "5", "0", "-1", "1.5", "true", "false", "off", "30s", "64KiB", "302", "1012", "any", "same-host", "websocket", "/x", "^/x",
		"10.0.0.0/8", "[]", "[x]", "[GET]", "[[]]", "{}", "{x: y}", "{x: [y]}", "{x: {}}", "{/a: /}", "[10.0.0.1]", ":8080", `"ws://h"`, "~",
	}
	for _, k := range leafKeys() {
		if strings.Contains(k.Path, "[]") {
			continue // certificates: below
		}
		accepted := 0
		for _, value := range append(values, k.Example) {
			c := *k
			c.Example = value
			text := documentWith(t, &c, true)
			_, errs := Parse("r.yaml", []byte(text))
			if ok := fits(s, s, asJSON(t, text)); len(errs) == 0 && !ok {
				t.Errorf("%s: %s is read, and the schema refuses it\n%s", k.Path, value, text)
			} else if ok && len(errs) > 0 && strings.Contains(errs.Error(), "is a ") && !strings.Contains(errs.Error(), "is a number") {
				t.Errorf("%s: %s is of the wrong kind, and the schema accepts it\n%v", k.Path, value, errs)
			} else if ok {
				accepted++
			}
		}
		if accepted == 0 || accepted > len(values) {
			t.Errorf("%s: the schema accepts %d of %d values", k.Path, accepted, len(values)+1)
		}
	}
}

// TestSchemaOfClashes holds what the schema says of keys beside each other to Parse.
func TestSchemaOfClashes(t *testing.T) {
	s := schemaObject(t)
	for text, good := range map[string]bool{
		"{to: 'ws://h'}":                    true,
		"{}":                                false,
		"{to: 'ws://h', respond: {}}":       false,
		"{match: {path: /a}, to: 'ws://h'}": true,
		"{match: {path: /a, path_prefix: /b}, to: 'ws://h'}":              false,
		"{match: {headers: {A: {regex: a}}}, to: 'ws://h'}":               true,
		"{match: {headers: {A: {regex: a, present: true}}}, respond: {}}": false,
		"{match: {headers: {A: {}}}, to: 'ws://h'}":                       false,
		"{match: {headers: {A: 5}}, to: 'ws://h'}":                        true,
		"{to: 'ws://h', backend_tls: {certificate: a, key: b}}":           true,
		"{to: 'ws://h', backend_tls: {certificate: a}}":                   false,
		"{to: 'ws://h', keepalive: off}":                                  true,
		"{to: 'ws://h', keepalive: on}":                                   false,
		"{to: 'ws://h', rewrite_response: true}":                          true,
		"{to: 'ws://h', auth: {}}":                                        false,
		"{to: 'ws://h', nonsense: 1}":                                     false,
		"{redirect: {status: 301}}":                                       false,
		"{redirect: {scheme: https}}":                                     true,
		"{redirect: {scheme: https, port: 8443}}":                         true,
		"{redirect: {scheme: ftp}}":                                       false,
		"{redirect: {scheme: https, to: /x}}":                             false,
	} {
		full := fmt.Sprintf("version: 1\nroutes: {a: %s}\n", text)
		_, errs := Parse("r.yaml", []byte(full))
		if ok := fits(s, s, asJSON(t, full)); ok != good || len(errs) == 0 != good {
			t.Errorf("%s: the schema says %v, Parse %v; want %v", text, ok, errs, good)
		}
	}
	tls := "version: 1\nroutes: {}\nlisteners: {a: {address: ':1', tls: {certificates: %s}}}\n"
	for text, good := range map[string]bool{"[]": false, "[{certificate: a}]": false, "[{certificate: a, key: b}]": true, "{}": false} {
		full := fmt.Sprintf(tls, text)
		_, errs := Parse("r.yaml", []byte(full))
		if ok := fits(s, s, asJSON(t, full)); ok != good || len(errs) == 0 != good {
			t.Errorf("certificates %s: the schema says %v, Parse %v; want %v", text, ok, errs, good)
		}
	}
}
