package e2e

// What an edit of the routes file, or SIGHUP, does to what is open, and what it does
// not.

import (
	"syscall"
	"testing"
)

// TestEditTouchesOnlyItsOwn: tunnels of other routes stay, and go on.
func TestEditTouchesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	routes := func(more string) string {
		return web + fill(`
routes:
  kept: {match: {path: /kept}, to: "$b"}
`, map[string]string{"b": b.url("ws")}) + more
	}
	p := start(t, routes(`  gone: {match: {path: /gone}, to: "`+b.url("ws")+`", drain: {window: off, code: 4001, reason: "moved"}}`))
	kept, gone := dial(t, p.ws("/kept")), dial(t, p.ws("/gone"))
	echo(t, kept, "before")
	echo(t, gone, "before")

	loaded := p.edit(routes(`  new: {match: {path: /new}, to: "` + b.url("ws") + `"}`))
	for name, want := range map[string]string{
		"generation": "2", "routes": "2", "added": "[new]", "removed": "[gone]", "changed": "[]",
		"tunnels_kept": "1", "tunnels_draining": "1",
	} {
		if got := loaded.text(name); got != want {
			t.Errorf("%s is %q, wanted %q", name, got, want)
		}
	}
	if code, reason := closeCode(t, gone); code != 4001 || reason != "moved" {
		t.Errorf("the removed route's tunnel was closed with %d %q, wanted 4001 and moved", code, reason)
	}
	gone.Close()
	p.waitLog("tunnel closed", fields{"route": "gone", "closed_by": "proxy", "reason": "drain", "code": 4001, "text": "moved"})
	echo(t, kept, "after")
	echo(t, dial(t, p.ws("/new")), "the new route")
	if got := refused(t, p.ws("/gone"), nil).StatusCode; got != 404 {
		t.Errorf("the removed route answers %d, wanted 404", got)
	}
}

// TestBadEditChangesNothing: every mistake is named, once, and the last good
// routes go on serving.
func TestBadEditChangesNothing(t *testing.T) {
	t.Parallel()
	good := web + "routes:\n  echo: {match: {path: /echo}, to: \"internal://echo\"}\n"
	p := start(t, good)
	conn := dial(t, p.ws("/echo"))

	mistakes := p.spoil(good + "  a: {match: {path: /a}, to: \"internal://echo\", drian: {}}\n  b: {mach: {path: /b}, respond: {}}\n")
	lines := map[string]bool{}
	for _, mistake := range mistakes {
		lines[mistake.text("line")] = true
		if mistake.text("column") == "" || mistake.text("text") == "" || mistake.text("file") == "" {
			t.Errorf("the mistake %v lacks a file, a column or a text", mistake)
		}
	}
	if !lines["5"] || !lines["6"] {
		t.Errorf("mistakes named at lines %v, wanted 5 and 6", lines)
	}
	echo(t, conn, "still open")
	echo(t, dial(t, p.ws("/echo")), "still served")

	p.restore(good)
	p.edit(good + "  new: {match: {path: /new}, respond: {body: new}}\n")
	if got := get(t, p.http("/new")); got.body != "new" {
		t.Errorf("after the next good file: %d %q", got.status, got.body)
	}
	echo(t, conn, "open all along")
	if refusals := p.countLog("routes refused", nil); refusals != 1 {
		t.Errorf("refused %d times, wanted once", refusals)
	}
}

// TestHUPReadsAgain: the signal reloads, and without a change says so.
func TestHUPReadsAgain(t *testing.T) {
	t.Parallel()
	p := start(t, web+`routes: {}`)
	p.signal(syscall.SIGHUP)
	p.waitLog("routes unchanged", fields{"generation": 1})
}

// TestBadFileAtStart: there is no last good file to serve, so it does not start.
func TestBadFileAtStart(t *testing.T) {
	t.Parallel()
	p := spawn(t, nil, "missing.yaml")
	if status := p.exit(); status == 0 {
		t.Error("exit status 0, wanted a failure")
	}
	p.log.allowNoise() // what check would print, not a log
}

// TestHUPTakesAnEditAndRepeatsARefusal: the signal asks how things stand.
func TestHUPTakesAnEditAndRepeatsARefusal(t *testing.T) {
	t.Parallel()
	good := web + `routes: {page: {match: {path: /page}, respond: {body: "one"}}}` + "\n"
	p := start(t, good)
	p.spoil(good + "nonsense: 1\n")
	m := p.log.mark()
	p.signal(syscall.SIGHUP)
	p.waitLogAfter(m, "mistake", fields{"line": 4})
	m = p.log.mark()
	p.write(routesFile, web+`routes: {page: {match: {path: /page}, respond: {body: "two"}}}`+"\n")
	p.signal(syscall.SIGHUP)
	p.waitLogAfter(m, "routes loaded", fields{"generation": 2})
	if got := get(t, p.http("/page")); got.body != "two" {
		t.Errorf("after SIGHUP: %q, wanted two", got.body)
	}
}
