package cli

// The hashes of the records that are served, for tools that own one record of a file and
// ask whether the proxy serves theirs.

import (
	"maps"
	"slices"
	"sync"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload/store"
)

// servedRecords makes the hashes when they are asked for; until then it keeps a file's
// bytes, which are a small part of what its records take. Safe for concurrent use.
type servedRecords struct {
	enabled bool // set before the first file is served

	mu         sync.Mutex // guards what follows
	generation uint64
	files      []servedFile
}

type servedFile struct {
	document store.Document // without Data once it is hashed
	records  statusapi.FileRecords
	hashed   bool
}

// set replaces the files.
func (r *servedRecords) set(generation uint64, files map[string]parsed) {
	if !r.enabled {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := map[string]servedFile{}
	for _, f := range r.files {
		before[f.document.Path] = f
	}
	r.generation, r.files = generation, nil
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f := before[path]
		if document := files[path].document; f.document.Revision != document.Revision {
			f = servedFile{document: document}
		}
		r.files = append(r.files, f)
	}
}

// hashes returns every record's hash. The maps must not be changed.
func (r *servedRecords) hashes() statusapi.Records {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := statusapi.Records{Generation: r.generation, Files: []statusapi.FileRecords{}}
	for i := range r.files {
		f := &r.files[i]
		if !f.hashed {
			f.records, f.hashed = hashRecords(f.document), true
			f.document.Data = nil
		}
		all.Files = append(all.Files, f.records)
	}
	return all
}

func hashRecords(d store.Document) statusapi.FileRecords {
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
func (s *service) Records() statusapi.Records { return s.records.hashes() }
