package main

// What a proxy does when something is too much.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// flood measures a thousand tunnels at a fixed rate, with and without one that
// sends as fast as it can to a backend that forgets it: quiet and flood in turn.
func flood(s *stage) ([]float64, error) {
	conns, err := s.tunnels(1000)
	if err != nil {
		return nil, err
	}
	defer closeAll(conns)
	flooding, err := s.tunnel(sinking)
	if err != nil {
		return nil, err
	}
	defer flooding.Close()
	var quiet, loud, multiples []float64
	for turn := range 7 {
		calm, err := paced(s.within(s.o.length/2), conns, 64, 2000)
		if err != nil {
			return nil, err
		}
		stop := pour(flooding)
		wet, err := paced(s.within(s.o.length/2), conns, 64, 2000)
		if err := errors.Join(err, stop()); err != nil {
			return nil, err
		}
		if turn == 0 {
			continue // for getting warm
		}
		before, after := micro(percentile(calm, 0.99)), micro(percentile(wet, 0.99))
		quiet, loud, multiples = append(quiet, before), append(loud, after), append(multiples, after/before)
	}
	return []float64{median(multiples), median(quiet), median(loud)}, nil
}

// pour writes messages of 64 KiB until it is stopped.
func pour(w io.Writer) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		message := frame(64<<10, true)
		for ctx.Err() == nil {
			if _, err := w.Write(message); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	return func() error {
		cancel()
		return <-ended
	}
}

// stalled fills tunnels whose reader has stopped after much traffic, when all
// buffers have grown.
func stalled(s *stage) ([]float64, error) {
	before := s.memory("Rss")
	values := make([]float64, 0, 3)
	for _, path := range []string{stalling, echoing} {
		kernel, err := s.stall(path)
		if err != nil {
			return nil, err
		}
		values = append(values, kernel)
	}
	return append(values, float64(s.memory("Rss")-before)), nil
}

// stall returns what the kernel holds for the proxy's sockets, in KiB, once
// nothing moves in a tunnel any more.
func (s *stage) stall(path string) (float64, error) {
	conn, err := s.tunnel(path)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	fd := conn.(*raw).fd
	message, buffer := frame(1<<20, true), make([]byte, 256<<10)
	left, out, still := stallAfter, message, time.Now()
	for time.Since(still) < 2*time.Second && s.ctx.Err() == nil {
		n, err := send(fd, out)
		if err != nil && err != errAgain {
			return 0, err
		}
		if out = out[n:]; len(out) == 0 {
			out = message
		}
		m := 0
		if path == echoing && left > 0 {
			m, _ = receive(fd, buffer[:min(left, len(buffer))])
			left -= m
		}
		if n+m > 0 {
			still = time.Now()
			continue
		}
		time.Sleep(time.Millisecond) // nothing is measured in time here
	}
	return s.socketMemory()
}

// socketMemory is what the kernel holds in the buffers of the proxy's sockets, in
// KiB; unknown without ss.
func (s *stage) socketMemory() (float64, error) {
	said, err := exec.Command("ss", "-tmnH", "state", "established").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return unknown, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ss: %w", err)
	}
	return float64(buffered(string(said), s.addr, s.backend.addr)) / 1024, nil
}

// skmem is "skmem:(r<receive>,rb<limit>,t<transmit>,tb<limit>,f<forward>,w<queued>,...".
var skmem = regexp.MustCompile(`skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f\d+,w(\d+),`)

// buffered sums what is received and what is queued, in bytes, over the sockets
// in the output of ss that a proxy listening at front has: those that its clients
// are connected to, and its own connections to back.
func buffered(ss, front, back string) (sum int64) {
	ours := false
	for line := range strings.Lines(ss) {
		if fields := strings.Fields(line); !strings.Contains(line, "skmem:(") || len(fields) >= 5 {
			ours = len(fields) >= 4 && (fields[2] == front || fields[3] == back)
		}
		if m := skmem.FindStringSubmatch(line); ours && m != nil {
			received, _ := strconv.ParseInt(m[1], 10, 64)
			queued, _ := strconv.ParseInt(m[2], 10, 64)
			sum += received + queued
		}
	}
	return sum
}

// exhausted takes the proxy's last descriptor, sees what waiting for one costs,
// and gives some back.
func exhausted(s *stage) ([]float64, error) {
	const says = "cannot accept connections"
	tunnels, err := s.tunnels(5)
	if err != nil {
		return nil, err
	}
	defer closeAll(tunnels)
	var idle []io.ReadWriteCloser
	defer func() { closeAll(idle) }()
	for !strings.Contains(s.output(), says) {
		conn, err := s.dial()
		if err != nil || len(idle) > 4*s.site.descriptors {
			return nil, fmt.Errorf("%d clients did not take all descriptors: %v", len(idle), err)
		}
		idle = append(idle, conn)
		s.wait(5 * time.Millisecond)
	}
	s.wait(3 * time.Second) // by then it waits as long as it ever will
	before := s.cpu()
	const watched = 2 * time.Second
	s.wait(watched)
	share := 100 * (s.cpu() - before).Seconds() / watched.Seconds()
	if err := eachOnce(tunnels, 64); err != nil {
		return nil, fmt.Errorf("an open tunnel: %w", err)
	}
	again, err := s.servedAgain(idle[:6])
	return []float64{float64(strings.Count(s.output(), says)), share, micro(again) / 1e3}, err
}

// servedAgain has a client wait for a tunnel, closes connections that the proxy
// has, and returns how long the client waited from there.
func (s *stage) servedAgain(held []io.ReadWriteCloser) (time.Duration, error) {
	waiting, err := s.dial()
	if err != nil {
		return 0, err
	}
	defer waiting.Close()
	freed := time.Now()
	closeAll(held)
	err = upgrade(waiting, echoing)
	return time.Since(freed), err
}

// churn opens and closes all tunnels again and again; memory is compared after
// the second time, when everything has grown, and after the last.
func churn(n, times int) func(*stage) ([]float64, error) {
	return func(s *stage) ([]float64, error) {
		var second int64
		for i := range times {
			err := s.openAndClose(n)
			if err == nil && i == 1 {
				second, err = s.givenBack()
			}
			if err != nil {
				return nil, fmt.Errorf("time %d: %w", i+1, err)
			}
		}
		last, err := s.givenBack()
		return []float64{mib(second), mib(last), float64(last) / float64(second)}, err
	}
}

func (s *stage) openAndClose(n int) error {
	conns, err := s.tunnels(n)
	if err != nil {
		return err
	}
	err = eachOnce(conns, 64)
	closeAll(conns)
	return errors.Join(err, s.emptied())
}

// givenBack is RSS once the proxy has given back what all the tunnels have left.
// Ours does so when a tunnel has opened and then none has for a while; of those
// that were many, some ended later than that, hence one more.
func (s *stage) givenBack() (int64, error) {
	if err := s.openAndClose(1); err != nil {
		return 0, err
	}
	return s.settled("Rss"), nil
}

// emptied waits until the proxy has passed on that all tunnels are closed: this
// process has descriptors for one set of them, not for two.
func (s *stage) emptied() error {
	for began := time.Now(); s.backend.open() > 0; s.wait(10 * time.Millisecond) {
		if time.Since(began) > patience || s.ctx.Err() != nil {
			return fmt.Errorf("%d tunnels are open at the backend, wanted none", s.backend.open())
		}
	}
	return nil
}

// pauses has many tunnels open, some with traffic, and handshakes, which make
// the garbage; and reads in the runtime's own trace how long each collection
// stopped the proxy.
func pauses(s *stage) ([]float64, error) {
	conns, err := s.tunnels(9000)
	if err != nil {
		return nil, err
	}
	defer closeAll(conns)
	before := len(s.output())
	ctx := s.within(8 * s.o.length)
	opened := make(chan error, 1)
	go func() { opened <- s.handshakesPaced(ctx, 500) }()
	_, err = paced(ctx, conns, 64, 2000)
	if err := errors.Join(err, <-opened); err != nil {
		return nil, err
	}
	stops := traced(s.output()[before:])
	return []float64{float64(len(stops)) / 2, micro(percentile(stops, 0.99)), micro(percentile(stops, 1))}, nil
}

func (s *stage) handshakesPaced(ctx context.Context, perSecond int) error {
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		conn, err := s.tunnel(echoing)
		if err != nil {
			return err
		}
		conn.Close()
	}
}

// collection is a line of GODEBUG=gctrace=1: the first and the last of the three
// times are those that nothing else runs in.
var collection = regexp.MustCompile(`(?m)^gc \d+ @[\d.]+s \d+%: ([\d.]+)\+[\d.]+\+([\d.]+) ms clock`)

// traced are the stops in a trace, two a collection.
func traced(text string) (stops []time.Duration) {
	for _, m := range collection.FindAllStringSubmatch(text, -1) {
		for _, milli := range m[1:] {
			f, _ := strconv.ParseFloat(milli, 64)
			stops = append(stops, time.Duration(f*float64(time.Millisecond)))
		}
	}
	return stops
}
