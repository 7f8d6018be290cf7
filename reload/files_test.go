// The loop over real files: whatever is done to the routes file, the last good value
// stays, the mistake is reported once, and the next good file is published.
package reload_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/reload"
	"github.com/tunnelform/tunnelform/reload/store"
	"github.com/tunnelform/tunnelform/reload/store/filestore"
)

// patience is how long something may take that must happen.
const patience = time.Minute

// stage is a loop that follows one file, whose content is good when it ends with
// "end\n".
type stage struct {
	*testing.T
	path   string
	loop   *reload.Loop[string]
	events chan string
}

func build(_ context.Context, snap store.Snapshot, _ *string) (*string, []string, error) {
	data := snap.Documents[0].Data
	if !bytes.HasSuffix(data, []byte("end\n")) {
		return nil, nil, fmt.Errorf("%d bytes without an end", len(data))
	}
	content := string(bytes.TrimSuffix(data, []byte(" end\n")))
	return &content, nil, nil
}

func newStage(t *testing.T, o filestore.Options) *stage {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "d")
	s := &stage{T: t, path: filepath.Join(dir, "routes.yaml"), events: make(chan string, 1000)}
	s.must(os.Mkdir(dir, 0o755))
	s.write("start")
	source, err := filestore.NewSource([]string{s.path}, o)
	s.must(err)
	s.loop = reload.New(reload.Options[string]{
		Source:    source,
		Build:     build,
		Published: func(_, next *string, _ reload.Generation) { s.events <- "published " + *next },
		Refused:   func(r reload.Refusal) { s.events <- "refused " + r.Err.Error() },
		Restored:  func(reload.Generation, reload.Refusal) { s.events <- "restored" },
		Confirm:   5 * time.Millisecond,
		Retry:     -1, // or it would find what the watch has missed
	})
	s.must(s.loop.Start(t.Context()))
	s.expect("published start")
	s.run()
	return s
}

func (s *stage) run() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	ended := make(chan error)
	go func() { ended <- s.loop.Run(ctx) }()
	s.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			s.Errorf("Run ended with %v", err)
		}
	})
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// expect wants the next event, and no other, to have these words.
func (s *stage) expect(words string) {
	s.Helper()
	select {
	case got := <-s.events:
		if !strings.Contains(got, words) {
			s.Fatalf("event %q, want one with %q", got, words)
		}
	case <-time.After(patience):
		s.Fatalf("no event, want one with %q", words)
	}
}

// place makes something beside the file and renames it to the file. All changes are
// atomic, since what is between two steps may be seen or not.
func (s *stage) place(make func(path string) error) {
	s.Helper()
	s.must(make(s.path + "~"))
	s.must(os.Rename(s.path+"~", s.path))
}

func (s *stage) raw(data string) {
	s.Helper()
	s.place(func(path string) error { return os.WriteFile(path, []byte(data), 0o644) })
}

// write places a good file.
func (s *stage) write(content string) { s.Helper(); s.raw(content + " end\n") }

// bad is the ways to make the file bad, with a part of the error.
var bad = []struct {
	name  string
	spoil func(*stage)
	says  string
}{
	{"truncated", func(s *stage) { s.must(os.Truncate(s.path, 3)) }, "3 bytes without an end"},
	{"empty", func(s *stage) { s.must(os.Truncate(s.path, 0)) }, "0 bytes without an end"},
	{"NULs", func(s *stage) { s.raw("\x00\x00\x00\x00") }, "4 bytes without an end"},
	{"64 MiB", func(s *stage) { s.must(os.Truncate(s.path, 64<<20)) }, "is larger than the limit of 16777216 bytes"},
	{"removed", func(s *stage) { s.must(os.Remove(s.path)) }, "no such file or directory"},
	{"named pipe", func(s *stage) { s.place(func(p string) error { return syscall.Mkfifo(p, 0o644) }) }, "is a named pipe"},
	{"endless device", linkTo("/dev/zero"), "is a device"},
	{"link to nothing", linkTo("gone"), "leads nowhere"},
	{"link to itself", linkTo("routes.yaml"), "too many levels"},
	{"directory gone", func(s *stage) { s.must(os.Rename(filepath.Dir(s.path), filepath.Dir(s.path)+".old")) }, "no such file or directory"},
}

func linkTo(to string) func(*stage) {
	return func(s *stage) { s.place(func(p string) error { return os.Symlink(to, p) }) }
}

var watching = map[string]filestore.Options{
	"notified": {Settle: 10 * time.Millisecond, Poll: -1},
	"polled":   {Settle: 10 * time.Millisecond, Poll: 10 * time.Millisecond, NoNotify: true},
}

func TestBadFiles(t *testing.T) {
	for mode, opts := range watching {
		for _, test := range bad {
			t.Run(mode+"/"+test.name, func(t *testing.T) {
				s := newStage(t, opts)
				test.spoil(s)
				s.expect(test.says)
				if got := *s.loop.Cell().Load(); got != "start" {
					t.Errorf("serves %q, want the last good", got)
				}
				s.must(os.MkdirAll(filepath.Dir(s.path), 0o755))
				s.write("good again")
				s.expect("published good again") // and nothing before it: the mistake is told once
			})
		}
	}
}

func TestBackToLastGood(t *testing.T) {
	s := newStage(t, watching["notified"])
	s.must(os.Remove(s.path))
	s.expect("no such file")
	s.write("start")
	s.expect("restored")
	s.write("next")
	s.expect("published next")
}

// A file that is touched, or written again with the same content, is not published.
func TestSameContent(t *testing.T) {
	s := newStage(t, watching["notified"])
	s.write("start")
	s.write("start")
	s.must(os.Chtimes(s.path, time.Unix(1, 0), time.Unix(1, 0)))
	s.write("next")
	s.expect("published next")
	if n := s.loop.Status().Generation; n != 2 {
		t.Errorf("generation %d, want 2", n)
	}
}

// A writer waits until what it wrote is served or refused.
func TestWriteAndWait(t *testing.T) {
	s := newStage(t, watching["notified"])
	st, err := filestore.Open(s.path, filestore.Options{Settle: time.Millisecond})
	s.must(err)
	doc, err := st.Read(t.Context())
	s.must(err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for content, want := range map[string]reload.Outcome{"good end\n": reload.Served, "spoilt\n": reload.Rejected} {
		doc.Revision, err = st.Write(ctx, []byte(content), doc.Revision)
		s.must(err)
		if v, err := s.loop.Wait(ctx, doc.Revision); err != nil || v.Outcome != want {
			t.Errorf("%q: %v, %v, want %v", content, v.Outcome, err, want)
		}
	}
}
