package cli

// The running proxy's own API, and the file that says the same: what service
// tells of itself and how it judges a candidate.

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/internal/admin"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload"
	"github.com/tunnelform/tunnelform/reload/store"
)

// checkAdmin is for a command line with an address that could be none.
func checkAdmin(address string) error {
	if err := routefile.CheckAddress(address); err != nil {
		return usageErrorf("--admin %q: %w", address, err)
	}
	return nil
}

// startAdmin serves the admin API at "host:port" or "unix:/path" until the
// returned function is called.
func (s *service) startAdmin(address string) (stop func(), err error) {
	ln, err := proxy.Listen(address)
	if err != nil {
		return nil, fmt.Errorf("--admin %q: %w", address, err)
	}
	server := &http.Server{
		Handler:           admin.Handler(s, routefile.MaxBytes),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          proxy.DebugLog(s.log),
	}
	go serveAdmin(server, ln)
	s.log.Info("admin listening", "address", ln.Addr().String())
	return func() { _ = server.Close() }, nil
}

// serveAdmin is the admin listener's goroutine.
func serveAdmin(server *http.Server, ln net.Listener) { _ = server.Serve(ln) } // until Close

// Status implements admin.Proxy.
func (s *service) Status() statusapi.Status {
	now := s.loop.Status()
	open, draining := s.server.Tunnels()
	status := statusapi.Status{
		Version:    versionText(),
		StartedAt:  s.started,
		Ready:      s.server.Ready(),
		Generation: now.Generation,
		Revision:   now.Revision,
		LoadedAt:   now.LoadedAt,
		Listeners:  s.server.Addresses(),
		Tunnels: statusapi.Tunnels{
			Open: open, Draining: draining, Moving: s.server.Moving(), Redialled: s.server.Redialled(),
		},
	}
	if table := s.loop.Cell().Load(); table != nil {
		status.Routes = table.Routes()
	}
	for _, d := range now.Documents {
		status.Files = append(status.Files, statusapi.File{Path: d.Path, Revision: d.Revision})
	}
	if now.LastError != nil {
		status.Refused = refusedStatus(now)
	}
	return status
}

func refusedStatus(now reload.Status) *statusapi.Refused {
	refused := &statusapi.Refused{
		Revision: now.RefusedRevision,
		At:       now.RefusedAt,
		Mistakes: mistakesOf(now.LastError),
	}
	for _, d := range now.RefusedDocuments {
		refused.Files = append(refused.Files, statusapi.File{Path: d.Path, Revision: d.Revision})
	}
	return refused
}

// Wait implements admin.Proxy.
func (s *service) Wait(ctx context.Context, revision string) (statusapi.Outcome, error) {
	verdict, err := s.loop.Wait(ctx, revision)
	if err != nil {
		return "", err
	}
	switch verdict.Outcome {
	case reload.Served:
		return statusapi.Served, nil
	case reload.Rejected:
		return statusapi.Rejected, nil
	}
	return statusapi.Superseded, nil
}

// Check implements admin.Proxy: the candidate takes the place of one file of the
// set as it stands on disk now, and the set is judged as a reload would judge
// it, but for the binding of its addresses, which are only tried.
func (s *service) Check(ctx context.Context, file string, data []byte) (statusapi.CheckResult, error) {
	leave, err := s.turns.check(ctx)
	if err != nil {
		return statusapi.CheckResult{}, err
	}
	defer leave()
	snapshot, err := s.source.Read(ctx)
	if err != nil {
		return statusapi.CheckResult{}, err
	}
	documents, err := replaceDocument(snapshot.Documents, file, data)
	if err != nil {
		return statusapi.CheckResult{}, err
	}
	result := statusapi.CheckResult{Revision: store.RevisionOf(data), Mistakes: []statusapi.Mistake{}}
	if err := s.tryBuild(ctx, documents); err != nil {
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
			return nil, fmt.Errorf("%d routes files are served: say which with ?file=PATH", len(documents))
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
	return nil, fmt.Errorf("file %q is not among those that are served", file)
}

// samePath compares by name first and then by what is there: the asker may know
// the file by another path.
func samePath(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// tryBuild is build without its effects.
func (s *service) tryBuild(ctx context.Context, documents []store.Document) error {
	files, errs, err := judge(ctx, documents, false)
	if err != nil {
		return err
	}
	if len(errs) == 0 {
		errs = s.files.vanished(files)
	}
	if len(errs) > 0 {
		return errs
	}
	set := routefile.NewSet(files...)
	table, err := proxy.BuildContext(ctx, set, s.loop.Cell().Load())
	if err != nil {
		return err
	}
	return s.server.TryBind(table, set)
}

// statusFile keeps the status in a file: for sidecars whose admin port nobody
// reaches. An empty path keeps none.
type statusFile string

// write replaces the file in one step, so that a reader never sees half of it.
func (path statusFile) write(status statusapi.Status) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(status, "", "  ")
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(string(path)), "."+filepath.Base(string(path))+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // gone already when all went well
	_, err = temp.Write(append(data, '\n'))
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(temp.Name(), 0o644) // others read it: that is what it is for
	}
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), string(path))
}

// noteStatus writes the status file after each change. By one goroutine at a time:
// the reload loop's, then the one that stops.
func (s *service) noteStatus() {
	if err := s.statusFile.write(s.Status()); err != nil {
		s.log.Error("cannot write the status file", "file", string(s.statusFile), "error", err)
	}
}

// adminClient speaks to a proxy's admin API at "host:port" or "unix:/path".
func adminClient(address string) (client *http.Client, base string) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return &http.Client{}, "http://" + address
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}, "http://localhost"
}
