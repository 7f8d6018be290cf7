package match

import "testing"

func TestRemoveParameters(t *testing.T) {
	names := []string{"backend", "a b"}
	for query, want := range map[string]string{
		"":                                       "",
		"?x=1&y=%2F&z":                           "?x=1&y=%2F&z",
		"?backend=2":                             "",
		"?backend":                               "",
		"?backend=2&backend=3":                   "",
		"?x=1&backend=2&y=3":                     "?x=1&y=3",
		"?backend=2&x=1":                         "?x=1",
		"?x=1&backend=2":                         "?x=1",
		"?b%61ckend=2&x=1&%62ackend":             "?x=1",
		"?a+b=1&a%20b=2&a=3":                     "?a=3",
		"?Backend=2&backends=3&xbackend=4":       "?Backend=2&backends=3&xbackend=4",
		"?x=backend&y=a=backend":                 "?x=backend&y=a=backend",
		"?x=1;backend=2;y=3":                     "?x=1;y=3",
		"?x=1;backend=2&y=3":                     "?x=1&y=3",
		"?x=a;b&y":                               "?x=a;b&y",
		"?&&x=1&":                                "?&&x=1&",
		"?backend%zz=1&%zz&x":                    "?backend%zz=1&%zz&x",
		"?backend=1&backend%3D=2&x=%26backend=3": "?backend%3D=2&x=%26backend=3",
		"?":                                      "?",
	} {
		if got := RemoveParameters(query, names); got != want {
			t.Errorf("%q becomes %q, want %q", query, got, want)
		}
	}
	if got := RemoveParameters("?a=b", nil); got != "?a=b" {
		t.Errorf("nothing to remove: %q", got)
	}
}
