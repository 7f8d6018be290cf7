package main

// Where a scenario plays: a proxy that has just started, its backend, and how
// busy both sides were.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// longest is what one play of a scenario may take.
const longest = 6 * time.Minute

// stage is one play's. One goroutine at a time.
type stage struct {
	*running // the proxy as the scenario wants it
	ctx      context.Context
	o        options
	dir      string
	peer     peer
	backend  *backend
	started  []*running
	busy     busy
}

// busy is how many cores were in use while something was measured.
type busy struct{ load, proxy float64 }

// once starts the proxy, plays the scenario, and stops the proxy.
func once(ctx context.Context, dir string, o options, s scenario, p peer) (records []record, err error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	b, err := startBackend()
	if err != nil {
		return nil, err
	}
	defer b.close()
	st := &stage{ctx: ctx, o: o, dir: dir, peer: p, backend: b}
	defer st.stopAll()
	if st.running, err = st.launch(s.site); err != nil {
		return nil, err
	}
	values, err := s.play(st)
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("cut short: %w", context.Cause(ctx))
	}
	if err == nil && len(values) != len(s.rows) {
		err = fmt.Errorf("%d values, wanted %d", len(values), len(s.rows))
	}
	if err != nil {
		return nil, err
	}
	return st.records(s, values), nil
}

// launch starts the stage's proxy before its backend. The stage stops it, at the
// latest when its time is over.
func (s *stage) launch(wanted site) (*running, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	wanted.dir = filepath.Join(s.dir, fmt.Sprintf("%s-%d", s.peer.name, len(s.started)))
	wanted.port, wanted.backend, wanted.cert = port, s.backend.addr, filepath.Join(s.dir, "cert.pem")
	if err := os.MkdirAll(wanted.dir, 0o755); err != nil {
		return nil, err
	}
	args, err := s.peer.configure(wanted)
	if err != nil {
		return nil, err
	}
	r, err := spawn(s.ctx, wanted, s.peer.program, args)
	if err != nil {
		return nil, err
	}
	s.started = append(s.started, r)
	context.AfterFunc(s.ctx, r.kill)
	return r, nil
}

func (s *stage) stopAll() {
	for _, r := range s.started {
		r.stop()
		os.RemoveAll(r.site.dir)
	}
}

// within is a context for that long.
func (s *stage) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(s.ctx, d)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// wait lets time pass.
func (s *stage) wait(d time.Duration) {
	<-s.within(d).Done()
}

// measured returns the CPU time that a proxy uses for some work, and notes how
// busy it and the load were.
func (s *stage) measured(r *running, work func() (units int64, err error)) (cpu time.Duration, units int64, err error) {
	began, own, before := time.Now(), ownCPU(), r.cpu()
	units, err = work()
	cpu = r.cpu() - before
	took := time.Since(began).Seconds()
	s.busy = busy{load: (ownCPU() - own).Seconds() / took, proxy: cpu.Seconds() / took}
	if err == nil && units == 0 {
		err = errors.New("nothing came back")
	}
	return cpu, units, err
}

// each is CPU in microseconds for each unit of some work.
func (s *stage) each(r *running, work func() (units int64, err error)) (float64, error) {
	cpu, units, err := s.measured(r, work)
	if err != nil {
		return 0, err
	}
	return micro(cpu) / float64(units), nil
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// ownCPU is what this process, client and backend, has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// settled waits until a proxy's memory has not fallen for a while, twenty seconds
// at most, and returns it: ours gives back what handshakes leave within two
// seconds of the last.
func (s *stage) settled(field string) int64 {
	const step, calm = 250 * time.Millisecond, 2500 * time.Millisecond
	lowest, since := s.memory(field), time.Now()
	for began := time.Now(); time.Since(began) < 20*time.Second && time.Since(since) < calm && s.ctx.Err() == nil; {
		s.wait(step)
		if now := s.memory(field); now < lowest*99/100 {
			lowest, since = now, time.Now()
		}
	}
	return s.memory(field)
}
