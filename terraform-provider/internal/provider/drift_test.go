package provider

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// driftCases are the resources that may remove what is in the file, each with a change
// of its record by hand.
var driftCases = []struct {
	name, before string
	configure    func(key string) string // by a for_each key; "" is without the resource
	edit         [2]string
	gone         string // a text that is in the file as long as the record
}{
	{"route", noRoutes, func(key string) string {
		return forEach("tunnelform_route", key, "  match { path = \"/${each.key}\" }\n  respond { status = 204 }\n")
	}, [2]string{"status: 204", "status: 201"}, "status:"},
	{"pool", noRoutes, func(key string) string {
		return forEach("tunnelform_pool", key, "  backend {\n    name = \"a\"\n    url = \"ws://10.0.0.1:9000\"\n  }\n")
	}, [2]string{"10.0.0.1", "10.0.0.2"}, "10.0.0."},
	{"routes file", noRoutes, func(key string) string {
		if key == "" {
			return ""
		}
		return fmt.Sprintf("resource \"tunnelform_routes_file\" %q {\n  content = %q\n}\n", key, oneRoute)
	}, [2]string{"routes:", "# by hand\nroutes:"}, "respond"},
}

func forEach(kind, key, body string) string {
	keys := ""
	if key != "" {
		keys = fmt.Sprintf("%q", key)
	}
	return fmt.Sprintf("resource %q \"all\" {\n  for_each = toset([%s])\n  name = each.key\n%s}\n", kind, keys, body)
}

// A record that was changed by hand can be removed: the plan has shown the change.
func TestAccRemoveAfterDrift(t *testing.T) {
	for _, tt := range driftCases {
		for _, saved := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, saved plan %v", tt.name, saved), func(t *testing.T) {
				w := newWorkspace(t, "")
				file := filepath.Join(t.TempDir(), "routes.yaml")
				writeFile(t, file, tt.before)
				apply := func() {
					t.Helper()
					if saved {
						w.must("plan", "-out=saved")
						w.must("apply", "saved")
					} else {
						w.must("apply", "-auto-approve")
					}
				}
				w.write(providerBlock(file) + tt.configure("a"))
				apply()
				replaceIn(t, file, tt.edit[0], tt.edit[1])
				w.write(providerBlock(file) + tt.configure(""))
				apply()
				if got := readFile(t, file); strings.Contains(got, tt.gone) {
					t.Errorf("the record is still in the file:\n%s", got)
				}
			})
		}
	}
}

// A record that was changed by hand can be destroyed with everything else.
func TestAccDestroyAfterDrift(t *testing.T) {
	for _, tt := range driftCases {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorkspace(t, "")
			file := filepath.Join(t.TempDir(), "routes.yaml")
			writeFile(t, file, tt.before)
			w.write(providerBlock(file) + tt.configure("a"))
			w.must("apply", "-auto-approve")
			replaceIn(t, file, tt.edit[0], tt.edit[1])
			w.must("plan", "-destroy", "-out=saved")
			w.must("apply", "saved")
			if got := readFile(t, file); strings.Contains(got, tt.gone) {
				t.Errorf("the record is still in the file:\n%s", got)
			}
		})
	}
}

// A record that was changed by hand can get another for_each key, with and without
// moved. What was changed after the plan is still refused.
func TestAccNewKeyAfterDrift(t *testing.T) {
	for _, tt := range driftCases[:2] {
		for _, moved := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, moved %v", tt.name, moved), func(t *testing.T) {
				w := newWorkspace(t, "")
				file := filepath.Join(t.TempDir(), "routes.yaml")
				writeFile(t, file, tt.before)
				w.write(providerBlock(file) + tt.configure("a"))
				w.must("apply", "-auto-approve")
				replaceIn(t, file, tt.edit[0], tt.edit[1])
				config := providerBlock(file) + tt.configure("b")
				if kind := "tunnelform_" + tt.name; moved {
					config += fmt.Sprintf("moved {\n  from = %s.all[\"a\"]\n  to   = %[1]s.all[\"b\"]\n}\n", kind)
				}
				w.write(config)
				w.must("plan", "-out=saved")
				seen := readFile(t, file)
				replaceIn(t, file, tt.edit[1], strings.Replace(tt.edit[1], tt.edit[1][len(tt.edit[1])-1:], "9", 1))
				w.fails("was changed outside of Terraform since this plan was made", "apply", "saved")
				writeFile(t, file, seen)
				w.must("apply", "-auto-approve")
				got := readFile(t, file)
				if !strings.Contains(got, tt.edit[0]) || strings.Contains(got, tt.edit[1]) || strings.Contains(got, "  a: {match") {
					t.Errorf("the file holds\n%s\nwant the record by its new name, as configured", got)
				}
			})
		}
	}
}

// Names that appear and disappear by hand: before the plan they are in it, after it they
// are refused or no matter.
func TestAccExclusiveAfterDrift(t *testing.T) {
	stranger := func(name string) string {
		return fmt.Sprintf("  %s: {match: {path: /%[1]s}, to: \"internal://echo\"}\n", name)
	}
	exclusive := "resource \"tunnelform_routes_exclusive\" \"only\" {\n  routes = [tunnelform_route.a.name]\n}\n"
	w := newWorkspace(t, "")
	file := filepath.Join(w.dir, "routes.yaml")
	holds := func(want string) {
		t.Helper()
		if got := readFile(t, file); got != want {
			t.Errorf("the file holds\n%s\nwant\n%s", got, want)
		}
	}
	writeFile(t, file, noRoutes)
	w.write(providerBlock(file) + managed + exclusive)
	w.must("apply", "-auto-approve")
	holds(withManaged)

	writeFile(t, file, withManaged+stranger("s"))
	w.must("plan", "-out=saved")
	writeFile(t, file, withManaged+stranger("s")+stranger("t")) // t after the plan
	w.fails("Added since it was planned", "apply", "saved")
	holds(withManaged + stranger("s") + stranger("t"))
	w.must("apply", "-auto-approve")
	holds(withManaged)

	writeFile(t, file, withManaged+stranger("s"))
	w.must("plan", "-out=saved")
	writeFile(t, file, withManaged) // s is gone by itself
	w.must("apply", "saved")
	holds(withManaged)

	writeFile(t, file, withManaged+stranger("s"))
	w.write(providerBlock(file) + managed) // the list is removed with a stranger in the file
	w.must("apply", "-auto-approve")
	holds(withManaged + stranger("s"))
	w.write(providerBlock(file) + managed + exclusive)
	w.must("apply", "-auto-approve")
	holds(withManaged)
	writeFile(t, file, withManaged+stranger("s"))
	w.must("plan", "-destroy", "-out=saved")
	w.must("apply", "saved")
	holds("version: 1\nroutes:\n" + stranger("s"))
}
