package provider

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload/store"
)

// respond is a route for a path.
func respond(path string) routefile.Plain {
	return routefile.Plain{"match": routefile.Plain{"path": path}, "respond": routefile.Plain{"status": int64(204)}}
}

func creation(name, path string) change {
	return change{id: recordID{routefile.InRoutes, name}, desired: respond(path)}
}

// applyAll applies changes at once and returns their errors.
func applyAll(t *testing.T, s *session, changes ...change) []error {
	t.Helper()
	errs := make([]error, len(changes))
	var wg sync.WaitGroup
	for i, wanted := range changes {
		wg.Go(func() { errs[i] = s.writer.apply(t.Context(), wanted) })
	}
	wg.Wait()
	return errs
}

// countingStore counts the writes to a store, and may do something before each.
type countingStore struct {
	store.Store
	before func(n int)

	mu     sync.Mutex
	writes int
}

func (store *countingStore) Write(ctx context.Context, data []byte, prev string) (string, error) {
	store.mu.Lock()
	store.writes++
	n := store.writes
	store.mu.Unlock()
	if store.before != nil {
		store.before(n)
	}
	return store.Store.Write(ctx, data, prev)
}

func counting(s *session) *countingStore {
	store := &countingStore{Store: s.store}
	s.store = store
	return store
}

func TestGroupIsOneWrite(t *testing.T) {
	s := newTestSession(t, noRoutes)
	writes := counting(s)
	var changes []change
	for i := range 100 {
		changes = append(changes, creation(fmt.Sprintf("r%d", i), fmt.Sprintf("/%d", i)))
	}
	for _, err := range applyAll(t, s, changes...) {
		if err != nil {
			t.Error(err)
		}
	}
	if writes.writes > 5 { // one, if the machine lets all of them start within the window
		t.Errorf("%d writes for 100 changes that were made at once", writes.writes)
	}
	if got := strings.Count(readFile(t, s.file), "path: /"); got != 100 {
		t.Errorf("%d routes in the file, want 100", got)
	}
}

// Only the changes that the validator names fail; if it names others, halves find them.
func TestOffendersFailAlone(t *testing.T) {
	const before = "version: 1\nroutes:\n  zz: {match: {path: /taken}, respond: {}}\n"
	s := newTestSession(t, before)
	changes := []change{
		creation("a", "/a"), creation("b", "/taken"), creation("c", "/c"), creation("d", "/d"), creation("e", "/taken2"),
		{id: recordID{routefile.InRoutes, "f"}, desired: routefile.Plain{"match": routefile.Plain{"path": "/f"}, "to": "pool://none"}},
	}
	errs := applyAll(t, s, changes...)
	for i, want := range []string{"", `route "zz"`, "", "", "", `unknown pool "none"`} {
		if got := errorText(errs[i]); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: error %q, want one with %q", changes[i].id, got, want)
		}
	}
	f, errs2 := routefile.Parse("-", []byte(readFile(t, s.file)))
	if len(errs2) > 0 || len(f.Routes) != 5 || f.Routes["b"] != nil || f.Routes["f"] != nil {
		t.Errorf("the file holds %d routes (%v), want zz, a, c, d, e", len(f.Routes), errs2)
	}
}

// A change whose record was changed outside of Terraform is refused with the
// difference; other records are kept.
func TestChangedByHand(t *testing.T) {
	const before = "version: 1\nroutes:\n  a: {match: {path: /a}, respond: {status: 204}}\n  b: {match: {path: /b}, respond: {status: 204}}\n"
	for _, tt := range []struct {
		name, hand string
		change     change
		want       string
	}{
		{"ours", "a: {match: {path: /a}, respond: {status: 201}}",
			change{id: recordID{routefile.InRoutes, "a"}, priorName: "a", prior: respond("/a"), desired: respond("/new")}, "+  respond: {status: 201}"},
		{"ours, to go", "a: {match: {path: /a}, respond: {status: 201}}",
			change{id: recordID{routefile.InRoutes, "a"}, priorName: "a", prior: respond("/a")}, "-  respond: {status: 204}"},
		{"another", "a: {match: {path: /a}, respond: {status: 201}}",
			change{id: recordID{routefile.InRoutes, "b"}, priorName: "b", prior: respond("/b"), desired: respond("/new")}, ""},
		{"as wanted", "a: {match: {path: /new}, respond: {status: 204}}",
			change{id: recordID{routefile.InRoutes, "a"}, priorName: "a", prior: respond("/a"), desired: respond("/new")}, ""},
		{"gone, to go", "c: {match: {path: /c}, respond: {status: 204}}",
			change{id: recordID{routefile.InRoutes, "a"}, priorName: "a", prior: respond("/a")}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestSession(t, before)
			edited := strings.Replace(before, "a: {match: {path: /a}, respond: {status: 204}}", tt.hand, 1)
			counting(s).before = func(n int) {
				if n == 1 { // the moment before the first write
					writeFile(t, s.file, edited)
				}
			}
			err := s.writer.apply(t.Context(), tt.change)
			if got := errorText(err); (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("error %q, want one with %q", got, tt.want)
			}
			got := readFile(t, s.file)
			if !strings.Contains(got, tt.hand) && tt.name != "gone, to go" {
				t.Errorf("the hand's edit is lost:\n%s", got)
			}
			if tt.want != "" && got != edited {
				t.Errorf("the file holds\n%s\nwant the hand's", got)
			}
		})
	}
}

// If a proxy rejects the file before it is written, it is not; only the records that
// the proxy names fail.
func TestProxyChecksFirst(t *testing.T) {
	p := newFakeProxy(t)
	p.check = func(data []byte) statusapi.CheckResult {
		if strings.Contains(string(data), "/bad") {
			return statusapi.CheckResult{Mistakes: []statusapi.Mistake{{File: "r", Line: 1, Column: 2, Key: "routes.bad.match", Text: `route "bad": no such certificate`}}}
		}
		return statusapi.CheckResult{OK: true}
	}
	s := newTestSession(t, noRoutes, withAdmin(p.address))
	errs := applyAll(t, s, creation("good", "/good"), creation("bad", "/bad"))
	if errs[0] != nil || !strings.Contains(errorText(errs[1]), "no such certificate") {
		t.Errorf("errors %v, want one for the bad alone", errs)
	}
	if got := readFile(t, s.file); strings.Contains(got, "bad") || !strings.Contains(got, "good") {
		t.Errorf("the file holds\n%s", got)
	}
}

// What a proxy rejects after the write is taken back; those that it does not
// name are written again without the others.
func TestRejectionIsTakenBack(t *testing.T) {
	const before = "# by hand\nversion: 1\nroutes:   {}\n"
	var file string
	p := newFakeProxy(t)
	p.outcome = func(_ context.Context, revision string) statusapi.Status {
		data, _ := os.ReadFile(file)
		if strings.Contains(string(data), "/bad") {
			return rejects(statusapi.Mistake{File: "r", Line: 4, Column: 2, Key: "routes.bad.match", Text: `route "bad": port in use`})(nil, revision)
		}
		return statusapi.Status{Revision: revision, Outcome: statusapi.Served}
	}
	s := newTestSession(t, before, withAdmin(p.address))
	file = s.file
	errs := applyAll(t, s, creation("bad", "/bad"))
	if !strings.Contains(errorText(errs[0]), `r:4:2: route "bad": port in use`) || readFile(t, file) != before {
		t.Errorf("error %v, the file holds %q; want the proxy's words and the old file", errs[0], readFile(t, file))
	}
	errs = applyAll(t, s, creation("good", "/good"), creation("bad", "/bad"))
	if errs[0] != nil || errs[1] == nil {
		t.Errorf("errors %v, want one for the bad alone", errs)
	}
	if got := readFile(t, file); strings.Contains(got, "bad") || !strings.Contains(got, "good") {
		t.Errorf("the file holds\n%s", got)
	}
}

// What others write while a rejection is under way stays.
func TestRejectionKeepsOthersEdits(t *testing.T) {
	const before = "version: 1\nroutes:\n  a: {match: {path: /a}, respond: {status: 204}}\n"
	var s *session
	p := newFakeProxy(t)
	p.outcome = func(_ context.Context, revision string) statusapi.Status {
		replaceIn(t, s.file, "version: 1\n", "version: 1\n# a remark by hand\n")
		return rejects(statusapi.Mistake{Text: "no"})(nil, revision)
	}
	s = newTestSession(t, before, withAdmin(p.address))
	errs := applyAll(t, s,
		change{id: recordID{routefile.InRoutes, "renamed"}, priorName: "a", prior: respond("/a"), desired: respond("/changed")},
		creation("new", "/new"))
	if errs[0] == nil || errs[1] == nil {
		t.Errorf("errors %v, want the rejection for both", errs)
	}
	want := strings.Replace(before, "version: 1\n", "version: 1\n# a remark by hand\n", 1)
	got, _ := routefile.Parse("-", []byte(readFile(t, s.file)))
	wanted, _ := routefile.Parse("-", []byte(want))
	if !strings.Contains(readFile(t, s.file), "# a remark by hand") || len(got.Routes) != 1 ||
		got.Fingerprint(routefile.InRoutes, "a") != wanted.Fingerprint(routefile.InRoutes, "a") {
		t.Errorf("the file holds\n%s\nwant\n%s", readFile(t, s.file), want)
	}
}

// No proxy served it in time: a new record is removed again, a changed one stays as
// planned, a deleted one stays deleted.
func TestNotServedInTime(t *testing.T) {
	const before = "version: 1\nroutes:\n  a: {match: {path: /a}, respond: {status: 204}}\n  b: {match: {path: /b}, respond: {status: 204}}\n"
	p := newFakeProxy(t)
	p.outcome = pending
	s := newTestSession(t, before, withAdmin(p.address), withWait("100ms", "all"))
	errs := applyAll(t, s,
		creation("new", "/new"),
		change{id: recordID{routefile.InRoutes, "a"}, priorName: "a", prior: respond("/a"), desired: respond("/changed")},
		change{id: recordID{routefile.InRoutes, "b"}, priorName: "b", prior: respond("/b")})
	for i, want := range []string{`route "new" was removed from the routes file again`, `route "a" stays in the routes file as planned`, `route "b" was removed from the routes file`} {
		if got := errorText(errs[i]); !strings.Contains(got, want) {
			t.Errorf("error %q, want one with %q", got, want)
		}
	}
	want := "version: 1\nroutes:\n  a: {match: {path: /changed}, respond: {status: 204}}\n"
	if got := readFile(t, s.file); got != want {
		t.Errorf("the file holds\n%s\nwant\n%s", got, want)
	}
}

// A name that is taken is waited for, and so is a pool that is not there yet.
func TestConflictsResolve(t *testing.T) {
	const before = "version: 1\nroutes:\n  old: {match: {path: /a}, respond: {status: 204}}\n"
	s := newTestSession(t, before)
	s.clashWait = time.Minute
	target := routefile.Plain{"match": routefile.Plain{"path": "/p"}, "to": "pool://late"}
	errs := make(chan error, 3)
	go func() { errs <- s.writer.apply(t.Context(), creation("old", "/b")) }()
	go func() {
		errs <- s.writer.apply(t.Context(), change{id: recordID{routefile.InRoutes, "r"}, desired: target})
	}()
	for _, err := range applyAll(t, s,
		change{id: recordID{routefile.InRoutes, "old"}, priorName: "old", prior: respond("/a")},
		change{id: recordID{routefile.InPools, "late"}, desired: routefile.Plain{"backends": routefile.Plain{"a": routefile.Plain{"url": "ws://a.example"}}}}) {
		if err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	f, _ := routefile.Parse("-", []byte(readFile(t, s.file)))
	if len(f.Routes) != 2 || f.Routes["old"].Match.Path != "/b" || f.Pools["late"] == nil {
		t.Errorf("the file holds\n%s", readFile(t, s.file))
	}
}

// A layout that cannot be edited in place is refused with the place, or reformatted.
func TestLayoutRefused(t *testing.T) {
	const braces = "{version: 1, routes: {a: {match: {path: /a}, respond: {status: 204}}}}\n"
	s := newTestSession(t, braces)
	err := s.writer.apply(t.Context(), creation("b", "/b"))
	if got := errorText(err); !strings.Contains(got, s.file+":1:1: the whole file is written in braces") {
		t.Errorf("error %q, want the place", got)
	}
	s.editor.Reformat = true
	if err := s.writer.apply(t.Context(), creation("b", "/b")); err != nil {
		t.Error(err)
	}
	if got := readFile(t, s.file); !strings.Contains(got, "\n  b:") || !strings.Contains(got, "\n  a:") {
		t.Errorf("the file holds\n%s", got)
	}
}

// Pools of the files beside it count.
func TestContextFiles(t *testing.T) {
	s := newTestSession(t, noRoutes)
	beside := filepath.Join(filepath.Dir(s.file), "pools.yaml")
	writeFile(t, beside, "version: 1\npools: {p: {backends: {a: {url: ws://a.example}}}}\n")
	wanted := change{id: recordID{routefile.InRoutes, "r"}, desired: routefile.Plain{"match": routefile.Plain{"path": "/r"}, "to": "pool://p"}}
	if err := s.writer.apply(t.Context(), wanted); err == nil {
		t.Error("no error without the file that has the pool")
	}
	s.contextFiles = []string{beside}
	if err := s.writer.apply(t.Context(), wanted); err != nil {
		t.Error(err)
	}
	s.contextFiles = []string{beside + ".missing"}
	if err := s.writer.apply(t.Context(), creation("x", "/x")); !strings.Contains(errorText(err), "pools.yaml.missing") {
		t.Errorf("error %v, want one that names the missing file", err)
	}
}

// A file that cannot be written says so, and nothing is lost.
func TestCannotWrite(t *testing.T) {
	s := newTestSession(t, noRoutes)
	store := counting(s)
	failing := errors.New("no room")
	s.store = failingStore{store, failing}
	err := s.writer.apply(t.Context(), creation("a", "/a"))
	if got := errorText(err); !strings.Contains(got, "Cannot write the routes file") || !strings.Contains(got, "no room") {
		t.Errorf("error %q", got)
	}
}

type failingStore struct {
	store.Store
	err error
}

func (s failingStore) Write(context.Context, []byte, string) (string, error) { return "", s.err }

// After a timeout nothing more is written in the run: one timeout is waited for, not
// one for each group.
func TestOneTimeoutForARun(t *testing.T) {
	p := newFakeProxy(t)
	p.outcome = pending
	s := newTestSession(t, noRoutes, withAdmin(p.address, deadAddress(t)), withWait("100ms", "all"))
	writes := counting(s)
	if err := s.writer.apply(t.Context(), creation("first", "/first")); !strings.Contains(errorText(err), "Not served in time") {
		t.Fatalf("error %v, want that the first is not served", err)
	}
	before := writes.writes
	p.answers(nil)
	for i := range 40 {
		if err := s.writer.apply(t.Context(), creation(fmt.Sprintf("r%d", i), fmt.Sprintf("/%d", i))); !strings.Contains(errorText(err), "so this one was not written") {
			t.Fatalf("error %v, want that nothing was written", err)
		}
	}
	if got := readFile(t, s.file); writes.writes != before || got != noRoutes {
		t.Errorf("%d writes after the timeout, want none; the file holds\n%s", writes.writes-before, got)
	}
}

// A proxy that does not answer costs no time where others are enough.
func TestSilentProxyIsNotWaitedFor(t *testing.T) {
	p := newFakeProxy(t)
	s := newTestSession(t, noRoutes, withAdmin(p.address, deadAddress(t)), withWait("1h", "any"))
	if _, err := s.proxies.queryRecords(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting := map[*proxy]bool{s.proxies.proxies[1]: true}
	if !allSilent(waiting) {
		t.Error("a proxy without a listener counts as one that answers")
	}
	waiting[s.proxies.proxies[0]] = true
	if allSilent(waiting) {
		t.Error("a proxy that answers counts as silent")
	}
	if err := s.writer.apply(t.Context(), creation("a", "/a")); err != nil {
		t.Error(err)
	}
}

// A record that is in the file as planned is not created again, and not taken out
// when it is not served in time.
func TestTakeOver(t *testing.T) {
	const before = "version: 1\nroutes:\n  a: {match: {path: \"/a\"}, respond: {status: 204}} # before a crash\n"
	p := newFakeProxy(t)
	p.outcome = pending
	s := newTestSession(t, before, withAdmin(p.address), withWait("100ms", "all"))
	if _, err := s.writer.applyOrTakeOver(t.Context(), creation("a", "/a")); !strings.Contains(errorText(err), "Not served in time") {
		t.Errorf("error %v, want that it is not served", err)
	}
	s = sessionOver(t, s.file)
	if takenOver, err := s.writer.applyOrTakeOver(t.Context(), creation("a", "/a")); !takenOver || err != nil {
		t.Errorf("taken over %t, error %v", takenOver, err)
	}
	if _, err := s.writer.applyOrTakeOver(t.Context(), creation("a", "/b")); !strings.Contains(errorText(err), "import {") {
		t.Errorf("error %v, want the import block", err)
	}
	if got := readFile(t, s.file); got != before {
		t.Errorf("the file holds\n%s\nwant\n%s", got, before)
	}
}
