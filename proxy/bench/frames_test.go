package main

import (
	"bytes"
	"slices"
	"testing"
)

// seen is a frame that a walker has found.
type seen struct {
	op      byte
	size    int
	control string
}

func walk(w *walker, pieces ...[]byte) (found []seen) {
	for _, b := range pieces {
		for len(b) > 0 {
			rest, f, ok := w.next(b)
			b = rest
			if ok {
				found = append(found, seen{f.op, f.size, string(f.control)})
			}
		}
	}
	return found
}

// A stream of all lengths, masked and not, is found the same wherever it is cut.
func TestWalkerAtEveryCut(t *testing.T) {
	var stream []byte
	var want []seen
	for _, masked := range []bool{false, true} {
		for _, size := range []int{0, 1, 125, 126, 300, 0xffff, 0x10000} {
			stream = append(stream, frame(size, masked)...)
			want = append(want, seen{op: opBinary, size: size})
		}
		stream = append(stream, message(opPing, []byte("who is there"), masked)...)
		want = append(want, seen{opPing, 12, "who is there"})
	}
	for cut := 0; cut <= len(stream); cut += 1 + cut/700 {
		clear := []seen{}
		for _, s := range walk(&walker{}, stream[:cut], stream[cut:]) {
			if s.op == opBinary {
				s.control = "" // of no meaning
			}
			clear = append(clear, s)
		}
		if !slices.Equal(clear, want) {
			t.Fatalf("cut at %d: %v, want %v", cut, clear, want)
		}
	}
}

func TestWalkerUnmasks(t *testing.T) {
	ping := []byte{0x80 | opPing, 0x80 | 5, 1, 2, 3, 4, 'h' ^ 1, 'e' ^ 2, 'l' ^ 3, 'l' ^ 4, 'o' ^ 1}
	for cut := range ping {
		got := walk(&walker{}, ping[:cut], ping[cut:])
		if !slices.Equal(got, []seen{{opPing, 5, "hello"}}) {
			t.Errorf("cut at %d: %v", cut, got)
		}
	}
}

// Whatever comes, two ways of cutting it agree, and nothing is taken twice.
func FuzzWalker(f *testing.F) {
	f.Add(append(frame(3, true), message(opPing, []byte("x"), false)...), 4)
	f.Add([]byte{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 2)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = min(max(cut, 0), len(b))
		whole, parts := walk(&walker{}, bytes.Clone(b)), walk(&walker{}, b[:cut], b[cut:])
		if !slices.EqualFunc(whole, parts, func(a, b seen) bool { return a.op == b.op && a.size == b.size }) {
			t.Errorf("in one piece %v, cut at %d %v", whole, cut, parts)
		}
	})
}
