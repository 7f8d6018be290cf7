package upstream

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// namesOf lists the members' backends in order.
func namesOf(members []*Member) string {
	var names []string
	for _, m := range members {
		names = append(names, m.Backend.Key().Authority)
	}
	return strings.Join(names, " ")
}

// pool describes members in short: each word is a name with what is so of it, as
// in "a b:spare c:tier=1 d:down".
func describedPool(t *testing.T, text string) []Member {
	t.Helper()
	var ms []Member
	for word := range strings.FieldsSeq(text) {
		name, marks, _ := strings.Cut(word, ":")
		m := Member{Backend: NewBackend(BackendKey{"pool", "ws", name})}
		for mark := range strings.SplitSeq(marks, ",") {
			switch mark {
			case "":
			case "spare":
				m.Spare = true
			case "standby":
				m.Standby = true
			case "drain":
				m.Drain = true
			case "disabled":
				m.Disabled = true
			case "down":
				down(m.Backend, true)
			case "full":
				fill(&m)
			case "tier=1":
				m.Tier = 1
			case "tier=2":
				m.Tier = 2
			default:
				t.Fatalf("unknown mark %q", mark)
			}
		}
		ms = append(ms, m)
	}
	return ms
}

// fill has a member have all the tunnels that it may have.
func fill(m *Member) {
	m.MaxTunnels = 2
	for range m.MaxTunnels {
		m.Backend.OpenTunnel()
	}
}

func TestWhoComesIntoQuestion(t *testing.T) {
	for _, tt := range []struct{ members, exclude, want string }{
		{"a b c", "", "a b c"},
		{"a b:drain c:disabled d:down e", "", "a e"},
		{"a b", "a", "b"},
		{"a b", "a b", ""},

		{"a:tier=1 b c:tier=2", "", "b"},
		{"a:tier=1 b:down c:tier=2", "", "a"},
		{"a:tier=1 b:down c:tier=2", "a", "c"},
		{"a:tier=1 b:drain c:tier=1", "", "a c"},

		{"a b s:spare", "", "a b"},
		{"a:down b s:spare t:spare", "", "b s"},
		{"a:down b:down s:spare t:spare", "", "s t"},
		{"a:down b:down s:spare,down t:spare u:spare", "", "t u"},
		{"a:disabled b s:spare", "", "b s"},
		{"a b s:spare", "a", "b s"},
		{"s:spare", "", ""}, // it has no regular member to replace

		{"a b h:standby", "", "a b"},
		{"a:down b h:standby", "", "b"},
		{"a:down b:down h:standby i:standby", "", "h i"},
		{"a:down s:spare h:standby", "", "s"},
		{"a:down s:spare h:standby", "s", "h"},
		{"h:standby", "", "h"},

		{"a:down h:standby b:tier=1", "", "h"}, // its own tier's standby goes before the next tier
		{"a:down h:standby,down b:tier=1 s:spare", "s", "b"},
		{"a:down b:tier=1 s:spare,tier=1", "", "b"},

		{"a:full b", "", "b"},
		{"a:full b s:spare", "", "b s"}, // the overflow is a spare's,
		{"a:full h:standby", "", "h"},   // or a standby's,
		{"a:full b:tier=1", "", "b"},    // or the next tier's
		{"a:full s:spare,full h:standby,full b:tier=1", "", "b"},
		{"a:full b:full", "", ""},
	} {
		c := Choice{Tunnel: true}
		ms := describedPool(t, tt.members)
		for _, m := range ms {
			if slices.Contains(strings.Fields(tt.exclude), m.Backend.Key().Authority) {
				c.Exclude = append(c.Exclude, m.Backend)
			}
		}
		got, err := newMemberSet(ms, nil).candidates(c, nil)
		if namesOf(got) != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s without %q: got %q, %v, want %q", tt.members, tt.exclude, namesOf(got), err, tt.want)
		}
	}
}

// TestCandidatesAgainstRules holds the choice of candidates to what the rules say
// one by one, on random pools.
func TestCandidatesAgainstRules(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		ms := members(make([]int, 1+r.IntN(7))...)
		for i := range ms {
			m := &ms[i]
			m.Tier, m.Drain, m.Disabled = r.IntN(3), r.IntN(5) == 0, r.IntN(5) == 0
			m.Spare = r.IntN(4) == 0
			m.Standby = !m.Spare && r.IntN(4) == 0
			down(m.Backend, r.IntN(3) == 0)
			if r.IntN(4) == 0 {
				fill(m)
			}
		}
		got, _ := newMemberSet(ms, nil).candidates(Choice{Tunnel: true}, nil)
		if want := candidatesByRules(ms); namesOf(got) != want {
			t.Fatalf("%+v: got %q, want %q", ms, namesOf(got), want)
		}
	}
}

// candidatesByRules is the slow and obvious way: tier by tier, filter by filter.
func candidatesByRules(ms []Member) string {
	for tier := range 3 {
		var regulars, spares, standbys, out []string
		missing := 0
		for _, m := range ms {
			usable := m.Backend.Available() && !m.Drain && !m.Disabled && (m.MaxTunnels == 0 || m.Backend.Tunnels() < int64(m.MaxTunnels))
			name := m.Backend.Key().Authority
			switch {
			case m.Tier != tier:
			case !usable && !m.Spare && !m.Standby:
				missing++
			case !usable:
			case m.Spare:
				spares = append(spares, name)
			case m.Standby:
				standbys = append(standbys, name)
			default:
				regulars = append(regulars, name)
			}
		}
		out = append(regulars, spares[:min(missing, len(spares))]...)
		if len(out) == 0 {
			out = standbys
		}
		if len(out) > 0 {
			return strings.Join(out, " ")
		}
	}
	return ""
}

// TestGenerationNotTaken: a pool that was made and thrown away, as after a mistake
// elsewhere in the file, leaves the one that serves as it was.
func TestGenerationNotTaken(t *testing.T) {
	ms := members(1, 1, 1)
	p := newPool(t, "round_robin", ms, nil)
	if got := picks(t, p, 2); got != "a b" {
		t.Fatalf("got %s, want a b", got)
	}
	newPool(t, "round_robin", ms[:1], p)
	if got := picks(t, p, 4); got != "c a b c" {
		t.Errorf("got %s, want c a b c as if nothing had happened", got)
	}
	next := newPool(t, "round_robin", ms[:1], p)
	newPool(t, "round_robin", ms[:1], next)
	if left := len(next.policy.(*roundRobin).credit); left != 1 {
		t.Errorf("%d backends are remembered two generations later, want 1", left)
	}
}

// TestEditedWeightHoldsAtOnce: an edit gives the new pool its weights, the old
// pool's policy its memory.
func TestEditedWeightHoldsAtOnce(t *testing.T) {
	for name := range policies {
		ms := members(1, 1)
		p := newPool(t, name, ms, nil)
		held := map[*Backend]int{}
		take := func(n int) {
			for range n {
				b, err := p.Pick(Choice{Tunnel: true})
				if err != nil {
					t.Fatal(err)
				}
				held[b]++
			}
		}
		take(100)
		ms[1].Weight = 3
		p = newPool(t, name, ms, p)
		take(100)
		if got := held[ms[1].Backend]; name == "least_tunnels" && got != 150 || name == "round_robin" && got != 125 {
			t.Errorf("%s: %d of 200 to the backend whose weight became 3 of 4", name, got)
		}
	}
}

// TestAvoidFailing: a member that has just failed is chosen only if there is no other.
func TestAvoidFailing(t *testing.T) {
	for _, test := range []struct{ members, failing, exclude, want string }{
		{"a b", "", "", "a b"},
		{"a b", "a", "", "b"},
		{"a b", "a b", "", "a b"},
		{"a b", "a b", "b", "a"},
		{"a b:down", "a", "", "a"},
		{"a b:full", "a", "", "a"},
		{"a b:spare c:standby d:tier=1", "a", "", "b"},
		{"a d:tier=1", "a", "", "d"},
		{"a d:tier=1", "a d", "", "a"},
		{"a b", "a b", "a b", ""},
	} {
		members := describedPool(t, test.members)
		c := Choice{Tunnel: true, AvoidFailing: true}
		for i := range members {
			b := members[i].Backend
			if strings.Contains(test.failing, b.Key().Authority) {
				b.health.Failed(errSick, nil)
			}
			if strings.Contains(test.exclude, b.Key().Authority) {
				c.Exclude = append(c.Exclude, b)
			}
		}
		got, err := newMemberSet(members, nil).candidates(c, nil)
		if namesOf(got) != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q, of which %q fail and %q are tried: %q and %v, want %q", test.members, test.failing, test.exclude, namesOf(got), err, test.want)
		}
	}
}
