package proxy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/drain"
	"github.com/tunnelform/tunnelform/proxy/internal/routing"
	"github.com/tunnelform/tunnelform/proxy/internal/routing/routingtest"
	"github.com/tunnelform/tunnelform/proxy/internal/tunnel"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
)

// TestImpactIsWhatTheEditDoes plays random histories of edits, discoveries, moves and
// drains by hand twice: once with one edit more, of which Impact has said what it would do,
// and once without it. A tunnel that is told to go only where there was the edit, or told
// to end and not to move, is one that the edit drains; one that is told nothing is kept.
func TestImpactIsWhatTheEditDoes(t *testing.T) {
	seeds := 400
	if testing.Short() {
		seeds = 60
	}
	var all drain.Counts
	neither := 0
	for seed := range uint64(seeds) {
		with, without := play(t, seed, true), play(t, seed, false)
		want, elsewhere := compareWorlds(with, without)
		neither += elsewhere
		got := with.impact
		if got.Counts != want.Counts {
			t.Errorf("seed %d: impact %+v, and the edit did %+v", seed, got.Counts, want.Counts)
		}
		for name, r := range got.Routes {
			if w := want.Routes[name]; w == nil || w.Counts != r.Counts {
				t.Errorf("seed %d, route %s: impact %+v, and the edit did %+v", seed, name, r, w)
			}
			caused := 0
			for _, n := range r.Causes {
				caused += n
			}
			if caused != r.Drained {
				t.Errorf("seed %d, route %s: causes %v of %d", seed, name, r.Causes, r.Drained)
			}
		}
		if len(want.Routes) != len(got.Routes) {
			t.Errorf("seed %d: impact on %d routes, want %d", seed, len(got.Routes), len(want.Routes))
		}
		if t.Failed() {
			t.Fatalf("before:\n%s\nafter:\n%s", with.before, with.after)
		}
		all.Kept += want.Kept
		all.Drained += want.Drained
		all.Moved += want.Moved
	}
	if all.Kept == 0 || all.Drained == all.Moved || all.Moved == 0 || neither == 0 {
		t.Errorf("the histories do not show everything: %+v, and %d on their way already", all, neither)
	}
}

// compareWorlds is the impact as it was seen.
func compareWorlds(with, without *world) (seen drain.Impact, elsewhere int) {
	seen.Routes = map[string]*drain.RouteImpact{}
	for i, f := range with.tunnels {
		var c drain.Counts
		switch now, otherwise := f.fate(), without.tunnels[i].fate(); {
		case now == "":
			c.Kept = 1
		case otherwise == "" || now == "end" && otherwise == "move":
			c.Drained = 1
			if now == "move" {
				c.Moved = 1
			}
		default:
			elsewhere++
			continue
		}
		name := f.entry.Route()
		r := seen.Routes[name]
		if r == nil {
			r = &drain.RouteImpact{}
			seen.Routes[name] = r
		}
		for _, sum := range []*drain.Counts{&seen.Counts, &r.Counts} {
			sum.Kept += c.Kept
			sum.Drained += c.Drained
			sum.Moved += c.Moved
		}
	}
	return seen, elsewhere
}

// witness is a tunnel that notes what it is told.
type witness struct {
	entry *drain.Entry
	mu    sync.Mutex
	last  string // "", "move" or "end"
}

func (f *witness) tell(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = what
}
func (f *witness) fate() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}
func (f *witness) Close(uint16, string, tunnel.Reason)     { f.tell("end") }
func (f *witness) Cut(tunnel.Reason)                       { f.tell("end") }
func (f *witness) Counts() tunnel.Counts                   { return tunnel.Counts{} }
func (f *witness) Move(int, uint16, string, tunnel.Reason) { f.tell("move") }

// world is one history.
type world struct {
	t             *testing.T
	random        *rand.Rand
	file          *fileModel
	table         *routing.Table
	group         *drain.Group
	tunnels       []*witness
	connecting    map[*witness]bool
	impact        *drain.Impact
	before, after string
}

// longest is longer than any window of the files, with the grace.
const longest = 10 * time.Minute

// play plays the history of that seed, with or without its last edit, until all that are
// to be told are told.
func play(t *testing.T, seed uint64, lastEdit bool) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1)), group: drain.NewGroup(), connecting: map[*witness]bool{}}
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		w.file = newFileModel(w.random)
		w.table = routingtest.Build(t, nil, w.file.text())
		w.discover()
		for range 2 + w.random.IntN(6) {
			w.step()
		}
		w.before = w.file.text()
		w.file.edit(w.random)
		w.after = w.file.text()
		if lastEdit {
			next := routingtest.Build(t, w.table, w.after)
			changes := routing.Compare(w.table, next)
			w.impact = w.group.Impact(next.Evaluator(changes))
			if again := w.group.Impact(next.Evaluator(changes)); !reflect.DeepEqual(again, w.impact) {
				t.Errorf("asked again, the impact is %+v, not %+v", again, w.impact)
			}
			w.adopt(next)
		}
		for f := range w.connecting {
			f.entry.EndMove()
		}
		time.Sleep(longest)
		synctest.Wait()
		for _, f := range w.tunnels {
			f.entry.Remove()
		}
	})
	return w
}

// adopt is what Server.Adopt does about tunnels.
func (w *world) adopt(next *routing.Table) {
	w.group.Evaluate(next.Evaluator(routing.Compare(w.table, next)))
	for name, pool := range w.table.Pools() {
		pool.EndTemporaries(next.Pools()[name])
	}
	w.table = next
}

// step is one event of a history. Times either let nobody be told yet or all: whose time
// comes first within a window is chance, and both worlds must agree on it.
func (w *world) step() {
	for range w.random.IntN(6) {
		w.open()
	}
	switch w.random.IntN(8) {
	case 0, 1:
		w.file.edit(w.random)
		w.adopt(routingtest.Build(w.t, w.table, w.file.text()))
	case 2:
		w.discover()
	case 3:
		window := longest / 2
		query := drain.Query{Route: w.file.routes[w.random.IntN(len(w.file.routes))].name}
		if _, err := w.group.DrainByHand(query, drain.Manner{Window: &window}); err != nil {
			w.t.Fatal(err)
		}
	case 4:
		w.move()
	case 5:
		time.Sleep(longest)
	case 6:
		time.Sleep(drain.Grace / 10)
	case 7:
		w.setByHand()
	}
	synctest.Wait()
}

// setByHand gives a backend a state by hand, as Server.SetBackend does.
func (w *world) setByHand() {
	pool, name := pick(w.random, "one", "two"), fmt.Sprint("b", w.random.IntN(3))
	state := upstream.TemporaryState(pick(w.random, "drain", "drain", "disable", "none"))
	if p := w.table.Pools()[pool]; p != nil {
		if changed, _ := p.SetTemporary(name, state, 24*time.Hour, true, func() {}); changed {
			w.judge(pool)
		}
	}
}

// judge is Server.evaluatePool.
func (w *world) judge(pool string) {
	w.group.Evaluate(func(f drain.Facts) drain.Decision {
		if f.Backend.Pool != pool || w.table.Route(f.Route) == nil {
			return drain.Decision{Unchanged: true}
		}
		return w.table.Evaluate(f, nil)
	})
}

// discover changes the members of the pool whose members are discovered, if there is one.
func (w *world) discover() {
	members := w.someAuthorities()
	pool, rule := w.table.Pools()["found"], w.table.Discoveries()["found"]
	if rule == nil {
		return
	}
	var found []upstream.Member
	for _, authority := range members {
		key := upstream.BackendKey{Pool: "found", Scheme: rule.Scheme, Authority: authority}
		found = append(found, upstream.Member{Name: authority, Backend: rule.Registry.Lookup(key, pool.Members(), "")})
	}
	pool.SetMembers(found)
	w.judge("found")
}

func (w *world) someAuthorities() (some []string) {
	for i := range 4 {
		if w.random.IntN(3) > 0 {
			some = append(some, fmt.Sprintf("127.0.0.1:%d", 9001+i))
		}
	}
	return some
}

// open opens a tunnel of some route, as the handler does.
func (w *world) open() {
	names := slices.Sorted(func(yield func(string) bool) {
		for _, r := range w.file.routes {
			if !yield(r.name) {
				return
			}
		}
	})
	rt := w.table.Route(names[w.random.IntN(len(names))])
	choice, client, origin := w.random.IntN(100), w.random.IntN(2), w.random.IntN(3)
	members := rt.Target.Pool.Members()
	if len(members) == 0 {
		return
	}
	facts := drain.Facts{
		Route:   rt.Name,
		Backend: members[choice%len(members)].Backend.Key(),
		Client:  netip.AddrFrom4([4]byte{10, byte(client), 0, 1}),
		Host:    "a.test",
		Origin:  []string{"", "https://a.test", "https://b.test"}[origin],
		Policy:  rt.Drain,
	}
	f := &witness{entry: w.group.Reserve(facts)}
	if rt.Redials {
		f.entry.SetMovable()
	}
	f.entry.Opened(f)
	w.tunnels = append(w.tunnels, f)
}

// move lets a tunnel that has been told to move, or has lost its backend, find another.
func (w *world) move() {
	if len(w.tunnels) == 0 {
		return
	}
	f, how := w.tunnels[w.random.IntN(len(w.tunnels))], w.random.IntN(3)
	if w.connecting[f] {
		delete(w.connecting, f)
		f.entry.EndMove()
		return
	}
	if f.fate() == "end" || !f.entry.StartMove() {
		return
	}
	f.tell("")
	if how == 0 {
		return
	}
	rt := w.table.Route(f.entry.Route())
	if rt == nil || rt.Target.Pool == nil || len(rt.Target.Pool.Members()) == 0 {
		return
	}
	f.entry.MoveTo(rt.Target.Pool.Members()[0].Backend.Key())
	if how == 1 {
		w.connecting[f] = true
		return
	}
	f.entry.EndMove()
}

// fileModel is a routes file that can be edited at random and stays valid.
type fileModel struct {
	routes []*routeModel // never empty
	pools  map[string][]memberModel
	found  string // the scheme of the pool that is discovered; "" for none: then it is listed
	named  int
}

type routeModel struct {
	name, path, target string // target: a pool's name or an authority
	client, origins    string
	window             string
	keep, redial       bool
}

type memberModel struct {
	authority string
	drain     bool
	disabled  bool
}

func newFileModel(r *rand.Rand) *fileModel {
	m := &fileModel{pools: map[string][]memberModel{}, found: "ws"}
	for _, pool := range []string{"one", "two", "found"} {
		m.pools[pool] = someMembers(r)
	}
	for range 3 + r.IntN(3) {
		m.add(r)
	}
	return m
}

func someMembers(r *rand.Rand) []memberModel {
	members := []memberModel{{authority: "127.0.0.1:9000"}}
	for i := range 3 {
		if r.IntN(2) == 0 {
			members = append(members, memberModel{authority: fmt.Sprintf("127.0.0.1:%d", 9001+i), drain: r.IntN(4) == 0, disabled: r.IntN(4) == 0})
		}
	}
	return members
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

func (m *fileModel) newName() string { m.named++; return fmt.Sprint("r", m.named) }

func (m *fileModel) add(r *rand.Rand) {
	name := m.newName()
	m.routes = append(m.routes, &routeModel{
		name: name, path: "/" + name, target: pick(r, "one", "two", "found", "127.0.0.1:9000"),
		window: pick(r, "0s", "1s", "5m"), keep: r.IntN(5) == 0, redial: r.IntN(2) == 0,
	})
}

// edit changes one thing, or several.
func (m *fileModel) edit(r *rand.Rand) {
	for range 1 + r.IntN(3) {
		m.editOnce(r)
	}
}

func (m *fileModel) editOnce(r *rand.Rand) {
	rt := m.routes[r.IntN(len(m.routes))]
	switch r.IntN(12) {
	case 0:
		m.add(r)
	case 1:
		if len(m.routes) > 1 {
			m.routes = slices.DeleteFunc(m.routes, func(other *routeModel) bool { return other == rt })
		}
	case 2:
		rt.name = m.newName() // renamed
	case 3:
		rt.target = pick(r, "one", "two", "found", "127.0.0.1:9000", "127.0.0.1:9001")
	case 4:
		rt.client = pick(r, "", "10.0.0.0/16", "10.0.0.0/8")
	case 5:
		rt.origins = pick(r, "any", "same-host", "https://b.test")
	case 6:
		rt.window, rt.keep = pick(r, "0s", "1s", "5m"), r.IntN(3) == 0
	case 7:
		rt.redial = !rt.redial
	case 8:
		rt.path += "x" // the same name and another match
	case 9, 10:
		m.pools[pick(r, "one", "two", "found")] = someMembers(r)
	case 11:
		m.found = pick(r, "", "ws", "http")
	}
}

func (m *fileModel) text() string {
	var b strings.Builder
	b.WriteString("pools:\n")
	for _, name := range slices.Sorted(maps.Keys(m.pools)) {
		if name == "found" && m.found != "" {
			fmt.Fprintf(&b, "  found: {resolve: {dns: \"found.test:9000\", scheme: %s}}\n", m.found)
			continue
		}
		fmt.Fprintf(&b, "  %s:\n    backends:\n", name)
		for i, member := range m.pools[name] {
			fmt.Fprintf(&b, "      b%d: {url: \"ws://%s\"", i, member.authority)
			if member.drain {
				b.WriteString(", drain: true")
			} else if member.disabled {
				b.WriteString(", disabled: true")
			}
			b.WriteString("}\n")
		}
	}
	b.WriteString("routes:\n")
	for _, rt := range m.routes {
		to := "ws://" + rt.target
		if m.pools[rt.target] != nil {
			to = "pool://" + rt.target
		}
		fmt.Fprintf(&b, "  %s: {match: {path: %s", rt.name, rt.path)
		if rt.client != "" {
			fmt.Fprintf(&b, ", client: [%s]", rt.client)
		}
		fmt.Fprintf(&b, "}, to: %q, drain: {window: %s, keep: %v}", to, rt.window, rt.keep)
		if rt.origins == "any" || rt.origins == "" {
			b.WriteString(", origins: any")
		} else if rt.origins == "same-host" {
			b.WriteString(", origins: same-host")
		} else {
			fmt.Fprintf(&b, ", origins: [%q]", rt.origins)
		}
		if rt.redial && m.pools[rt.target] != nil {
			b.WriteString(", on_backend_loss: redial")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// TestImpactWaitsForTheEvaluation: between a Table's becoming current and the evaluation of
// the tunnels by it, their states are of the Table before.
func TestImpactWaitsForTheEvaluation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := routingtest.Build(t, nil, "routes: {a: {match: {path: /a}, respond: {}}}\n")
		two := routingtest.Build(t, one, "routes: {b: {match: {path: /a}, respond: {}}}\n")
		three := routingtest.Build(t, two, "routes: {}\n")
		s := &Server{tunnels: drain.NewGroup(), adopted: one, current: func() *routing.Table { return two }}
		s.evaluated = sync.NewCond(&s.evaluating)
		answered := false
		go func() {
			changes, _, ok := s.Impact(two, three)
			if !ok || len(changes.Removed) != 1 {
				t.Errorf("%+v, %v", changes, ok)
			}
			answered = true
		}()
		synctest.Wait()
		if answered {
			t.Error("answered before the evaluation")
		}
		s.evaluating.Lock()
		s.adopted = two
		s.evaluated.Broadcast()
		s.evaluating.Unlock()
		synctest.Wait()
		if !answered {
			t.Error("not answered after it")
		}
		if _, _, ok := s.Impact(one, three); ok {
			t.Error("answered for a Table that is served no more")
		}
	})
}
