package routefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// The JSON Schema (draft-07), made from the table of keys, for completion and help in
// editors. It accepts every file that Parse accepts; what a schema cannot express
// (captures, conflicts of routes) is left to Check.

// object is a piece of a JSON Schema. encoding/json writes its keys sorted.
type object = map[string]any

// Schema returns the JSON Schema of the routes file, indented, with a newline at the end.
func Schema() []byte {
	definitions := object{}
	root := document.schema(definitions)
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "Tunnelform routes file"
	root["description"] = "What one Tunnelform proxy serves: listeners, pools of backends, and routes."
	root["definitions"] = definitions
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		panic(fmt.Sprintf("routefile: schema: %v", err)) // only maps, slices and scalars are in it
	}
	return b.Bytes()
}

// schema returns the schema of k's value, without its description.
func (k *Key) schema(definitions object) object {
	forms := k.form(definitions)
	for _, s := range k.Short {
		forms = append(forms, s.form())
	}
	if len(forms) == 1 {
		return forms[0]
	}
	return object{"oneOf": forms}
}

// form returns the schemas of k's kind: several if a value has several types.
func (k *Key) form(definitions object) []object {
	switch k.Kind {
	case KindMapping:
		return []object{k.mappingSchema(definitions)}
	case KindNamed:
		return []object{k.namedSchema(definitions)}
	case KindList:
		item := k.index["[]"].described(definitions)
		return []object{item, listOfSchema(item, k.Filled)}
	case KindTexts, KindNetworks:
		return k.textsForms()
	case KindValues:
		return []object{{"type": "object", "additionalProperties": k.headerForm()}}
	case KindValueLists:
		one := anyHeaderValue()
		either := object{"oneOf": append(one, listOfSchema(object{"oneOf": one}, true))}
		return []object{{"type": "object", "additionalProperties": either}}
	}
	return k.scalarForms()
}

func (k *Key) scalarForms() []object {
	switch k.Kind {
	case KindValue:
		return []object{anyValue()}
	case KindSwitch:
		return []object{withEnum(object{"type": "boolean"}, k.Enum)}
	case KindWhole:
		return []object{k.wholeSchema()}
	case KindCount:
		return k.orOff(object{"type": "integer", "minimum": k.Min, "maximum": k.Max})
	case KindRate:
		return k.orOff(object{"type": "number", "exclusiveMinimum": 0, "maximum": maxRate})
	case KindDuration:
		return k.orOff(object{"type": "string", "pattern": durationPattern})
	case KindSize:
		number := object{"type": "integer", "minimum": 1, "maximum": int64(maxSize)}
		return append(k.orOff(object{"type": "string", "pattern": sizePattern}), number)
	}
	return []object{k.textSchema()}
}

// withEnum adds the allowed values, if they are limited.
func withEnum(s object, enum []string) object {
	if enum == nil {
		return s
	}
	out := make([]any, len(enum))
	for i, word := range enum {
		out[i] = yamlValue(word)
	}
	s["enum"] = out
	return s
}

func (k *Key) textSchema() object {
	s := withEnum(object{"type": "string"}, k.Enum)
	if k.Pattern != "" {
		s["pattern"] = k.Pattern
	}
	return s
}

func (k *Key) wholeSchema() object {
	if k.Enum != nil {
		return withEnum(object{"type": "integer"}, k.Enum)
	}
	return object{"type": "integer", "minimum": k.Min, "maximum": k.Max}
}

// orOff adds the values that disable a key, if it can be.
func (k *Key) orOff(s object) []object {
	if !k.Zero {
		return []object{s}
	}
	return []object{s, {"enum": []any{"off", 0}}}
}

// textsForms returns a list, or one text unless a short form describes that.
func (k *Key) textsForms() []object {
	item := withEnum(object{"type": "string"}, k.Enum)
	if k.Numbers {
		item["type"] = []string{"string", "integer"}
	}
	list := listOfSchema(item, k.Filled)
	if len(k.Short) > 0 {
		return []object{list}
	}
	return []object{item, list}
}

func listOfSchema(item object, filled bool) object {
	s := object{"type": "array", "items": item}
	if filled {
		s["minItems"] = 1
	}
	return s
}

func anyValue() object { return object{"type": []string{"string", "number", "boolean"}} }

// headerForm is a value of a mapping of values: of headers it may come from a file.
func (k *Key) headerForm() object {
	if !k.Files {
		return anyValue()
	}
	return object{"oneOf": anyHeaderValue()}
}

func anyHeaderValue() []object { return []object{anyValue(), headerFileKey.schema(nil)} }

// namedSchema is for a mapping of names. The sections at the top may be empty.
func (k *Key) namedSchema(definitions object) object {
	s := object{"type": "object", "additionalProperties": k.index["*"].described(definitions)}
	if k.top() {
		s["type"] = []string{"object", "null"}
	}
	if k.Pattern != "" {
		s["propertyNames"] = object{"pattern": k.Pattern}
	}
	return s
}

func (k *Key) mappingSchema(definitions object) object {
	properties, needed := object{}, []string{}
	var others any = false
	for _, below := range k.keys {
		if below.Reserved {
			continue
		}
		if below.Name == "*" {
			others = below.described(definitions)
			continue
		}
		properties[below.Name] = below.reference(definitions)
		if below.Required {
			needed = append(needed, below.Name)
		}
	}
	s := object{"type": "object", "additionalProperties": others, "properties": properties}
	if others != false {
		s["propertyNames"] = object{"pattern": errorStatusPattern + "|^override$"}
	}
	if len(needed) > 0 {
		s["required"] = needed
	}
	k.addClashes(s)
	return s
}

// addClashes adds which keys are allowed together.
func (k *Key) addClashes(s object) {
	if k.ExactlyOne != nil {
		s["oneOf"] = requiring(k.ExactlyOne)
	}
	if k.AtMostOne != nil {
		none := object{"not": object{"anyOf": requiring(k.AtMostOne)}}
		s["oneOf"] = append(requiring(k.AtMostOne), none)
	}
	if k.Together != nil {
		needs := object{}
		for _, name := range k.Together {
			needs[name] = k.Together
		}
		s["dependencies"] = needs
	}
}

func requiring(names []string) []object {
	out := make([]object, len(names))
	for i, name := range names {
		out[i] = object{"required": []string{name}}
	}
	return out
}

// reference returns the schema of k, by name if it is used twice: settings are keys of the
// defaults and of a route.
func (k *Key) reference(definitions object) object {
	if !k.setting() {
		return k.described(definitions)
	}
	if definitions[k.Name] == nil {
		definitions[k.Name] = k.described(definitions)
	}
	return object{"$ref": "#/definitions/" + k.Name}
}

// described returns k's schema with its description.
func (k *Key) described(definitions object) object {
	s := k.schema(definitions)
	if k.Meaning != "" {
		s["description"] = k.Meaning
	}
	if k.Default != "" {
		s["default"] = yamlValue(k.Default)
	}
	if k.Example != "" {
		s["examples"] = []any{yamlValue(k.Example)}
	}
	return s
}

func (s Short) form() object {
	switch {
	case s.Enum != nil:
		return object{"enum": s.Enum, "description": s.Meaning}
	case s.Kind == KindSwitch:
		return object{"type": "boolean", "description": s.Meaning}
	case s.Kind == KindValue:
		v := anyValue()
		v["description"] = s.Meaning
		return v
	}
	return object{"type": "string", "description": s.Meaning}
}

// yamlValue reads a piece of the table's YAML as a JSON value.
func yamlValue(text string) any {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	var v any
	if err := yamledit.Unmarshal([]byte(text), &v); err != nil {
		panic(fmt.Sprintf("routefile: the table's %q: %v", text, err))
	}
	return v
}
