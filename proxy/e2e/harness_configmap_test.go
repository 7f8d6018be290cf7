package e2e

// A directory as Kubernetes mounts a ConfigMap: routes.yaml is a link into
// ..data, which is a link to a directory of one version of the files. A change
// makes a new such directory and renames a new ..data over the old one; nothing
// else moves.

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// configMap is one mounted ConfigMap with one file, routes.yaml.
type configMap struct {
	t       testing.TB
	dir     string
	version int
}

// mountConfigMap lays the ConfigMap out in dir.
func mountConfigMap(t testing.TB, dir, routes string) *configMap {
	t.Helper()
	m := &configMap{t: t, dir: dir}
	m.swap(routes)
	if err := os.Symlink(filepath.Join("..data", routesFile), m.file()); err != nil {
		t.Fatal(err)
	}
	return m
}

// file is the path that a proxy is given.
func (m *configMap) file() string { return filepath.Join(m.dir, routesFile) }

// swap is `kubectl apply` of new routes, as the kubelet carries it out: the old
// version's directory is removed last.
func (m *configMap) swap(routes string) {
	m.t.Helper()
	old := m.name()
	m.version++
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(m.dir, m.name()), 0o755))
	must(os.WriteFile(filepath.Join(m.dir, m.name(), routesFile), []byte(routes), 0o644))
	must(os.Symlink(m.name(), filepath.Join(m.dir, "..data_tmp")))
	must(os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, "..data")))
	must(os.RemoveAll(filepath.Join(m.dir, old)))
}

// name of the current version's directory.
func (m *configMap) name() string { return "..2026_11_22_" + strconv.Itoa(m.version) }
