package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
)

// secretRoutes has the text hidden-N in every place of a routes file that may hold a
// secret, most of them with a mistake.
const secretRoutes = `version: 1
pools:
  p:
    backends: {a: {url: "ws://10.0.0.1:1"}}
    health: {http: {path: /, headers: {X-Key: "hidden-1\u0001"}}}
routes:
  a:
    match: {path: /a, headers: {Authorization: "Bearer hidden-2\u0001value", X-B: {regex: "hidden-3(["}}, query: {t: {regex: "hidden-4(("}}}
    to: ws://user:hidden-5@h:1
    headers:
      request:
        set:
          Authorization: "hidden-6\u0001x"
          X: ["hidden-7", hidden-7]
          Y: {a: hidden-7}
          "Bad Name": hidden-8
          Z: "{hidden-9}"
          Long: "hidden-6\u0001aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  b: {match: {path: /b, headers: {X-Token: hidden-10}}, headers: {request: {add: {X-C:
     "hidden-11"}}, response: {set: {}}}, timeouts: {idle: soon}, to: "internal://echo"}
`

// ambiguous are two routes with a request that both match.
const ambiguous = `version: 1
routes:
  a: {match: {path: /a, headers: {X-Token: hidden-12}, query: {t: hidden-13}}, to: "internal://echo"}
  b: {match: {path: /a, headers: {X-Token: hidden-12}, query: {t: hidden-13}}, to: "internal://echo"}
`

func wantNoSecret(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, "hidden-") {
		t.Errorf("a secret is shown:\n%s", text)
	}
}

func TestProblemsShowNoSecrets(t *testing.T) {
	for _, text := range []string{secretRoutes, ambiguous} {
		f, _ := routefile.Parse(contentName, []byte(text))
		errs := routefile.Check(f)
		if len(errs) == 0 || !strings.Contains(errs.Error(), "hidden-") {
			t.Fatalf("mistakes\n%v\nwant some that repeat a secret", errs)
		}
		wantNoSecret(t, problemLines(problemsOf(errs)))
		wantNoSecret(t, invalidContent(errs, []byte(text)).Detail())
		var mistakes []statusapi.Mistake
		for _, e := range errs {
			mistakes = append(mistakes, statusapi.Mistake{Key: e.Key, Text: e.Record + ": " + e.Text})
		}
		wantNoSecret(t, problemLines(problemsFrom(mistakes)))
	}
	f, _ := routefile.Parse(contentName, []byte(ambiguous))
	for _, want := range []string{`route "b": route "a" matches the same request`, "GET /a", "want a priority"} {
		if got := problemLines(problemsOf(routefile.Check(f))); !strings.Contains(got, want) {
			t.Errorf("problems\n%s\nwant %q in them", got, want)
		}
	}
}

// A difference shows which key has changed, and that its value has.
func TestDiffsShowNoSecrets(t *testing.T) {
	before := routefile.Plain{
		"match":   routefile.Plain{"path": "/a", "headers": routefile.Plain{"X-Same": routefile.Plain{"value": "hidden-1"}}},
		"headers": routefile.Plain{"request": routefile.Plain{"set": routefile.Plain{"Authorization": "hidden-2"}, "add": routefile.Plain{"X-A": []any{"hidden-3"}}}},
		"to":      "internal://echo",
	}
	after := routefile.Plain{
		"match":   routefile.Plain{"path": "/b", "headers": routefile.Plain{"X-Same": routefile.Plain{"value": "hidden-1"}}},
		"headers": routefile.Plain{"request": routefile.Plain{"set": routefile.Plain{"Authorization": "hidden-4"}, "add": routefile.Plain{"X-A": []any{"hidden-3"}}}},
		"to":      "internal://echo",
	}
	id := recordID{routefile.InRoutes, "a"}
	ofRecord := recordDiff(id, before, after)
	document := func(p routefile.Plain) *document {
		text, err := routefile.EncodeDocument(routefile.Plain{"routes": routefile.Plain{"a": p}})
		if err != nil {
			t.Fatal(err)
		}
		return mustDocument("routes.yaml", append([]byte("# hidden-5\n"), text...), "")
	}
	ofFile := fileDiff(t.Context(), document(before), document(after).data)
	for _, text := range []string{ofRecord, ofFile} {
		wantNoSecret(t, text)
		for _, want := range []string{"-  ", "+  ", "Authorization", hashed("hidden-2"), hashed("hidden-4"), "/b"} {
			if !strings.Contains(text, want) {
				t.Errorf("the difference lacks %q:\n%s", want, text)
			}
		}
	}
	if got := fileDiff(t.Context(), document(before), document(before).data); got != "(only comments and layout)" {
		t.Errorf("difference of equal files: %s", got)
	}
	s := newTestSession(t, string(document(after).data))
	doc, err := s.reader.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var diags diag.Diagnostics
	diags.Append(deletesChanged(doc, record{id: id, keys: before}), existingFile(t.Context(), doc, document(before).data), willReplace(t.Context(), doc, nil))
	for _, d := range diags {
		wantNoSecret(t, d.Detail())
	}
	wantNoSecret(t, errorText(changedOutside(doc, change{id: id, priorName: "a", prior: before})))
}
