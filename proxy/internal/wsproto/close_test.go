package wsproto

import (
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"
)

func size(w Walker) uintptr { return unsafe.Sizeof(w) }

func TestValidOnWire(t *testing.T) {
	valid := map[uint16]bool{}
	for _, r := range [][2]uint16{{1000, 1003}, {1007, 1014}, {3000, 4999}} {
		for c := r[0]; c <= r[1]; c++ {
			valid[c] = true
		}
	}
	for code := range 1 << 16 {
		if got := ValidOnWire(uint16(code)); got != valid[uint16(code)] {
			t.Errorf("ValidOnWire(%d) = %v", code, got)
		}
	}
}

func TestCloseName(t *testing.T) {
	for code, want := range map[uint16]string{
		1000: "normal", 1012: "service_restart", 1006: "abnormal", 1004: "reserved", 2999: "reserved",
		3000: "registered", 3999: "registered", 4000: "private", 4999: "private", 5000: "reserved", 0: "reserved",
	} {
		if got := CloseName(code); got != want {
			t.Errorf("CloseName(%d) = %q, want %q", code, got, want)
		}
	}
}

func TestParseClosePayload(t *testing.T) {
	for _, tt := range []struct {
		in     string
		code   uint16
		reason string
		err    string
	}{
		{"", 1005, "", ""},
		{"\x03\xe8", 1000, "", ""},
		{"\x03\xe9bye", 1001, "bye", ""},
		{"\x13\x87", 4999, "", ""},
		{"\x03", 0, "", "1 byte"},
		{"\x03\xee", 1006, "", "close code 1006, want"},
		{"\x00\x00", 0, "", "close code 0, want"},
		{"\x03\xe8\xc3", 1000, "", "not UTF-8"},
		{strings.Repeat("a", 126), 0, "", "over 125"},
	} {
		code, reason, err := ParseClosePayload([]byte(tt.in))
		if code != tt.code || reason != tt.reason {
			t.Errorf("%q: %d %q, want %d %q", tt.in, code, reason, tt.code, tt.reason)
		}
		if text := errText(err); tt.err == "" && text != "" || !strings.Contains(text, tt.err) {
			t.Errorf("%q: error %q, want %q", tt.in, text, tt.err)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAppendCloseComesBack(t *testing.T) {
	long := strings.Repeat("é", 70)
	for _, tt := range []struct {
		code     uint16
		reason   string
		wantCode uint16
		want     string
	}{
		{1000, "bye", 1000, "bye"},
		{1000, "", 1000, ""},
		{0, "lost", 1005, ""},
		{1005, "lost", 1005, ""},
		{4001, long, 4001, long[:122]},
		{1011, "a\xffb", 1011, "a"},
	} {
		for _, mask := range []*[4]byte{nil, {9, 8, 7, 6}} {
			frame := AppendClose(nil, tt.code, tt.reason, mask)
			w := NewWalker(Rules{Masked: mask != nil})
			if n, ev := w.Next(frame); n != len(frame) || ev.Step != StepClose {
				t.Fatalf("%d %q: not a Close frame: % x", tt.code, tt.reason, frame)
			}
			code, reason, err := ParseClosePayload(ControlPayload(nil, frame))
			if code != tt.wantCode || reason != tt.want || err != nil {
				t.Errorf("%d %q came back as %d %q, %v", tt.code, tt.reason, code, reason, err)
			}
		}
	}
}

func FuzzParseClosePayload(f *testing.F) {
	f.Add([]byte("\x03\xe8bye"))
	f.Add([]byte{3})
	f.Add([]byte("\x03\xe8\xff"))
	f.Fuzz(func(t *testing.T, p []byte) {
		code, reason, err := ParseClosePayload(p)
		if !utf8.ValidString(reason) {
			t.Fatalf("reason %q is not UTF-8", reason)
		}
		if err != nil || len(p) == 0 {
			return
		}
		frame := AppendClose(nil, code, reason, nil)
		if got := string(ControlPayload(nil, frame)); got != string(p) {
			t.Errorf("payload %q comes back as %q", p, got)
		}
	})
}
