package discovery

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream/health"
)

// fakeName answers lookups with what it was set to: authorities, or an error for "".
type fakeName struct{ now atomic.Pointer[string] }

func (n *fakeName) set(authorities string) { n.now.Store(&authorities) }

func (n *fakeName) lookup(context.Context) ([]Found, error) {
	authorities := *n.now.Load()
	if authorities == "" {
		return nil, errors.New("no answer")
	}
	var found []Found
	for a := range strings.FieldsSeq(authorities) {
		found = append(found, Found{Authority: a, Host: "chat.test:9000"})
	}
	return found, nil
}

// stage is one pool that is discovered, and what its poller reports.
type stage struct {
	t       *testing.T
	name    fakeName
	pollers *Pollers
	events  []string
	pool    *upstream.Pool
	rule    *Rule
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t}
	s.pollers = New(Events{
		Log:     slog.New(slog.DiscardHandler),
		Health:  func(*upstream.Backend, health.Event) {},
		Changed: func(pool string) { s.events = append(s.events, "changed "+pool) },
		Joined:  func(pool string) { s.events = append(s.events, "joined "+pool) },
	})
	s.rule = &Rule{Lookup: s.name.lookup, Every: time.Second, Key: "1", Scheme: "ws", MaxTunnels: 7,
		Registry: NewRegistry(map[upstream.BackendKey]*upstream.Backend{})}
	return s
}

// adopt is a reload: a new pool, with the rule as it is now.
func (s *stage) adopt() {
	s.t.Helper()
	pool, err := upstream.NewPool("chat", upstream.Settings{}, nil, s.pool)
	if err != nil {
		s.t.Fatal(err)
	}
	s.pool = pool
	s.pollers.Adopt(map[string]*Rule{"chat": s.rule}, map[string]*upstream.Pool{"chat": pool}, s.listsNone)
}

func (s *stage) listsNone(*upstream.Backend) bool { return false }

// wait lets the poller ask once more.
func (s *stage) wait() {
	time.Sleep(2 * time.Second) // the bubble's clock: twice the interval, with its jitter
	synctest.Wait()
}

func (s *stage) want(members string, events ...string) {
	s.t.Helper()
	var got []string
	for _, m := range s.pool.Members() {
		if m.MaxTunnels != s.rule.MaxTunnels {
			s.t.Errorf("%s may have %d tunnels, want %d", m.Name, m.MaxTunnels, s.rule.MaxTunnels)
		}
		got = append(got, m.Name)
	}
	if strings.Join(got, " ") != members {
		s.t.Errorf("members %q, want %q", strings.Join(got, " "), members)
	}
	if !slices.Equal(s.events, events) {
		s.t.Errorf("events %q, want %q", s.events, events)
	}
	s.events = nil
}

func TestPollers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.name.set("10.0.0.1:1")
		s.adopt()
		s.pollers.AwaitFirst(time.Hour)
		s.want("10.0.0.1:1", "changed chat") // the first members join nobody
		first := s.pool.Members()[0].Backend
		if first.Host() != "chat.test:9000" {
			t.Errorf("host %q, want the looked-up name", first.Host())
		}

		s.name.set("10.0.0.1:1 10.0.0.2:1")
		s.wait()
		s.want("10.0.0.1:1 10.0.0.2:1", "changed chat", "joined chat")

		s.name.set("") // the last good answer stays
		s.wait()
		s.want("10.0.0.1:1 10.0.0.2:1")

		s.name.set("10.0.0.2:1")
		first.OpenTunnel()
		s.wait()
		s.want("10.0.0.2:1", "changed chat")
		s.name.set("10.0.0.1:1 10.0.0.2:1")
		s.wait()
		s.want("10.0.0.1:1 10.0.0.2:1", "changed chat", "joined chat")
		if got := s.pool.Members()[0].Backend.Tunnels(); got != 1 {
			t.Errorf("a backend that came back counts %d tunnels, want 1", got)
		}
		s.pollers.Stop()
	})
}

func TestPollersFollowReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.name.set("10.0.0.1:1")
		s.adopt()
		s.pollers.AwaitFirst(time.Hour)
		s.want("10.0.0.1:1", "changed chat")

		limited := *s.rule
		limited.MaxTunnels = 9
		s.rule = &limited
		s.adopt() // other limits: the members stay, with the new ones
		s.want("10.0.0.1:1")

		secure := *s.rule
		secure.Scheme, secure.Key = "wss", "2"
		s.rule = &secure
		plain := s.pool.Members()[0].Backend
		s.adopt()
		s.wait()
		s.want("10.0.0.1:1", "changed chat")
		if s.pool.Members()[0].Backend == plain {
			t.Error("a backend of another scheme is the same backend")
		}

		s.pollers.Adopt(nil, nil, func(*upstream.Backend) bool { return true })
		if got := s.pool.Members()[0].Backend.Host(); got != "10.0.0.1:1" {
			t.Errorf("host of a listed backend %q, want its own", got)
		}
		s.pollers.Stop()
	})
}

// AwaitFirst does not wait for a name server that is away.
func TestAwaitFirstIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.rule.Lookup = func(ctx context.Context) ([]Found, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		s.adopt()
		start := time.Now()
		s.pollers.AwaitFirst(2 * time.Second)
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("waited %v, want 2s", got)
		}
		s.pollers.Stop()
	})
}

func TestDifference(t *testing.T) {
	member := func(authority string) upstream.Member {
		return upstream.Member{Backend: upstream.NewBackend(upstream.BackendKey{Pool: "p", Scheme: "ws", Authority: authority})}
	}
	a, b, c := member("a:1"), member("b:1"), member("c:1")
	joined, left := difference([]upstream.Member{a, b}, []upstream.Member{b, c})
	if !reflect.DeepEqual(joined, []string{"c:1"}) || !reflect.DeepEqual(left, []string{"a:1"}) {
		t.Errorf("joined %q, left %q, want c:1 and a:1", joined, left)
	}
}
