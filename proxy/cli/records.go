package cli

// What is served, record by record: for those who own one record of a file and
// want to know whether the proxy has taken theirs.

import (
	"maps"
	"slices"
	"sync"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload/store"
)

// recordBook knows the files that are served. Safe for concurrent use. Hashes
// are made when somebody asks; until then a file's bytes are kept, which are a
// small part of what its records take.
type recordBook struct {
	wanted bool // somebody may ask; set before the first file is served

	mu         sync.Mutex
	generation uint64
	files      []recordsOf
}

// recordsOf is one file's page.
type recordsOf struct {
	document store.Document // without Data once it is hashed
	hashes   statusapi.FileRecords
	hashed   bool
}

// serve notes what is served from now on.
func (b *recordBook) serve(generation uint64, files map[string]parsed) {
	if !b.wanted {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	known := map[string]recordsOf{}
	for _, page := range b.files {
		known[page.document.Path] = page
	}
	b.generation, b.files = generation, nil
	for _, path := range slices.Sorted(maps.Keys(files)) {
		page := known[path]
		if document := files[path].document; page.document.Revision != document.Revision {
			page = recordsOf{document: document}
		}
		b.files = append(b.files, page)
	}
}

// list gives every record's hash. The maps are shared: they are not to be changed.
func (b *recordBook) list() statusapi.Records {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := statusapi.Records{Generation: b.generation, Files: []statusapi.FileRecords{}}
	for i := range b.files {
		page := &b.files[i]
		if !page.hashed {
			page.hashes, page.hashed = hashesOf(page.document), true
			page.document.Data = nil
		}
		all.Files = append(all.Files, page.hashes)
	}
	return all
}

func hashesOf(d store.Document) statusapi.FileRecords {
	f, _ := routefile.Parse(d.Path, d.Data)
	all := statusapi.FileRecords{
		Path: d.Path, Revision: d.Revision,
		Routes: make(map[string]string, len(f.Routes)), Pools: make(map[string]string, len(f.Pools)),
	}
	for name := range f.Routes {
		all.Routes[name] = f.Fingerprint(routefile.InRoutes, name)
	}
	for name := range f.Pools {
		all.Pools[name] = f.Fingerprint(routefile.InPools, name)
	}
	return all
}

// Records implements admin.Proxy.
func (s *service) Records() statusapi.Records { return s.records.list() }
