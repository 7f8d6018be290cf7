package main

// Reloads under tunnels: the scenario that the product was made for.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

var reloadRows = []row{
	{name: "dropped", about: "tunnels dropped", unit: "", most: atMost(0)},
	{name: "live", about: "from the file being read to the first new answer", unit: "ms", most: atMost(5)},
	{name: "live-p90", about: "the same, p90", unit: "ms"},
	{name: "memory", about: "PSS more than before", unit: "MiB", most: atMost(2)},
	{name: "whole", about: "PSS of all its processes then", unit: "MiB"},
	{name: "processes", about: "processes then", unit: ""},
}

func editAnswer(n int) string { return fmt.Sprintf("edit-%d-end", n) }

// reloading edits the routes again and again under n tunnels with 1,000 messages
// a second. After each edit a hundredth of the tunnels is closed and as many are
// opened, as clients come and go: each generation of a proxy's processes has some.
func reloading(n, edits int) func(*stage) ([]float64, error) {
	return func(s *stage) ([]float64, error) {
		conns, err := s.tunnels(n)
		if err != nil {
			return nil, err
		}
		h, err := startHerd(s.ctx, conns)
		if err != nil {
			return nil, err
		}
		defer h.close()
		readings, err := watchReadings(s.site.dir)
		if err != nil {
			return nil, err
		}
		defer readings.close()
		before := s.settled("Pss")
		var lives []time.Duration
		for i := range edits {
			live, err := s.editOnce(i+2, readings)
			if err != nil {
				return nil, fmt.Errorf("edit %d: %w", i+1, err)
			}
			lives = append(lives, live)
			if err := h.exchange(s, max(1, n/100)); err != nil {
				return nil, err
			}
		}
		after, processes := s.settled("Pss"), len(s.pids())
		s.wait(time.Duration(n) * time.Millisecond) // until each tunnel has had its turn
		milli := func(p float64) float64 { return micro(percentile(lives, p)) / 1e3 }
		return []float64{float64(h.dropped()), milli(0.5), milli(0.9), mib(after - before), mib(after), float64(processes)}, nil
	}
}

// editOnce changes the answer of /edit and waits for it. The time counts from the
// last reading of the file before it; as that is looked for between two requests
// only, from the look before it was found.
func (s *stage) editOnce(n int, readings *readings) (time.Duration, error) {
	looked := time.Now()
	var told, read time.Time
	next := s.site
	next.edit = n
	if _, err := s.peer.configure(next); err != nil {
		return 0, err
	}
	for began := time.Now(); time.Since(began) < patience && s.ctx.Err() == nil; {
		// A signal is lost on a master that has just executed itself again.
		if s.peer.reload != nil && time.Since(told) > 2*time.Second {
			if err := s.peer.reload(s.peer, s.running); err != nil {
				return 0, err
			}
			told = time.Now()
		}
		answer, _ := s.askEdit()
		now := time.Now()
		if readings.any() {
			read = looked
		}
		if bytes.Contains(answer, []byte(editAnswer(n))) {
			return now.Sub(read), nil
		}
		looked = now
	}
	return 0, errors.New("the new answer never came")
}

// askEdit asks on a connection of its own, which no old process holds.
func (s *stage) askEdit() ([]byte, error) {
	conn, err := s.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetLinger(0)
	if _, err := io.WriteString(conn, "GET /edit HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n"); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(conn, 8<<10))
}
