package listen

import "testing"

// TestAddressConflicts: which two addresses one machine cannot give to two listeners.
func TestAddressConflicts(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:80", "localhost:80", true},
		{"127.0.0.1:80", "[::ffff:127.0.0.1]:80", true},
		{"127.0.0.1:80", "127.0.0.1:http", true},
		{"127.0.0.1:80", ":80", true},
		{"0.0.0.0:80", "[::]:80", true},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "[::1]:80", false},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{"unix:/run/a", "unix:/run/a", false}, // their texts show it
	} {
		if got := parseBindAddr(test.a).conflicts(parseBindAddr(test.b)); got != test.want {
			t.Errorf("%s beside %s: %v, wanted %v", test.a, test.b, got, test.want)
		}
		if got := parseBindAddr(test.b).conflicts(parseBindAddr(test.a)); got != test.want {
			t.Errorf("%s beside %s: %v, wanted %v", test.b, test.a, got, test.want)
		}
	}
}
