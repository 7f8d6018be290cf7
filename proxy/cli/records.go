package cli

// What is served, record by record: for those who own one record of a file and
// want to know whether the proxy has taken theirs.

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// recordBook knows the files that are served. Safe for concurrent use. Hashes
// are made when somebody asks, and kept for as long as their file is served.
type recordBook struct {
	mu         sync.Mutex
	generation uint64
	files      []parsed
	hashed     map[*routefile.File]statusapi.FileRecords
}

// serve notes what is served from now on.
func (b *recordBook) serve(generation uint64, files map[string]parsed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.generation = generation
	b.files = slices.SortedFunc(maps.Values(files), func(x, y parsed) int {
		return cmp.Compare(x.document.Path, y.document.Path)
	})
	kept := map[*routefile.File]statusapi.FileRecords{}
	for _, p := range b.files {
		if known, ok := b.hashed[p.file]; ok {
			kept[p.file] = known
		}
	}
	b.hashed = kept
}

// list gives every record's hash. The maps are shared: they are not to be changed.
func (b *recordBook) list() statusapi.Records {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := statusapi.Records{Generation: b.generation, Files: []statusapi.FileRecords{}}
	for _, p := range b.files {
		known, ok := b.hashed[p.file]
		if !ok {
			known = hashesOf(p)
			b.hashed[p.file] = known
		}
		all.Files = append(all.Files, known)
	}
	return all
}

func hashesOf(p parsed) statusapi.FileRecords {
	all := statusapi.FileRecords{
		Path: p.document.Path, Revision: p.document.Revision,
		Routes: make(map[string]string, len(p.file.Routes)), Pools: make(map[string]string, len(p.file.Pools)),
	}
	for name := range p.file.Routes {
		all.Routes[name] = p.file.Fingerprint(routefile.InRoutes, name)
	}
	for name := range p.file.Pools {
		all.Pools[name] = p.file.Fingerprint(routefile.InPools, name)
	}
	return all
}

// Records implements admin.Proxy.
func (s *service) Records() statusapi.Records { return s.records.list() }
