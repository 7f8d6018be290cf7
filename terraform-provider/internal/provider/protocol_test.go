package provider

// Features of Terraform 1.14 and later, tested through the plugin protocol.

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload/store"
)

// spoken is a provider's server with the schemas to speak to it.
type spoken struct {
	tfprotov6.ProviderServer
	schemas *tfprotov6.GetProviderSchemaResponse
}

// speak configures a provider; missing settings are null.
func speak(t *testing.T, settings map[string]tftypes.Value) spoken {
	t.Helper()
	server := NewServer("test")()
	schemas, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s := spoken{server, schemas}
	resp, err := server.ConfigureProvider(t.Context(), &tfprotov6.ConfigureProviderRequest{
		TerraformVersion: "1.14.0", Config: object(t, schemas.Provider, settings),
	})
	if err != nil || len(resp.Diagnostics) > 0 {
		t.Fatalf("configuring: %v, %v", err, resp.Diagnostics)
	}
	return s
}

// object is a value of a schema; missing attributes are null.
func object(t *testing.T, schema *tfprotov6.Schema, given map[string]tftypes.Value) *tfprotov6.DynamicValue {
	t.Helper()
	typ := schema.ValueType().(tftypes.Object)
	values := map[string]tftypes.Value{}
	for name, of := range typ.AttributeTypes {
		values[name] = tftypes.NewValue(of, nil)
		if v, ok := given[name]; ok {
			values[name] = v
		}
	}
	value, err := tfprotov6.NewDynamicValue(typ, tftypes.NewValue(typ, values))
	if err != nil {
		t.Fatal(err)
	}
	return &value
}

func text(s string) tftypes.Value { return tftypes.NewValue(tftypes.String, s) }

func texts(all ...string) tftypes.Value {
	var items []tftypes.Value
	for _, s := range all {
		items = append(items, text(s))
	}
	return tftypes.NewValue(tftypes.List{ElementType: tftypes.String}, items)
}

// listed asks for a list and returns names, each with one attribute of its record.
func (s spoken) listed(t *testing.T, kind, attribute string, limit int64, config map[string]tftypes.Value) (lines []string, problems []*tfprotov6.Diagnostic) {
	t.Helper()
	stream, err := s.ProviderServer.(tfprotov6.ListResourceServer).ListResource(t.Context(), &tfprotov6.ListResourceRequest{
		TypeName: kind, Config: object(t, s.schemas.ListResourceSchemas[kind], config), IncludeResource: true, Limit: limit,
	})
	if err != nil {
		t.Fatal(err)
	}
	for r := range stream.Results {
		problems = append(problems, r.Diagnostics...)
		if r.Resource == nil {
			continue
		}
		record, err := r.Resource.Unmarshal(s.schemas.ResourceSchemas[kind].ValueType())
		if err != nil {
			t.Fatal(err)
		}
		identity, err := r.Identity.IdentityData.Unmarshal(tftypes.Object{AttributeTypes: map[string]tftypes.Type{nameAttribute: tftypes.String}})
		if err != nil {
			t.Fatal(err)
		}
		all := members(record)
		if name := textOf(members(identity)[nameAttribute]); name != r.DisplayName || name != textOf(all[nameAttribute]) {
			t.Errorf("identity %q, shown %q, name %q: want all the same", name, r.DisplayName, textOf(all[nameAttribute]))
		}
		lines = append(lines, r.DisplayName+" "+textOf(all[attribute]))
	}
	return lines, problems
}

func TestListOfRecords(t *testing.T) {
	file, _ := routesFile(t, soundFile)
	s := speak(t, map[string]tftypes.Value{"file": text(file)})
	tests := []struct {
		name, kind, attribute string
		limit                 int64
		config                map[string]tftypes.Value
		want                  []string
	}{
		{"routes", "tunnelform_route", "to", 0, nil, []string{"rooms pool://chat/r/{room}", "site http://site.example.com"}},
		{"a limit", "tunnelform_route", "to", 1, nil, []string{"rooms pool://chat/r/{room}"}},
		{"a pattern", "tunnelform_route", "to", 0, map[string]tftypes.Value{"name": text("s*")}, []string{"site http://site.example.com"}},
		{"pools", "tunnelform_pool", "name", 0, nil, []string{"chat chat"}},
	}
	for _, tt := range tests {
		got, problems := s.listed(t, tt.kind, tt.attribute, tt.limit, tt.config)
		if !slices.Equal(got, tt.want) || len(problems) > 0 {
			t.Errorf("%s: listed %q (%v), want %q", tt.name, got, problems, tt.want)
		}
	}
	if _, problems := s.listed(t, "tunnelform_route", "to", 0, map[string]tftypes.Value{"name": text("[")}); len(problems) != 1 {
		t.Errorf("a bad pattern gives %v, want one error", problems)
	}
	none := speak(t, nil)
	if _, problems := none.listed(t, "tunnelform_route", "to", 0, nil); len(problems) != 1 || !strings.Contains(problems[0].Detail, "no routes file is configured") {
		t.Errorf("without a file: %v, want one error that asks for it", problems)
	}
}

// invoked runs the action and returns its progress and its problems, as lines.
func (s spoken) invoked(t *testing.T, config map[string]tftypes.Value) (lines []string) {
	t.Helper()
	stream, err := s.ProviderServer.(tfprotov6.ActionServer).InvokeAction(context.Background(), &tfprotov6.InvokeActionRequest{
		ActionType: "tunnelform_serving", Config: object(t, s.schemas.ActionSchemas["tunnelform_serving"].Schema, config),
	})
	if err != nil {
		t.Fatal(err)
	}
	for event := range stream.Events {
		switch e := event.Type.(type) {
		case tfprotov6.ProgressInvokeActionEventType:
			lines = append(lines, e.Message)
		case tfprotov6.CompletedInvokeActionEventType:
			for _, d := range e.Diagnostics {
				lines = append(lines, d.Summary+": "+d.Detail)
			}
		}
	}
	return lines
}

// A file that is changed while the action waits is waited for as it is then; a revision
// that was given is not.
func TestServingActionAfterDrift(t *testing.T) {
	file, _ := routesFile(t, oneRoute)
	p := newFakeProxy(t)
	before, after := store.RevisionOf([]byte(oneRoute)), store.RevisionOf([]byte(twoRoutes))
	p.answers(func(_ context.Context, revision string) statusapi.Status {
		if revision == before {
			edit(t, file, twoRoutes)()
			return statusapi.Status{Revision: after, Outcome: statusapi.Superseded}
		}
		return statusapi.Status{Revision: revision, Outcome: statusapi.Served}
	})
	wait := tftypes.Object{AttributeTypes: map[string]tftypes.Type{"timeout": tftypes.String, "require": tftypes.String}}
	s := speak(t, map[string]tftypes.Value{"file": text(file), "admin": texts(p.address),
		"wait": tftypes.NewValue(wait, map[string]tftypes.Value{"timeout": text("300ms"), "require": tftypes.NewValue(tftypes.String, nil)})})
	if got := s.invoked(t, nil); len(got) != 1 {
		t.Errorf("a file that is changed meanwhile: %q, want progress and no problem", got)
	}
	if got := p.asked(); !slices.Equal(got, []string{before, after}) {
		t.Errorf("waited for %q, want the old revision and then the new one, %q", got, []string{before, after})
	}
	if got := s.invoked(t, map[string]tftypes.Value{"revision": text(before)}); len(got) != 2 || !strings.Contains(got[1], "Not served in time") {
		t.Errorf("a revision that is superseded: %q, want an error", got)
	}
}

func TestServingAction(t *testing.T) {
	file, _ := routesFile(t, oneRoute)
	fake := newAdminFake(t, file)
	s := speak(t, map[string]tftypes.Value{"file": text(file), "admin": texts(fake.address)})
	if got := s.invoked(t, nil); len(got) != 1 || !strings.HasPrefix(got[0], "waiting for 1 proxies to serve revision ") {
		t.Errorf("waiting for the file: %q, want progress and no problem", got)
	}
	fake.does(refuse(certificateGone))()
	edit(t, file, twoRoutes)()
	if got := s.invoked(t, nil); len(got) != 2 || !strings.Contains(got[1], certificateGone.String()) {
		t.Errorf("a rejected file: %q, want the proxy's words", got)
	}
	if got := speak(t, nil).invoked(t, nil); len(got) != 1 || !strings.Contains(got[0], "no admin address is given") {
		t.Errorf("without proxies: %q, want to be asked for them", got)
	}
}

// The pages that are written by hand describe every attribute as the schemas do.
func TestReferenceOfListsAndActions(t *testing.T) {
	s := speak(t, nil)
	pages := map[string]*tfprotov6.Schema{}
	for name, schema := range s.schemas.ListResourceSchemas {
		pages["list-resources/"+strings.TrimPrefix(name, "tunnelform_")] = schema
	}
	for name, schema := range s.schemas.ActionSchemas {
		pages["actions/"+strings.TrimPrefix(name, "tunnelform_")] = schema.Schema
	}
	if len(pages) != len(listKinds)+len(actionKinds) {
		t.Errorf("%d pages, want %d", len(pages), len(listKinds)+len(actionKinds))
	}
	for page, schema := range pages {
		for _, dir := range []string{"reference", "docs"} {
			text := readFile(t, filepath.Join("..", "..", dir, page+".md"))
			if !strings.Contains(text, schema.Block.Description) {
				t.Errorf("%s/%s.md lacks the description %q", dir, page, schema.Block.Description)
			}
			for _, a := range schema.Block.Attributes {
				if want := "- `" + a.Name + "` (String) " + a.Description; !strings.Contains(text, want) {
					t.Errorf("%s/%s.md lacks %q", dir, page, want)
				}
			}
		}
	}
}
