package cli

import (
	"testing"

	"github.com/tunnelform/tunnelform/reload/store"
)

// A record's hash changes only with the record.
func TestServedRecords(t *testing.T) {
	var cache fileCache
	records := servedRecords{enabled: true}
	if all := records.hashes(); len(all.Files) != 0 {
		t.Errorf("before anything is served: %+v", all)
	}
	serve := func(generation uint64, texts map[string]string) map[string]string {
		var documents []store.Document
		for path, text := range texts {
			documents = append(documents, store.Document{Path: path, Data: []byte(text), Revision: store.RevisionOf([]byte(text))})
		}
		if _, err := cache.parse(t.Context(), documents); err != nil {
			t.Fatal(err)
		}
		records.set(generation, cache.now)
		cache.commit()
		all := records.hashes()
		if all.Generation != generation || len(all.Files) != len(texts) {
			t.Errorf("got generation %d with %d files, want %d with %d", all.Generation, len(all.Files), generation, len(texts))
		}
		hashes := map[string]string{}
		for _, f := range all.Files {
			for name, hash := range f.Routes {
				hashes[name] = hash
			}
			for name, hash := range f.Pools {
				hashes["pool "+name] = hash
			}
		}
		return hashes
	}
	const other = "version: 1\nroutes: {c: {match: {path: /c}, respond: {}}}\n"
	const pools = "pools: {p: {backends: {a: {url: ws://a.example}}}}\n"
	before := serve(1, map[string]string{
		"a.yaml": "version: 1\n" + pools + "routes:\n  a: {match: {path: /a}, respond: {}, timeouts: {idle: 60s}}\n  b: {match: {path: /b}, respond: {}}\n", "c.yaml": other,
	})
	after := serve(2, map[string]string{
		"a.yaml": "version: 1\n" + pools + "routes:\n  b: {match: {path: /B}, respond: {}} # changed\n\n  a:\n    timeouts: {idle: 1m}\n    match: {path: /a}\n    respond: {}\n", "c.yaml": other,
	})
	if len(before) != 4 {
		t.Errorf("hashes of %v, want those of a, b, c and pool p", before)
	}
	for name, same := range map[string]bool{"a": true, "b": false, "c": true, "pool p": true} {
		if before[name] == "" || (before[name] == after[name]) != same {
			t.Errorf("hash of %s: %q, then %q, want the same: %t", name, before[name], after[name], same)
		}
	}
}

// Without the admin API nothing is kept.
func TestServedRecordsWithoutAdmin(t *testing.T) {
	var cache fileCache
	var records servedRecords
	cache.parse(t.Context(), []store.Document{{Path: "a.yaml", Data: []byte("version: 1\nroutes: {a: {match: {path: /a}, respond: {}}}\n")}})
	if records.set(1, cache.now); len(records.files) != 0 {
		t.Errorf("%d files kept", len(records.files))
	}
}
