package match

import (
	"strings"
	"testing"
)

var normalHosts = []struct{ raw, want string }{
	{"", ""},
	{"example.com", "example.com"},
	{"Example.COM", "example.com"},
	{"example.com:8080", "example.com"},
	{"example.com:", "example.com"},
	{"example.com.", "example.com"},
	{"example.com.:443", "example.com"},
	{"my_service", "my_service"},
	{"10.0.0.1:80", "10.0.0.1"},
	{"[::1]", "[::1]"},
	{"[::1]:80", "[::1]"},
	{"[0:0:0:0:0:0:0:1]:80", "[::1]"},
	{"[FE80::A]", "[fe80::a]"},
}

func TestNormalizeHost(t *testing.T) {
	for _, test := range normalHosts {
		got, err := NormalizeHost(test.raw)
		if got != test.want || err != nil {
			t.Errorf("NormalizeHost(%q) = %q, %v; want %q", test.raw, got, err, test.want)
		}
		allocs := testing.AllocsPerRun(10, func() { NormalizeHost(test.want) })
		if allocs != 0 {
			t.Errorf("NormalizeHost(%q) allocates %v times", test.want, allocs)
		}
	}
}

func TestNormalizeHostRefuses(t *testing.T) {
	for _, test := range []struct{ raw, want string }{
		{".", "empty label"},
		{":80", "empty host"},
		{"a..b", "empty label"},
		{".a", "empty label"},
		{"a.b..", "empty label"},
		{"a:b", "65535"},
		{"a:99999", "65535"},
		{"a:99999999999999999999999999", "65535"},
		{"user@a", "'@'"},
		{"a/b", "'/'"},
		{"a%41", "'%'"},
		{"a b", "' '"},
		{"caf\xc3\xa9.fr", "xn--"},
		{"::1", "':'"},
		{"[::1", "brackets"},
		{"[::1]x", "brackets"},
		{"[fe80::1%eth0]", "zone"},
		{"[1.2.3.4]", "brackets"},
		{strings.Repeat("a", 64), "63"},
		{strings.Repeat("a.", 128), "253"},
	} {
		got, err := NormalizeHost(test.raw)
		if err == nil || got != "" || !strings.Contains(err.Error(), test.want) {
			t.Errorf("NormalizeHost(%q) = %q, %v; want an error with %q", test.raw, got, err, test.want)
		}
	}
}

func FuzzNormalizeHost(f *testing.F) {
	for _, test := range normalHosts {
		f.Add(test.raw)
	}
	f.Add("a:b:c")
	f.Add("[]:1")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := NormalizeHost(raw)
		if err != nil {
			return
		}
		if again, err := NormalizeHost(got); again != got || err != nil {
			t.Errorf("NormalizeHost(%q) = %q, %v; want it unchanged", got, again, err)
		}
		if strings.ToLower(got) != got || strings.ContainsAny(got, "/@%\\ \x00\r\n") {
			t.Errorf("NormalizeHost(%q) = %q", raw, got)
		}
	})
}
