package main

// Scenarios of what flows: messages, handshakes, requests, and their price.

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// price is what some work costs in µs of CPU for each of its units, after a while
// to get warm.
func (s *stage) price(work func(context.Context) (units int64, err error)) ([]float64, error) {
	if _, err := work(s.within(s.o.length / 4)); err != nil {
		return nil, err
	}
	cpu, err := s.each(s.running, func() (int64, error) { return work(s.within(s.o.length)) })
	return []float64{cpu}, err
}

// echo measures CPU a message: round trips on each of n tunnels, one after the other.
func echo(n, size int) func(*stage) ([]float64, error) {
	return func(s *stage) ([]float64, error) {
		conns, err := s.tunnels(n)
		if err != nil {
			return nil, err
		}
		defer closeAll(conns)
		return s.price(func(ctx context.Context) (int64, error) { return echoes(ctx, conns, size) })
	}
}

// bulk counts each byte once, though an echo carries it there and back.
func bulk(s *stage) ([]float64, error) {
	const size = 1 << 20
	values, err := echo(8, size)(s)
	if err != nil {
		return nil, err
	}
	return []float64{values[0] / 1e6 / (2 * size / 1e9)}, nil
}

// rate measures CPU a message and how long messages take, at a fixed rate.
func rate(n, perSecond int) func(*stage) ([]float64, error) {
	return func(s *stage) ([]float64, error) {
		conns, err := s.tunnels(n)
		if err != nil {
			return nil, err
		}
		defer closeAll(conns)
		if _, err := paced(s.within(s.o.length/2), conns, 64, perSecond); err != nil {
			return nil, err
		}
		values := make([]float64, 1, 4)
		values[0], err = s.each(s.running, func() (int64, error) {
			waits, err := paced(s.within(2*s.o.length), conns, 64, perSecond)
			for _, p := range []float64{0.5, 0.99, 0.999} {
				values = append(values, micro(percentile(waits, p)))
			}
			return int64(len(waits)), err
		})
		return values, err
	}
}

func handshakeCost(s *stage) ([]float64, error) {
	return s.price(func(ctx context.Context) (int64, error) {
		return s.handshakes(ctx, 8, func() string { return echoing })
	})
}

func httpCost(s *stage) ([]float64, error) {
	return s.price(func(ctx context.Context) (int64, error) { return s.requests(ctx, 32) })
}

// matching measures handshakes to one of ten, a thousand and a hundred thousand
// routes, drawn at random: in slices, so that all have the same weather. Only
// ours is asked for the last.
func matching(s *stage) ([]float64, error) {
	counts := []int{10, 1000}
	if s.peer.isProduct() {
		counts = append(counts, 100_000)
	}
	proxies := []*running{s.running}
	for _, n := range counts[1:] {
		r, err := s.launch(site{routes: n})
		if err != nil {
			return nil, fmt.Errorf("%d routes: %w", n, err)
		}
		proxies = append(proxies, r)
	}
	const slices = 3
	samples := make([][]float64, len(counts))
	for slice := range slices + 1 {
		for i, r := range proxies {
			cpu, err := s.each(r, func() (int64, error) { return r.handshakes(s.within(s.o.length/slices), 8, anyOf(counts[i])) })
			if err != nil {
				return nil, err
			}
			if slice > 0 { // the first is for getting warm
				samples[i] = append(samples[i], cpu)
			}
		}
	}
	return matched(samples), nil
}

// matched are the medians, and the last as a multiple of the first.
func matched(samples [][]float64) (values []float64) {
	for _, s := range samples {
		values = append(values, median(s))
	}
	if len(values) < 3 {
		return append(values, unknown, unknown)
	}
	return append(values, values[2]/values[0])
}

// anyOf draws a path below one of n routes.
func anyOf(n int) func() string {
	return func() string { return "/" + routeName(rand.IntN(n)) + echoing }
}
