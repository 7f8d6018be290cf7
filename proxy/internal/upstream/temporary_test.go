package upstream

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// temporaryPool has members a and b.
func temporaryPool(t *testing.T, prev *Pool, recordOfA string) *Pool {
	t.Helper()
	member := func(name, record string) Member {
		m := Member{Name: name, Record: record, Backend: NewBackend(BackendKey{Pool: "p", Scheme: "ws", Authority: name + ":1"})}
		if prev != nil {
			for _, before := range prev.Members() {
				if before.Name == name {
					m.Backend = before.Backend
				}
			}
		}
		return m
	}
	p, err := NewPool("p", Settings{}, []Member{member("a", recordOfA), member("b", "1")}, prev)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// givesTo reports which members have new work.
func givesTo(p *Pool) (names string) {
	for _, m := range p.Members() {
		exclude := []*Backend{}
		for _, n := range p.Members() {
			if n.Name != m.Name {
				exclude = append(exclude, n.Backend)
			}
		}
		if b, err := p.Pick(Choice{Tunnel: true, Exclude: exclude}); err == nil {
			b.CloseTunnel()
			names += m.Name
		}
	}
	return names
}

func TestTemporaryStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := temporaryPool(t, nil, "1")
		ended := 0
		set := func(name string, state TemporaryState, lasts time.Duration, force bool) error {
			_, err := p.SetTemporary(name, state, lasts, force, func() { ended++ })
			return err
		}
		if err := set("c", TemporaryDrain, time.Hour, true); !errors.Is(err, ErrNoMember) {
			t.Errorf("of no member: %v", err)
		}
		if err := set("a", TemporaryDisable, time.Hour, false); err != nil || givesTo(p) != "b" {
			t.Errorf("%v, and %q have new work, want b", err, givesTo(p))
		}
		if a := p.Members()[0]; a.Drains() {
			t.Error("a disabled member drains")
		}
		if err := set("b", TemporaryDown, time.Hour, false); !errors.Is(err, ErrLastMember) || givesTo(p) != "b" {
			t.Errorf("the last one: %v, and %q have new work, want b", err, givesTo(p))
		}
		if err := set("b", TemporaryDown, time.Minute, true); err != nil || givesTo(p) != "" {
			t.Errorf("the last one by force: %v, and %q have new work, want none", err, givesTo(p))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if givesTo(p) != "b" || ended != 1 {
			t.Errorf("%q have new work, %d have ended; want b and 1", givesTo(p), ended)
		}
		if err := set("a", TemporaryDrain, 2*time.Hour, false); err != nil || !p.Members()[0].Drains() {
			t.Errorf("a later state: %v", err)
		}
		time.Sleep(time.Hour) // when the one before would have ended
		synctest.Wait()
		if givesTo(p) != "b" || ended != 1 {
			t.Errorf("%q have new work, %d have ended; want b and 1", givesTo(p), ended)
		}

		same := temporaryPool(t, p, "1")
		p.EndTemporaries(same)
		if givesTo(same) != "b" {
			t.Errorf("after a reload %q have new work, want b", givesTo(same))
		}
		edited := temporaryPool(t, same, "2")
		if givesTo(edited) != "ab" {
			t.Errorf("of an edited record %q have new work, want both", givesTo(edited))
		}
		same.EndTemporaries(edited)
		if back := temporaryPool(t, edited, "1"); givesTo(back) != "ab" {
			t.Errorf("after the edit is taken back %q have new work, want both", givesTo(back))
		}
		p = temporaryPool(t, edited, "1")
		if err := set("a", TemporaryDisable, time.Hour, false); err != nil || givesTo(p) != "b" {
			t.Errorf("%v, %q", err, givesTo(p))
		}
		if err := set("a", TemporaryNone, 0, false); err != nil || givesTo(p) != "ab" {
			t.Errorf("undone: %v, and %q have new work, want both", err, givesTo(p))
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if ended != 1 {
			t.Errorf("%d have ended by their time, want 1", ended)
		}
	})
}
