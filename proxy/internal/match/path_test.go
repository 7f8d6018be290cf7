package match

import (
	"strings"
	"testing"
)

var normalPaths = []struct{ raw, want string }{
	{"/", "/"},
	{"/a/b", "/a/b"},
	{"/a/", "/a/"},
	{"/%41", "/A"},
	{"/%7euser", "/~user"},
	{"/%2b%2B+", "/%2B%2B+"},
	{"/%c3%a9", "/%C3%A9"},
	{"/\xc3\xa9", "/%C3%A9"},
	{"/a b", "/a%20b"},
	{"/\"<>^`{|}[]", "/%22%3C%3E%5E%60%7B%7C%7D%5B%5D"},
	{"/!$&'()*+,;=:@-._~", "/!$&'()*+,;=:@-._~"},
	{"//", "/"},
	{"//a///b//", "/a/b/"},
	{"/.", "/"},
	{"/..", "/"},
	{"/../..", "/"},
	{"/./a", "/a"},
	{"/a/.", "/a/"},
	{"/a/..", "/"},
	{"/a/b/..", "/a/"},
	{"/a/b/../c", "/a/c"},
	{"/a//../b", "/b"},
	{"/a/%2e%2E/b", "/b"},
	{"/a/%2e/b", "/a/b"},
	{"/...", "/..."},
	{"/a/..b", "/a/..b"},
	{"/.well-known/x", "/.well-known/x"},
	{"/a;b/c", "/a;b/c"},
	{"/a..;/c", "/a..;/c"},
	{"/%25", "/%25"},
	{"/%252e%252E/", "/%252e%252E/"},
	{"/%252F", "/%252F"},
	{"/%252f%252e", "/%252f%252e"},
	{"/a%2fb", "/a%2Fb"},
	{"/%2F", "/%2F"},
	{"/%2f/%2F//x", "/%2F/%2F/x"},
	{"/a/..%2Fb", "/a/..%2Fb"}, // no dot segments: the slash is a character
	{"/a%2F..", "/a%2F.."},
	{"/a/%2f%2e%2e%2f/b", "/a/%2F..%2F/b"},
	{"/a%2Fb/../c", "/c"},
	{"/a/%2F/../c", "/a/c"},
	{"/https%3A%2F%2Fa%2Fb/ws", "/https%3A%2F%2Fa%2Fb/ws"},
}

func TestNormalizePath(t *testing.T) {
	for _, test := range normalPaths {
		got, err := NormalizePath(test.raw)
		if got != test.want || err != nil {
			t.Errorf("NormalizePath(%q) = %q, %v; want %q", test.raw, got, err, test.want)
		}
		if again, err := NormalizePath(got); again != got || err != nil {
			t.Errorf("NormalizePath(%q) = %q, %v; want it unchanged", got, again, err)
		}
	}
}

func TestNormalizePathRefuses(t *testing.T) {
	for _, test := range []struct{ raw, want string }{
		{"", "leading slash"},
		{"*", "leading slash"},
		{"a/b", "leading slash"},
		{"%2Fa", "leading slash"},
		{"/%", "bad escape"},
		{"/%4", "bad escape"},
		{"/%4/", "bad escape"},
		{"/%zz", "bad escape"},
		{"/a%2F%5cb", "backslash"},
		{"/a%2F%00", "control byte"},
		{"/..;%2Fb", "dot segment"},
		{"/a%5cb", "backslash"},
		{`/a\b`, "backslash"},
		{`/..\b`, "backslash"},
		{"/%00", "control byte"},
		{"/%0d%0a", "control byte"},
		{"/%7F", "control byte"},
		{"/a\x00", "control byte"},
		{"/a\r\n", "control byte"},
		{"/a\x7f", "control byte"},
		{"/a?b", "?"},
		{"/a#b", "#"},
		{"/..;/b", "dot segment"},
		{"/a/..;x=1/b", "dot segment"},
		{"/.;/b", "dot segment"},
		{"/%2e%2e;/b", "dot segment"},
		{"/..%3b/b", "dot segment"},
	} {
		got, err := NormalizePath(test.raw)
		if err == nil || got != "" || !strings.Contains(err.Error(), test.want) {
			t.Errorf("NormalizePath(%q) = %q, %v; want an error with %q", test.raw, got, err, test.want)
		}
	}
}

func TestNormalizePathAllocatesNothingForNormalPaths(t *testing.T) {
	for _, test := range normalPaths {
		allocs := testing.AllocsPerRun(10, func() { NormalizePath(test.want) })
		if allocs != 0 {
			t.Errorf("NormalizePath(%q) allocates %v times", test.want, allocs)
		}
	}
}

// slowNormal says what a normal path is, rule by rule.
func slowNormal(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") {
		return false
	}
	for _, segment := range strings.Split(path, "/") {
		s := strings.ReplaceAll(segment, "%3B", ";")
		if s == "." || s == ".." || strings.HasPrefix(s, ".;") || strings.HasPrefix(s, "..;") {
			return false
		}
	}
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/"
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			if !strings.Contains(plain, path[i:i+1]) {
				return false
			}
			continue
		}
		if i+3 > len(path) {
			return false
		}
		hi, lo := strings.IndexByte(upperHex, path[i+1]), strings.IndexByte(upperHex, path[i+2])
		if hi < 0 || lo < 0 {
			return false
		}
		b := string([]byte{byte(hi*16 + lo)})
		if b < " " || b == "\x7f" || strings.Contains("\\-._~", b) || strings.ContainsAny(b, plain[:62]) {
			return false
		}
		i += 2
	}
	return true
}

// runPathInputs runs the automaton that pathLanguage is.
func runPathInputs(path string) bool {
	state, ok := uint8(0), true
	for _, r := range path {
		if state, ok = pathInputs.next(state, r); !ok {
			return false
		}
	}
	return pathInputs.final(state)
}

func FuzzNormalizePath(f *testing.F) {
	for _, test := range normalPaths {
		f.Add(test.raw)
	}
	for _, raw := range []string{"/..;/", "/.%3B", "/%2F", "/%5c", "/%", "/a/%2e%2e/%2e", "/...;", "/.%41", "/..%3b"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := NormalizePath(raw)
		if err == nil && !slowNormal(got) {
			t.Errorf("NormalizePath(%q) = %q, which is not normal", raw, got)
		}
		if again, errAgain := NormalizePath(got); err == nil && (again != got || errAgain != nil) {
			t.Errorf("NormalizePath(%q) = %q, %v; want it unchanged", got, again, errAgain)
		}
		if slowNormal(raw) != (err == nil && got == raw) {
			t.Errorf("NormalizePath(%q) = %q, %v; but is it normal: %v", raw, got, err, slowNormal(raw))
		}
		if slowNormal(raw) != runPathInputs(raw) {
			t.Errorf("pathInputs has %q: %v, but is it normal: %v", raw, runPathInputs(raw), slowNormal(raw))
		}
	})
}
