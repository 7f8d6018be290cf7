// The loop in faked time, with a variable as its source.
package reload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tunnelform/tunnelform/reload/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a source of one document, with extra files.
type memory struct {
	mu       sync.Mutex // guards what follows
	data     string
	err      error // what Read returns instead
	files    map[string]string
	also     []string
	reads    int
	watchErr error
	wake     chan struct{}
}

func newMemory(data string) *memory {
	return &memory{data: data, files: map[string]string{}, wake: make(chan struct{}, 1)}
}

func (m *memory) Read(context.Context) (store.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.err != nil {
		return store.Snapshot{}, m.err
	}
	snap := store.Snapshot{Revision: store.RevisionOf([]byte(m.data))}
	snap.Documents = []store.Document{{Path: "routes.yaml", Data: []byte(m.data), Revision: snap.Revision}}
	for _, p := range m.also {
		snap.Inputs += p + "=" + m.files[p] + " "
	}
	return snap, nil
}

func (m *memory) Also(paths []string) { m.change(func() { m.also = paths }) }

func (m *memory) Watch(ctx context.Context) (<-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wake, m.watchErr
}

func (m *memory) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// set changes the document and wakes.
func (m *memory) set(data string) {
	m.change(func() { m.data, m.err = data, nil })
	signal(m.wake)
}

func (m *memory) fail(text string) {
	m.change(func() { m.err = errors.New(text) })
	signal(m.wake)
}

// built is what the Build of the tests returns: for "bad..." an error, for "panic" a panic.
// Each word after "uses" is an input.
type built struct {
	content string
	inputs  string // what the inputs held when it was built
}

// scene is a loop under test, with its events.
type scene struct {
	*testing.T
	source *memory
	loop   *Loop[built]
	cancel context.CancelFunc
	ended  chan error
	begun  time.Time

	mu     sync.Mutex // guards what follows
	events []string
	count  int // of calls to Build
}

func newScene(t *testing.T, content string, adjust ...func(*Options[built])) *scene {
	s := &scene{T: t, source: newMemory(content), ended: make(chan error, 1), begun: time.Now()}
	o := Options[built]{
		Source:    s.source,
		Build:     s.build,
		Published: func(old, next *built, g Generation) { s.note("published %d %q", g.Number, next.content) },
		Refused:   func(r Refusal) { s.note("refused %v", r.Err) },
		Restored:  func(g Generation, r Refusal) { s.note("restored %d after %v", g.Number, r.Err) },
		Unchanged: func(g Generation) { s.note("unchanged %d", g.Number) },
	}
	for _, f := range adjust {
		f(&o)
	}
	s.loop = New(o)
	return s
}

func (s *scene) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, fmt.Sprintf(format, args...))
}

// noted returns the events since the last call.
func (s *scene) noted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

func (s *scene) builds() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

func (s *scene) build(_ context.Context, snap store.Snapshot, prev *built) (*built, []string, error) {
	s.mu.Lock()
	s.count++
	s.mu.Unlock()
	content := string(snap.Documents[0].Data)
	var inputs []string
	if _, list, ok := strings.Cut(content, "uses "); ok {
		inputs = strings.Fields(list)
	}
	switch {
	case content == "panic":
		panic("at the disco")
	case content == "nil":
		return nil, nil, nil
	case strings.HasPrefix(content, "bad"):
		return nil, inputs, errors.New(content)
	}
	var held []string
	for _, p := range inputs {
		s.source.change(func() { held = append(held, s.source.files[p]) })
		if held[len(held)-1] == "" {
			return nil, inputs, fmt.Errorf("%s is missing", p)
		}
	}
	return &built{content, strings.Join(held, " ")}, inputs, nil
}

// run starts Run. stop ends it.
func (s *scene) run() {
	ctx, cancel := context.WithCancel(s.Context())
	s.cancel = cancel
	go func() { s.ended <- s.loop.Run(ctx) }()
	synctest.Wait()
}

func (s *scene) stop() {
	s.cancel()
	if err := <-s.ended; !errors.Is(err, context.Canceled) {
		s.Errorf("Run ended with %v, want %v", err, context.Canceled)
	}
}

// after lets time pass, and wants these events.
func (s *scene) after(d time.Duration, want ...string) {
	s.Helper()
	time.Sleep(d) // faked
	synctest.Wait()
	if got := s.noted(); !slices.Equal(got, want) {
		s.Errorf("after %v:\n got %q\nwant %q", time.Since(s.begun), got, want)
	}
}

func (s *scene) serves(want string) {
	s.Helper()
	if v := s.loop.Cell().Load(); v == nil || v.content != want {
		s.Errorf("serves %+v, want %q", v, want)
	}
}

// started is a scene whose loop runs and serves content.
func started(t *testing.T, content string, adjust ...func(*Options[built])) *scene {
	t.Helper()
	s := newScene(t, content, adjust...)
	if err := s.loop.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.run()
	s.after(0, fmt.Sprintf("published 1 %q", content))
	return s
}

const soon = time.Second // longer than Confirm, shorter than Retry

// scripts are run against a loop that serves "one".
var scripts = map[string]func(*scene){
	"good, good": func(s *scene) {
		s.source.set("two")
		s.after(0, `published 2 "two"`)
		s.source.set("three")
		s.after(0, `published 3 "three"`)
		s.serves("three")
	},
	"unchanged is not built": func(s *scene) {
		builds := s.builds()
		s.source.set("one")
		s.after(soon)
		if s.builds() != builds {
			s.Errorf("built %d times more, want none", s.builds()-builds)
		}
	},
	"bad keeps the last good": func(s *scene) {
		s.source.set("bad line 1")
		s.after(soon, "refused bad line 1")
		s.serves("one")
		st := s.loop.Status()
		if st.Generation != 1 || st.LastError == nil || st.RefusedRevision != store.RevisionOf([]byte("bad line 1")) || st.Revision != store.RevisionOf([]byte("one")) {
			s.Errorf("status %+v", st)
		}
	},
	"the same mistake is told once": func(s *scene) {
		s.source.set("bad line 1")
		s.after(soon, "refused bad line 1")
		for range 5 {
			signal(s.source.wake)
			s.after(soon)
		}
		s.after(time.Hour)
	},
	"another mistake is told": func(s *scene) {
		s.source.set("bad line 1")
		s.after(soon, "refused bad line 1")
		s.source.set("bad line 2")
		s.after(soon, "refused bad line 2")
		s.source.fail("gone")
		s.after(soon, "refused gone")
		s.source.set("bad line 2")
		s.after(soon, "refused bad line 2")
		if n := s.loop.Status().Refusals; n != 4 {
			s.Errorf("%d refusals, want 4", n)
		}
	},
	"the next good one is taken": func(s *scene) {
		s.source.set("bad line 1")
		s.after(soon, "refused bad line 1")
		s.source.set("two")
		s.after(0, `published 2 "two"`)
		if st := s.loop.Status(); st.LastError != nil || st.RefusedRevision != "" || !st.RefusedAt.IsZero() {
			s.Errorf("status %+v, want no refusal", st)
		}
	},
	"back to what is served": func(s *scene) {
		s.source.set("bad line 1")
		s.after(soon, "refused bad line 1")
		builds := s.builds()
		s.source.set("one")
		s.after(0, "restored 1 after bad line 1")
		if s.builds() != builds {
			s.Errorf("built %d times more, want none", s.builds()-builds)
		}
		if err := s.loop.Status().LastError; err != nil {
			s.Errorf("last error %v, want none", err)
		}
		s.source.set("bad line 1")
		s.after(soon, "refused bad line 1")
	},
	"bad for an instant": func(s *scene) {
		s.source.set("bad half")
		s.after(defaultConfirm / 2)
		s.source.set("bad half and more, and good")
		s.source.set("two")
		s.after(soon, `published 2 "two"`)
	},
	"missing for an instant": func(s *scene) {
		s.source.fail("gone")
		s.after(defaultConfirm / 2)
		s.source.set("one")
		s.after(soon)
	},
	"bad again, otherwise": func(s *scene) {
		s.source.set("bad half")
		s.after(defaultConfirm / 2)
		s.source.set("bad whole")
		s.after(soon, "refused bad whole")
	},
	"panic": func(s *scene) {
		s.source.set("panic")
		s.after(soon, "refused panic while building: at the disco")
		var p *PanicError
		if !errors.As(s.loop.Status().LastError, &p) || !strings.Contains(string(p.Stack), "loop_test.go") {
			s.Errorf("error %#v, want one with the stack", s.loop.Status().LastError)
		}
		s.serves("one")
		s.source.set("two")
		s.after(0, `published 2 "two"`)
	},
	"neither value nor error": func(s *scene) {
		s.source.set("nil")
		s.after(soon, `refused build of revision "`+store.RevisionOf([]byte("nil"))[:12]+`" returned neither a value nor an error`)
		s.serves("one")
	},
	"kick": func(s *scene) {
		s.loop.Kick()
		s.after(0, "unchanged 1")
		s.source.change(func() { s.source.data = "two" }) // without a wake-up
		s.loop.Kick()
		s.after(0, `published 2 "two"`)
		s.source.set("bad line 1")
		s.after(soon, "refused bad line 1")
		builds := s.builds()
		for range 2 {
			s.loop.Kick()
			s.after(soon, "refused bad line 1")
		}
		if s.builds() != builds+2 {
			s.Errorf("built %d times for two kicks", s.builds()-builds)
		}
		s.source.change(func() { s.source.data = "two" })
		s.loop.Kick()
		s.after(0, "restored 2 after bad line 1")
	},
	"kicks are coalesced": func(s *scene) {
		for range 100 {
			s.loop.Kick()
		}
		synctest.Wait()
		if got := s.noted(); len(got) > 2 { // one that was at work, and one for the rest
			s.Errorf("a hundred kicks gave %q, want at most two events", got)
		}
	},
	"a refusal is retried, less and less often": func(s *scene) {
		s.source.set("bad luck")
		s.after(0)
		builds := s.builds()
		s.after(defaultConfirm, "refused bad luck")
		for _, wait := range []time.Duration{5, 10, 20, 40, 60, 60, 60} {
			s.after(wait*time.Second - 1)
			if s.builds() != builds {
				s.Fatalf("built before %v s had passed", wait)
			}
			s.after(1)
			if builds++; s.builds() != builds {
				s.Fatalf("not built after %v s", wait)
			}
		}
	},
	"a cause outside of the source goes away": func(s *scene) {
		s.source.set("two uses port")
		s.after(soon, "refused port is missing")
		s.source.change(func() { s.source.files["port"] = "free" }) // without a wake-up
		s.after(time.Minute, `published 2 "two uses port"`)
	},
	"a cause outside of the source goes away while something else is served": func(s *scene) {
		s.source.set("two uses port")
		s.after(soon, "refused port is missing")
		s.source.set("one")
		s.after(soon, "restored 1 after port is missing")
		s.source.change(func() { s.source.files["port"] = "free" })
		s.source.set("two uses port")
		s.after(0, `published 2 "two uses port"`)
	},
	"the same snapshot is not built at each wake-up": func(s *scene) {
		s.source.set("bad line 1")
		s.after(soon, "refused bad line 1")
		builds := s.builds()
		for range 3 {
			signal(s.source.wake)
			s.after(0)
		}
		if s.builds() != builds {
			s.Errorf("built %d times more, want none", s.builds()-builds)
		}
	},
	"wake-ups with nothing new do not put a retry off": func(s *scene) {
		s.source.set("bad luck")
		s.after(soon, "refused bad luck")
		builds := s.builds()
		for range 8 {
			signal(s.source.wake)
			s.after(soon)
		}
		if s.builds() != builds+1 {
			s.Errorf("built %d times in %v, want once, after %v", s.builds()-builds, 8*soon, defaultRetry)
		}
	},
	"the wait begins anew with another refusal": func(s *scene) {
		s.source.set("bad luck")
		s.after(10*time.Minute, "refused bad luck")
		s.source.set("bad again")
		s.after(soon, "refused bad again")
		builds := s.builds()
		s.after(defaultRetry)
		if s.builds() != builds+1 {
			s.Errorf("built %d times within Retry, want once", s.builds()-builds)
		}
	},
	"an input changes": func(s *scene) {
		s.source.change(func() { s.source.files["cert"] = "old" })
		s.source.set("two uses cert")
		s.after(0, `published 2 "two uses cert"`)
		signal(s.source.wake)
		s.after(soon) // being named is no change
		s.source.change(func() { s.source.files["cert"] = "new" })
		signal(s.source.wake)
		s.after(0, `published 3 "two uses cert"`)
		if v := s.loop.Cell().Load(); v.inputs != "new" {
			s.Errorf("built with %q, want the new certificate", v.inputs)
		}
		s.source.set("three")
		s.after(0, `published 4 "three"`)
		if len(s.source.also) != 0 {
			s.Errorf("the source still follows %q", s.source.also)
		}
	},
	"a missing input comes": func(s *scene) {
		s.source.set("two uses cert key")
		s.after(soon, "refused cert is missing")
		s.source.change(func() { s.source.files["cert"] = "c" })
		signal(s.source.wake)
		s.after(soon, "refused key is missing")
		s.source.change(func() { s.source.files["key"] = "k" })
		signal(s.source.wake)
		s.after(0, `published 2 "two uses cert key"`)
	},
	"back to what is served, with inputs": func(s *scene) {
		s.source.change(func() { s.source.files["cert"], s.source.files["other"] = "c", "o" })
		s.source.set("two uses cert")
		s.after(0, `published 2 "two uses cert"`)
		s.source.set("bad uses other")
		s.after(soon, "refused bad uses other")
		s.source.set("two uses cert")
		s.after(soon, "restored 2 after bad uses other")
	},
	"an input that is gone while the file is bad": func(s *scene) {
		s.source.change(func() { s.source.files["cert"] = "c" })
		s.source.set("two uses cert")
		s.after(0, `published 2 "two uses cert"`)
		s.source.change(func() { s.source.files["cert"] = "d" })
		s.source.set("bad")
		s.after(soon, "refused bad")
		s.source.set("two uses cert")
		s.after(0, `published 3 "two uses cert"`)
	},
	"inputs in another order": func(s *scene) {
		s.source.change(func() { s.source.files["a"], s.source.files["b"] = "1", "2" })
		s.source.set("two uses a b")
		s.after(0, `published 2 "two uses a b"`)
		builds := s.builds()
		s.source.set("three uses b a b")
		s.after(0, `published 3 "three uses b a b"`)
		if s.builds() != builds+1 {
			s.Errorf("built %d times, want once: the inputs are the same", s.builds()-builds)
		}
	},
	"the watch ends by itself": func(s *scene) {
		wake := s.source.wake
		s.source.change(func() { s.source.wake = make(chan struct{}, 1) })
		close(wake)
		s.after(0)
		s.source.set("two")
		s.after(0, `published 2 "two"`)
	},
	"the source cannot be watched for a while": func(s *scene) {
		wake := s.source.wake
		s.source.change(func() {
			s.source.wake = make(chan struct{}, 1)
			s.source.watchErr = errors.New("no watches left")
		})
		close(wake)
		s.after(0, "refused watching the source: no watches left")
		s.source.change(func() { s.source.data = "two" })
		s.after(defaultRetry, `published 2 "two"`) // read all the same
		s.after(10 * defaultRetry)
		s.source.change(func() { s.source.watchErr = nil })
		s.after(defaultRetry)
		s.source.set("three")
		s.after(0, `published 3 "three"`)
	},
}

func TestScripts(t *testing.T) {
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := started(t, "one")
				script(s)
				s.stop()
			})
		})
	}
}

// Start returns mistakes and does not report them, and a change between Start and Run is
// not missed.
func TestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "bad start")
		if err := s.loop.Start(t.Context()); err == nil || err.Error() != "bad start" {
			t.Errorf("Start: error %v, want %q", err, "bad start")
		}
		s.after(0)
		if v := s.loop.Cell().Load(); v != nil {
			t.Errorf("serves %v, want nothing", v)
		}
		if st := s.loop.Status(); st.Generation != 0 || st.LastError == nil {
			t.Errorf("status %+v, want no generation and an error", st)
		}
		s.source.change(func() { s.source.data = "good" })
		s.run()
		s.after(0, `published 1 "good"`)
		s.stop()
	})
}

func TestStartEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "bad start")
		ctx, cancel := context.WithTimeout(t.Context(), defaultConfirm/2)
		defer cancel()
		if err := s.loop.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Start: error %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

// A context that ends while Build runs publishes nothing.
func TestEndedWhileBuilding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newScene(t, "one", func(o *Options[built]) {
			build := o.Build
			o.Build = func(ctx context.Context, snap store.Snapshot, prev *built) (*built, []string, error) {
				cancel()
				return build(ctx, snap, prev)
			}
		})
		if err := s.loop.Start(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Start: error %v, want %v", err, context.Canceled)
		}
		s.after(0)
		if s.loop.Cell().Load() != nil {
			t.Error("something is served")
		}
	})
}

func TestWithoutConfirmAndRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := started(t, "one", func(o *Options[built]) { o.Confirm, o.Retry = -1, -1 })
		builds := s.builds()
		s.source.set("bad")
		s.after(0, "refused bad")
		s.after(time.Hour)
		if s.builds() != builds+1 {
			t.Errorf("built %d times, want once", s.builds()-builds)
		}
		s.stop()
	})
}

// A Build that names other inputs each time does not block the loop.
func TestRestlessInputs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := newScene(t, "one", func(o *Options[built]) {
			o.Build = func(context.Context, store.Snapshot, *built) (*built, []string, error) {
				n++
				return &built{content: "built"}, []string{fmt.Sprint(n)}, nil
			}
		})
		if err := s.loop.Start(t.Context()); err != nil || n != 3 {
			t.Errorf("error %v after %d builds, want none after 3", err, n)
		}
		s.serves("built")
	})
}

// The callbacks see the new value in the cell, and may call Status.
func TestPublishedAfterSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *scene
		s = newScene(t, "one", func(o *Options[built]) {
			o.Published = func(old, next *built, g Generation) {
				if s.loop.Cell().Load() != next || s.loop.Status().Generation != g.Number || (old == nil) != (g.Number == 1) {
					t.Errorf("generation %d: old %v, next %v, status %+v", g.Number, old, next, s.loop.Status())
				}
				s.note("seen %d", g.Number)
			}
		})
		if err := s.loop.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.run()
		s.source.set("two")
		s.after(0, "seen 1", "seen 2")
		s.stop()
	})
}

func TestNewPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("New without Build did not panic")
		}
	}()
	New(Options[built]{Source: newMemory("")})
}
