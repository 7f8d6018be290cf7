package main

// What is read from the kernel and from the proxies' own words.

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestReadingsAreSeen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "routes.yaml")
	for _, name := range []string{file, filepath.Join(dir, "access.log")} {
		if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := watchReadings(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if r.any() {
		t.Error("a reading before there was one")
	}
	for _, name := range []string{file, filepath.Join(dir, "access.log")} {
		if _, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
		if got := r.any(); got != (name == file) {
			t.Errorf("%s was read: %v", name, got)
		}
	}
	if r.any() {
		t.Error("the same reading again")
	}
}

func TestWatchedNames(t *testing.T) {
	event := func(name string) []byte {
		b := make([]byte, 16, 32)
		b[12] = 16 // little endian machines only, which are those that are tested on
		return append(b, append([]byte(name), make([]byte, 16-len(name))...)...)
	}
	got := watchedNames(slices.Concat(event("routes.yaml"), event("x"), []byte("cut short")))
	if !slices.Equal(got, []string{"routes.yaml", "x"}) {
		t.Errorf("%q", got)
	}
}

func TestSlabBytes(t *testing.T) {
	const text = `slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables
TCPv6                 26     26   2496   13    8 : tunables    0    0    0 : slabdata      2      2      0
TCP                  100    156   2368   13    8 : tunables    0    0    0 : slabdata     12     12      0
filp                  10    798    192   21    1 : tunables    0    0    0 : slabdata     38     38      0
`
	if got, want := slabBytes(text), 100*2368+10*192.0; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestBuffered(t *testing.T) {
	const text = `0      0          127.0.0.1:8000      127.0.0.1:50000
	 skmem:(r1000,rb131072,t0,tb2626560,f0,w20,o0,bl0,d0)
0      0          127.0.0.1:50000     127.0.0.1:8000
	 skmem:(r7,rb131072,t0,tb2626560,f0,w7,o0,bl0,d0)
0      0          127.0.0.1:50001     127.0.0.1:9000   skmem:(r300,rb131072,t5,tb2626560,f77,w4,o0,bl0,d0)
0      0          127.0.0.1:9000      127.0.0.1:50001  skmem:(r7,rb131072,t0,tb2626560,f0,w7,o0,bl0,d0)
`
	if got := buffered(text, "127.0.0.1:8000", "127.0.0.1:9000"); got != 1324 {
		t.Errorf("%d, want 1324", got)
	}
}

func TestTraced(t *testing.T) {
	const text = `{"msg":"listening"}
gc 1 @0.010s 2%: 0.018+1.1+0.003 ms clock, 0.036+0.5/0.6/0.1+0.007 ms cpu, 4->4->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P
gc 2 @1.5s 0%: 1+2+0.5 ms clock, 0.1+0/0.6/0.1+0.007 ms cpu, 4->4->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P (forced)
`
	got := traced(text)
	want := []time.Duration{18 * time.Microsecond, 3 * time.Microsecond, time.Millisecond, 500 * time.Microsecond}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestMatched(t *testing.T) {
	if got := matched([][]float64{{2, 4, 3}, {5}, {6}}); !slices.Equal(got, []float64{3, 5, 6, 2}) {
		t.Errorf("%v", got)
	}
	if got := matched([][]float64{{2}, {5}}); len(got) != 4 || got[2] == got[2] { // not a number is unlike itself
		t.Errorf("%v, want two numbers and two that are unknown", got)
	}
}
