package cli

// How the admin API checks a candidate: new content for one of the files that are served.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/internal/heap"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload/store"
)

// Check implements admin.Proxy. It checks the set that is on disk now, with the candidate
// in place of one file, as a reload does; addresses are tried and not kept.
func (s *service) Check(ctx context.Context, file string, data []byte) (statusapi.CheckResult, error) {
	unlock, err := s.building.forCheck(ctx)
	if err != nil {
		return statusapi.CheckResult{}, err
	}
	defer unlock()
	snapshot, err := s.source.Read(ctx)
	if err != nil {
		return statusapi.CheckResult{}, err
	}
	documents, err := replaceDocument(snapshot.Documents, file, data)
	if err != nil {
		return statusapi.CheckResult{}, err
	}
	result := statusapi.CheckResult{Revision: store.RevisionOf(data), Mistakes: []statusapi.Mistake{}}
	if result.Impact, err = s.tryBuild(ctx, documents); err != nil {
		if ctx.Err() != nil {
			return statusapi.CheckResult{}, context.Cause(ctx)
		}
		result.Mistakes = mistakesOf(err)
	}
	result.OK = len(result.Mistakes) == 0
	return result, nil
}

func replaceDocument(documents []store.Document, file string, data []byte) ([]store.Document, error) {
	candidate := store.Document{Path: file, Data: data, Revision: store.RevisionOf(data)}
	if file == "" {
		if len(documents) != 1 {
			return nil, fmt.Errorf("%d routes files are served: want ?file=PATH", len(documents))
		}
		candidate.Path = documents[0].Path
		return []store.Document{candidate}, nil
	}
	for i, d := range documents {
		if samePath(d.Path, file) {
			candidate.Path = d.Path
			documents[i] = candidate
			return documents, nil
		}
	}
	return nil, fmt.Errorf("file %q is not served", file)
}

// samePath compares the names and then the files: a client may know the file by another
// path.
func samePath(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// tryBuild is build without effects on the proxy. It returns what adopting the result would
// do.
func (s *service) tryBuild(ctx context.Context, documents []store.Document) (*statusapi.Impact, error) {
	defer heap.Loading(sizeOf(documents))()
	files, errs, err := checkDocuments(ctx, documents, false)
	if err != nil {
		return nil, err
	}
	if len(errs) == 0 {
		errs = s.files.vanished(files)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	set, err := routefile.NewSetContext(ctx, files...)
	if err != nil {
		return nil, err
	}
	for { // again, if other routes are served by the time that the result is there
		served := s.loop.Cell().Load()
		table, err := proxy.BuildContext(ctx, set, served)
		if err != nil {
			return nil, err
		}
		if err := s.server.TryBind(table, set); err != nil {
			return nil, err
		}
		changes, tunnels, ok := s.server.Impact(served, table)
		if !ok {
			continue
		}
		return impactOf(changes, tunnels), nil
	}
}
