package main

// What is measured. A scenario gets a proxy that has just started and returns
// one number.

import (
	"context"
	"fmt"
	"time"
)

type scenario struct {
	name   string
	unit   string
	about  string
	tls    bool
	quick  bool // part of -quick
	relay  bool // means something for a relay that does not parse
	play   func(*running, options) (float64, error)
	target map[string]float64 // the highest ratio to each other proxy that is aimed at
}

func (s scenario) fits(p peer) bool {
	return (s.relay || !p.isRelay) && (!s.tls || p.canTLS)
}

var scenarios = []scenario{
	{name: "echo-64B-100", unit: "µs CPU/message", about: "64 B echoed on 100 tunnels", quick: true, relay: true, play: echo64x(100, 64),
		target: map[string]float64{"relay": 1.10, "nginx": 0.90, "haproxy": 0.85, "caddy": 0.75, "apache": 0.40}},
	{name: "echo-64B-1000", unit: "µs CPU/message", about: "64 B echoed on 1,000 tunnels", quick: true, relay: true, play: echo64x(1000, 64),
		target: map[string]float64{"relay": 1.10, "nginx": 0.80, "haproxy": 0.80}},
	{name: "echo-1KiB-100", unit: "µs CPU/message", about: "1 KiB echoed on 100 tunnels", relay: true, play: echo64x(100, 1<<10)},
	{name: "echo-16KiB-100", unit: "µs CPU/message", about: "16 KiB echoed on 100 tunnels", quick: true, relay: true, play: echo64x(100, 16<<10),
		target: map[string]float64{"relay": 1.15, "nginx": 0.50, "haproxy": 0.60, "caddy": 0.70}},
	{name: "rate-64B-1000", unit: "µs CPU/message", about: "2,000 messages of 64 B a second over 1,000 tunnels", relay: true, play: rate(1000, 2000, false),
		target: map[string]float64{"relay": 1.25, "nginx": 0.85}},
	{name: "latency-64B-1000", unit: "µs p99", about: "the same, p99 from when a message was due", relay: true, play: rate(1000, 2000, true)},
	{name: "bulk", unit: "CPU s/GB", about: "1 MiB echoed on 8 tunnels", quick: true, relay: true, play: bulk,
		target: map[string]float64{"haproxy": 0.40, "nginx": 0.30, "caddy": 0.60}},
	{name: "tls-64B-100", unit: "µs CPU/message", about: "64 B echoed on 100 TLS tunnels", tls: true, play: echo64x(100, 64),
		target: map[string]float64{"nginx": 0.90}},
	{name: "tls-16KiB-100", unit: "µs CPU/message", about: "16 KiB echoed on 100 TLS tunnels", tls: true, play: echo64x(100, 16<<10),
		target: map[string]float64{"nginx": 0.60}},
	{name: "handshake", unit: "µs CPU/handshake", about: "tunnels opened and closed", quick: true, relay: true, play: handshakeCost,
		target: map[string]float64{"nginx": 1.0}},
	{name: "idle-1000", unit: "KiB/tunnel", about: "RSS for each of 1,000 idle tunnels, after a message of 64 B", quick: true, relay: true, play: idle(1000, "Rss", true)},
	{name: "idle-9000", unit: "KiB/tunnel", about: "RSS for each of 9,000 idle tunnels, after a message of 64 B", relay: true, play: idle(9000, "Rss", true)},
	{name: "idle-9000-pss", unit: "MiB", about: "PSS of the whole proxy with 9,000 idle tunnels", relay: true, play: idle(9000, "Pss", false)},
	{name: "idle-tls-1000", unit: "KiB/tunnel", about: "RSS for each of 1,000 idle TLS tunnels, after a message of 64 B", tls: true, play: idle(1000, "Rss", true)},
	{name: "http", unit: "µs CPU/request", about: "plain HTTP requests on 32 kept connections", quick: true, play: httpCost,
		target: map[string]float64{"caddy": 1.0}},
}

// echo64x measures CPU a message: a round trip on each of n tunnels, one after
// the other.
func echo64x(n, size int) func(*running, options) (float64, error) {
	return func(p *running, o options) (float64, error) {
		conns, err := p.tunnels(n)
		if err != nil {
			return 0, err
		}
		defer closeAll(conns)
		if _, err := echoes(within(o.length/4), conns, size); err != nil { // warm
			return 0, err
		}
		before := p.cpu()
		messages, err := echoes(within(o.length), conns, size)
		return perUnit(p.cpu()-before, messages), err
	}
}

// perUnit is in microseconds.
func perUnit(cpu time.Duration, units int64) float64 {
	if units == 0 {
		return 0
	}
	return float64(cpu.Nanoseconds()) / 1e3 / float64(units)
}

func within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func rate(n, perSecond int, latency bool) func(*running, options) (float64, error) {
	return func(p *running, o options) (float64, error) {
		conns, err := p.tunnels(n)
		if err != nil {
			return 0, err
		}
		defer closeAll(conns)
		if _, err := paced(within(o.length/2), conns, 64, perSecond); err != nil {
			return 0, err
		}
		before := p.cpu()
		waits, err := paced(within(2*o.length), conns, 64, perSecond)
		if latency {
			return float64(percentile(waits, 0.99).Nanoseconds()) / 1e3, err
		}
		return perUnit(p.cpu()-before, int64(len(waits))), err
	}
}

// bulk counts each byte once, though an echo carries it there and back.
func bulk(p *running, o options) (float64, error) {
	const size = 1 << 20
	conns, err := p.tunnels(8)
	if err != nil {
		return 0, err
	}
	defer closeAll(conns)
	if _, err := echoes(within(o.length/4), conns, size); err != nil {
		return 0, err
	}
	before := p.cpu()
	messages, err := echoes(within(o.length), conns, size)
	if messages == 0 || err != nil {
		return 0, fmt.Errorf("no message came back: %w", err)
	}
	return (p.cpu() - before).Seconds() / (float64(2*size*messages) / 1e9), nil
}

func handshakeCost(p *running, o options) (float64, error) {
	if _, err := p.handshakes(within(o.length/4), 8); err != nil {
		return 0, err
	}
	before := p.cpu()
	count, err := p.handshakes(within(o.length), 8)
	return perUnit(p.cpu()-before, count), err
}

func httpCost(p *running, o options) (float64, error) {
	if _, err := p.requests(within(o.length/4), 32); err != nil {
		return 0, err
	}
	before := p.cpu()
	count, err := p.requests(within(o.length), 32)
	return perUnit(p.cpu()-before, count), err
}

// settle is what a proxy may take to give back what a burst of handshakes left.
const settle = 3 * time.Second

func idle(n int, field string, each bool) func(*running, options) (float64, error) {
	return func(p *running, _ options) (float64, error) {
		one, err := p.tunnels(1) // what the first tunnel allocates is not the others'
		if err != nil {
			return 0, err
		}
		defer closeAll(one)
		before := p.memory(field)
		conns, err := p.tunnels(n)
		if err != nil {
			return 0, err
		}
		defer closeAll(conns)
		for _, conn := range conns {
			if err := newEchoer(conn, 64).once(); err != nil {
				return 0, err
			}
		}
		time.Sleep(settle)
		after := p.memory(field)
		if each {
			return float64(after-before) / float64(n), nil
		}
		return float64(after) / 1024, nil
	}
}
