package main

// What open tunnels cost that nothing passes through.

import (
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unknown is the value of a row that this machine, or this proxy, has not.
var unknown = math.NaN()

func idleRows(each, whole *float64) []row {
	return []row{
		{name: "rss", about: "RSS each after a message of 64 B", unit: "KiB", most: each},
		{name: "pss", about: "PSS of the whole proxy", unit: "MiB", most: whole},
		{name: "rss-16KiB", about: "RSS each after a message of 16 KiB", unit: "KiB"},
		{name: "kernel", about: "the kernel's share for its two sockets", unit: "KiB"},
	}
}

// idle opens n tunnels and looks at memory. What the first tunnel allocates is
// not the others'.
func idle(n int) func(*stage) ([]float64, error) {
	return func(s *stage) ([]float64, error) {
		one, err := s.tunnels(1)
		if err != nil {
			return nil, err
		}
		defer closeAll(one)
		before, kernel := s.settled("Rss"), kernelMemory()
		conns, err := s.tunnels(n)
		if err != nil {
			return nil, err
		}
		defer closeAll(conns)
		if err := eachOnce(conns, 64); err != nil {
			return nil, err
		}
		small, whole := s.settled("Rss"), s.memory("Pss")
		// As many sockets are the client's and the backend's as are the proxy's.
		sockets := (kernelMemory() - kernel) / 2
		if err := eachOnce(conns, 16<<10); err != nil {
			return nil, err
		}
		s.wait(time.Second)
		large := s.memory("Rss")
		each := func(kib int64) float64 { return float64(kib-before) / float64(n) }
		return []float64{each(small), float64(whole) / 1024, each(large), sockets / 1024 / float64(n)}, nil
	}
}

// networkCaches are the kernel's slabs that a connection has objects in.
var networkCaches = []string{"TCP", "sock_inode_cache", "filp", "dentry", "eventpoll_epi", "tcp_bind_bucket", "tcp_bind2_bucket",
	"skbuff_head_cache", "skbuff_small_head", "skbuff_fclone_cache"}

// kernelMemory is what the network's slabs hold, of the whole machine, in bytes;
// unknown for those who may not read it.
func kernelMemory() float64 {
	text, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return unknown
	}
	return slabBytes(string(text))
}

func slabBytes(slabinfo string) (sum float64) {
	for line := range strings.Lines(slabinfo) {
		// name <active_objs> <num_objs> <objsize> ...
		fields := strings.Fields(line)
		if len(fields) < 4 || !slices.Contains(networkCaches, fields[0]) {
			continue
		}
		active, _ := strconv.Atoi(fields[1])
		size, _ := strconv.Atoi(fields[3])
		sum += float64(active * size)
	}
	return sum
}

// mib is for the pressure table.
func mib(kib int64) float64 { return math.Round(float64(kib)/1024*10) / 10 }
