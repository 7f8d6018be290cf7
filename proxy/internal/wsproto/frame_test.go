package wsproto

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// bin turns spaced hex into bytes; "*N" behind a byte repeats it.
func bin(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for _, f := range strings.Fields(s) {
		h, times, _ := strings.Cut(f, "*")
		b, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		n := 1
		if times != "" {
			fmt.Sscan(times, &n)
		}
		out = append(out, bytes.Repeat(b, n)...)
	}
	return out
}

// walkAll feeds a stream in pieces, as an engine does, and returns the events
// that do not depend on the split, each with the offset that it stands at.
func walkAll(w Walker, stream []byte, cuts []int) []string {
	var events []string
	var held []byte
	offset, from := 0, 0
	for _, to := range append(cuts, len(stream)) {
		p := append(slices.Clone(held), stream[from:to]...)
		from = to
		for {
			n, ev := w.Next(p)
			p = p[n:]
			offset += n
			if ev.Step == StepMore {
				break
			}
			if ev.Step != StepPart {
				events = append(events, eventText(offset, ev))
			}
			if ev.Step == StepTooBig {
				w.Unlimit()
			}
		}
		held = p
		if len(held) > MaxHeld {
			panic(fmt.Sprintf("%d bytes held", len(held)))
		}
	}
	return append(events, fmt.Sprintf("%d held, %d remaining, between %v", len(held), w.Remaining(), w.Between()))
}

func eventText(offset int, ev Event) string {
	name := [...]string{"more", "part", "frame", "message", "ping", "pong", "close", "too big", "violation"}[ev.Step]
	if ev.Step == StepViolation {
		return fmt.Sprintf("@%d %s: %s", offset, name, ev.Fault)
	}
	return fmt.Sprintf("@%d %s %x of %d", offset, name, ev.Op, ev.Size)
}

var walks = []struct {
	name  string
	rules Rules
	bytes string
	want  []string // without the last line
}{
	{"text", Rules{}, "81 02 6869", []string{"@4 message 1 of 2"}},
	{"two in a row", Rules{}, "81 01 61 82 00", []string{"@3 message 1 of 1", "@5 message 2 of 0"}},
	{"masked", Rules{Masked: true}, "81 82 01020304 6869", []string{"@8 message 1 of 2"}},
	{"zero mask", Rules{Masked: true}, "81 81 00000000 68", []string{"@7 message 1 of 1"}},
	{"empty fragments", Rules{}, "01 00 00 00 80 00", []string{"@2 frame 1 of 0", "@4 frame 0 of 0", "@6 message 0 of 0"}},
	{"ping between fragments", Rules{}, "01 01 61 89 01 70 80 01 62", []string{"@3 frame 1 of 1", "@6 ping 9 of 1", "@9 message 0 of 2"}},
	{"16 bit length", Rules{}, "82 7e 007e 00*126", []string{"@130 message 2 of 126"}},
	{"64 bit length", Rules{}, "82 7f 0000000000010000 00*65536", []string{"@65546 message 2 of 65536"}},
	{"longest control", Rules{Masked: true}, "8a fd 00000000 00*125", []string{"@131 pong a of 125"}},
	{"close", Rules{}, "88 00", []string{"@2 close 8 of 0"}},
	{"close with private code", Rules{}, "88 04 1387 6869", []string{"@6 close 8 of 4"}},
	{"more behind close", Rules{}, "88 00 81 00", []string{"@2 close 8 of 0", "@4 message 1 of 0"}},
	{"deflate", Rules{RSV: 0x40}, "41 00 80 00", []string{"@2 frame 1 of 0", "@4 message 0 of 0"}},
	{"half a header", Rules{}, "81", nil},
	{"half a length", Rules{}, "82 7f 00000000", nil},
	{"half a ping", Rules{}, "89 05 7070", nil},
	{"half a message", Rules{}, "81 05 6869", nil},

	{"reserved bit", Rules{}, "c1 00", []string{"@0 violation: reserved bit set without an extension"}},
	{"reserved bit not owned", Rules{RSV: 0x40}, "a1 00", []string{"@0 violation: reserved bit set without an extension"}},
	{"deflate on a continuation", Rules{RSV: 0x40}, "01 00 c0 00", []string{"@2 frame 1 of 0", "@2 violation: reserved bit set without an extension"}},
	{"deflate on a ping", Rules{RSV: 0x40}, "c9 00", []string{"@0 violation: reserved bit set without an extension"}},
	{"opcode 3", Rules{}, "83 00", []string{"@0 violation: reserved opcode"}},
	{"opcode b", Rules{}, "8b 00", []string{"@0 violation: reserved opcode"}},
	{"masked server", Rules{}, "81 80 00000000", []string{"@0 violation: wrong mask bit"}},
	{"unmasked client", Rules{Masked: true}, "81 00", []string{"@0 violation: wrong mask bit"}},
	{"fragmented ping", Rules{}, "09 00", []string{"@0 violation: fragmented control frame"}},
	{"long ping", Rules{}, "89 7e 007e", []string{"@0 violation: control frame over 125 bytes"}},
	{"16 bit for 125", Rules{}, "82 7e 007d", []string{"@0 violation: length not minimal or over 63 bits"}},
	{"64 bit for 65535", Rules{}, "82 7f 000000000000ffff", []string{"@0 violation: length not minimal or over 63 bits"}},
	{"64 bit, top bit", Rules{}, "82 7f 8000000000000000", []string{"@0 violation: length not minimal or over 63 bits"}},
	{"continuation of nothing", Rules{}, "80 00", []string{"@0 violation: continuation without a message"}},
	{"message in a message", Rules{}, "01 00 81 00", []string{"@2 frame 1 of 0", "@2 violation: new message inside a fragmented one"}},
	{"close of one byte", Rules{}, "88 01 03", []string{"@0 violation: bad close payload"}},
	{"close 1005", Rules{}, "88 02 03ed", []string{"@0 violation: bad close payload"}},
	{"close not UTF-8", Rules{}, "88 03 03e8 ff", []string{"@0 violation: bad close payload"}},
	{"masked close 1006", Rules{Masked: true}, "88 82 01000000 02ee", []string{"@0 violation: bad close payload"}},

	{"frame at its limit", Rules{MaxFrame: 2}, "81 02 6869", []string{"@4 message 1 of 2"}},
	{"frame over its limit", Rules{MaxFrame: 1}, "81 02 6869", []string{"@0 too big 1 of 2", "@4 message 1 of 2"}},
	{"message over its limit", Rules{MaxMessage: 3}, "01 02 6869 80 02 6869", []string{"@4 frame 1 of 2", "@4 too big 0 of 4", "@8 message 0 of 4"}},
	{"ping over a limit of 1", Rules{MaxFrame: 1, MaxMessage: 1}, "89 02 6869", []string{"@4 ping 9 of 2"}},
	{"longest frame", Rules{MaxFrame: 9}, "82 7f 7fffffffffffffff", []string{fmt.Sprintf("@0 too big 2 of %d", int64(math.MaxInt64))}},
	{"longest message", Rules{MaxFrame: 9}, "02 01 00 80 7f 7fffffffffffffff", []string{"@3 frame 2 of 1", fmt.Sprintf("@3 too big 0 of %d", int64(math.MaxInt64))}},
}

func TestWalker(t *testing.T) {
	for _, tt := range walks {
		t.Run(tt.name, func(t *testing.T) {
			got := walkAll(NewWalker(tt.rules), bin(t, tt.bytes), nil)
			if !slices.Equal(got[:len(got)-1], tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestWalkerSplitEverywhere(t *testing.T) {
	for _, tt := range walks {
		stream := bin(t, tt.bytes)
		if len(stream) > 1000 {
			continue // FuzzWalker's seeds split these
		}
		want := walkAll(NewWalker(tt.rules), stream, nil)
		for i := range stream {
			if got := walkAll(NewWalker(tt.rules), stream, []int{i}); !slices.Equal(got, want) {
				t.Errorf("%s, split at %d: got %q, want %q", tt.name, i, got, want)
			}
		}
		single := make([]int, len(stream))
		for i := range single {
			single[i] = i
		}
		if got := walkAll(NewWalker(tt.rules), stream, single); !slices.Equal(got, want) {
			t.Errorf("%s, byte by byte: got %q, want %q", tt.name, got, want)
		}
	}
}

func TestWalkerSkip(t *testing.T) {
	w := NewWalker(Rules{})
	frame := AppendFrame(nil, OpBinary, make([]byte, 1<<20), nil)
	n, ev := w.Next(frame[:100])
	if n != 100 || ev.Step != StepPart || w.Between() {
		t.Fatalf("Next took %d with step %d", n, ev.Step)
	}
	if ev := w.Skip(w.Remaining() - 1); ev.Step != StepPart || w.Remaining() != 1 {
		t.Fatalf("Skip: step %d, %d remaining", ev.Step, w.Remaining())
	}
	if ev := w.Skip(1); ev.Step != StepMessage || ev.Size != 1<<20 || !w.Between() {
		t.Fatalf("Skip to the end: %+v", ev)
	}
}

func TestWalkerIsSmall(t *testing.T) {
	if got, want := int(size(Walker{})), 48; got > want {
		t.Errorf("a Walker has %d bytes, want at most %d", got, want)
	}
}

// oracle walks a whole stream at once, one field at a time, straight from RFC
// 6455 section 5.2. It shares nothing with Walker but the names.
func oracle(r Rules, s []byte) (events []string) {
	open, size := false, uint64(0)
	frameMax, messageMax := limit(r.MaxFrame), limit(r.MaxMessage)
	at := 0
	tail := func(held int, remaining uint64, between bool) []string {
		return append(events, fmt.Sprintf("%d held, %d remaining, between %v", held, remaining, between))
	}
	bad := func(f Fault) []string {
		events = append(events, fmt.Sprintf("@%d violation: %s", at, f))
		return tail(0, 0, false)
	}
	for {
		p := s[at:]
		if len(p) < 2 {
			return tail(len(p), 0, true)
		}
		fin, rsv, op, masked, length := p[0]>>7 == 1, p[0]&0x70, p[0]&15, p[1]>>7 == 1, uint64(p[1]&127)
		isControl := op >= 8
		allowed := r.RSV
		if isControl || op == 0 {
			allowed &= 0x30
		}
		switch {
		case rsv&^allowed != 0:
			return bad(FaultReserved)
		case masked != r.Masked:
			return bad(FaultMask)
		case op > 2 && op < 8 || op > 10:
			return bad(FaultOpcode)
		case isControl && !fin:
			return bad(FaultFragment)
		case isControl && length > 125:
			return bad(FaultControlSize)
		case op == 0 && !open:
			return bad(FaultContinuation)
		case (op == 1 || op == 2) && open:
			return bad(FaultInterleaved)
		}
		header := 2
		if length >= 126 {
			wide := map[uint64]int{126: 2, 127: 8}[length]
			if len(p) < 2+wide {
				return tail(len(p), 0, true)
			}
			header, length = 2+wide, 0
			for _, b := range p[2:header] {
				length = length<<8 | uint64(b)
			}
			if length>>63 == 1 || wide == 2 && length < 126 || wide == 8 && length <= 0xffff {
				return bad(FaultLength)
			}
		}
		mask := make([]byte, 4)
		if masked {
			if len(p) < header+4 {
				return tail(len(p), 0, true)
			}
			mask = p[header : header+4]
			header += 4
		}
		have := min(uint64(len(p)-header), length)
		if isControl {
			if have < length {
				return tail(len(p), 0, true)
			}
			if op == 8 && !closeOK(p[header:header+int(length)], mask) {
				return bad(FaultClosePayload)
			}
			at += header + int(length)
			events = append(events, fmt.Sprintf("@%d %s %x of %d", at, []string{"close", "ping", "pong"}[op-8], op, length))
			continue
		}
		if op != 0 {
			size = 0
		}
		sum := min(size+length, math.MaxInt64)
		if length > frameMax || sum > messageMax {
			events = append(events, fmt.Sprintf("@%d too big %x of %d", at, op, sum))
			frameMax, messageMax = math.MaxInt64, math.MaxInt64
		}
		size, open = sum, !fin
		if have < length {
			return tail(0, length-have, false)
		}
		at += header + int(length)
		name := "message"
		if !fin {
			name = "frame"
		}
		events = append(events, fmt.Sprintf("@%d %s %x of %d", at, name, op, size))
	}
}

func closeOK(payload, mask []byte) bool {
	var clear []byte
	for i, b := range payload {
		clear = append(clear, b^mask[i%4])
	}
	if len(clear) < 2 {
		return len(clear) == 0
	}
	code := binary.BigEndian.Uint16(clear)
	known := []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}
	return utf8.Valid(clear[2:]) && (slices.Contains(known, code) || code >= 3000 && code < 5000)
}

// FuzzWalker holds the walk against the oracle, and any split against the whole.
func FuzzWalker(f *testing.F) {
	for i, tt := range walks {
		f.Add(bin(f, tt.bytes), []byte{byte(i), 1, 3}, tt.rules.Masked, tt.rules.RSV, tt.rules.MaxFrame, tt.rules.MaxMessage)
	}
	f.Fuzz(func(t *testing.T, stream, splits []byte, masked bool, rsv byte, maxFrame, maxMessage int64) {
		rules := Rules{Masked: masked, RSV: rsv & 0x70, MaxFrame: maxFrame, MaxMessage: maxMessage}
		whole := walkAll(NewWalker(rules), stream, nil)
		if want := oracle(rules, stream); !slices.Equal(whole, want) {
			t.Errorf("the walk:\n%s\nthe oracle:\n%s", strings.Join(whole, "\n"), strings.Join(want, "\n"))
		}
		var cuts []int
		at := 0
		for _, s := range splits {
			if at += int(s); at <= len(stream) {
				cuts = append(cuts, at)
			}
		}
		if split := walkAll(NewWalker(rules), stream, cuts); !slices.Equal(split, whole) {
			t.Errorf("split at %d:\n%s\nwhole:\n%s", cuts, strings.Join(split, "\n"), strings.Join(whole, "\n"))
		}
	})
}

func TestAppendFrame(t *testing.T) {
	key := &[4]byte{1, 2, 3, 4}
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		for _, mask := range []*[4]byte{nil, key} {
			payload := bytes.Repeat([]byte{'a'}, n)
			frame := AppendFrame([]byte("x"), OpText, payload, mask)[1:]
			got := walkAll(NewWalker(Rules{Masked: mask != nil}), frame, nil)
			if want := fmt.Sprintf("@%d message 1 of %d", len(frame), n); got[0] != want {
				t.Errorf("%d bytes, mask %v: %q, want %q", n, mask, got[0], want)
			}
			if n <= 125 && (!bytes.Equal(ControlPayload(nil, frame), payload) || ControlLen(frame) != len(frame)) {
				t.Errorf("%d bytes, mask %v: payload does not come back", n, mask)
			}
		}
	}
}

func BenchmarkWalker64(b *testing.B) {
	for _, masked := range []bool{true, false} {
		b.Run(fmt.Sprintf("masked=%v", masked), func(b *testing.B) {
			var mask *[4]byte
			if masked {
				mask = new([4]byte)
			}
			frame := AppendFrame(nil, OpBinary, make([]byte, 64), mask)
			w := NewWalker(Rules{Masked: masked})
			b.ReportAllocs()
			for b.Loop() {
				if n, ev := w.Next(frame); n != len(frame) || ev.Step != StepMessage {
					b.Fatal(n, ev)
				}
			}
		})
	}
}
