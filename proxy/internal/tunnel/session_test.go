package tunnel

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/design/tunnel-states.md")

const (
	statesPage = "../../../docs/design/tunnel-states.md"
	closeTime  = 5 * time.Second // close_timeout of the tests
	lingers    = maxLinger
)

// model is a session with the rest of what an engine keeps for it.
type model struct {
	session
	note *endNote
	now  time.Duration
}

func newModel(webSocket, redials bool) model {
	m := model{session: newSession(&Spec{WebSocket: webSocket}, 0), now: time.Minute}
	m.redials = redials
	for i := range m.dirs {
		m.dirs[i].heard, m.dirs[i].moved, m.dirs[i].data = m.now, m.now, m.now
	}
	return m
}

// do applies an event, on a copy.
func (m model) do(ev event) (model, result) {
	note := m.note
	if note != nil {
		copied := *note
		note = &copied
	}
	r := m.apply(ev, env{now: m.now, limits: &Limits{CloseTimeout: closeTime, Pong: 10 * time.Second}, note: &note})
	m.note = note
	return m, r
}

// after is the same some time later.
func (m model) after(d time.Duration) model { m.now += d; return m }

// due is when an ending tunnel has its next change by time alone.
func (m model) due() time.Duration {
	_, r := m.do(event{kind: evTick})
	return r.at
}

// named is an event with the words of the table.
type named struct {
	name string
	ev   event
	ok   func(m *model) bool // it can come in this state; nil: always
}

var drained = proxyEnds(ReasonDrain, 1012, "drained")

func isOpen(m *model) bool { return m.phase == phaseOpen }

// sessionEvents are all that can happen, once for each direction.
func sessionEvents() (all []named) {
	add := func(name string, ev event, ok func(*model) bool) { all = append(all, named{name, ev, ok}) }
	for dir, peer := range [2]string{"client", "backend"} {
		to := [2]string{"backend", "client"}[dir]
		speaks := func(m *model) bool {
			return m.dirs[dir].read < readEOF && (dir == fromClient || m.phase != phaseRedialling)
		}
		frames := func(m *model) bool { return m.webSocket && speaks(m) && !m.dirs[dir].opaque }
		pends := func(m *model) bool { return m.dirs[dir].pending != 0 }
		add(peer+" sends Close", event{kind: evClose, dir: dir, code: 1000}, frames)
		add(peer+" ends", event{kind: evEOF, dir: dir, clean: true}, speaks)
		add(peer+" is lost", event{kind: evEOF, dir: dir}, speaks)
		add(peer+" is reset", event{kind: evReset, dir: dir}, speaks)
		add(peer+" is shut both ways", event{kind: evReset, dir: dir, clean: true}, speaks)
		add(peer+" breaks the rules", event{kind: evOpaque, dir: dir}, frames)
		add(peer+" goes over a limit", event{kind: evRefuse, dir: dir, ending: proxyEnds(ReasonTooBig, 1009, "")}, frames)
		add(to+" has taken all", event{kind: evHanded, dir: dir}, func(m *model) bool { return m.dirs[dir].write.onItsWay() })
		add(to+" refuses bytes", event{kind: evWriteFailed, dir: dir}, nil)
		add(to+" writable, between frames", event{kind: evWritable, dir: dir, aligned: true, whole: true}, pends)
		add(to+" writable, in a message", event{kind: evWritable, dir: dir, aligned: true}, pends)
		add(to+" writable, in a frame", event{kind: evWritable, dir: dir}, pends)
		add(to+" is half-closed", event{kind: evFINSent, dir: dir}, func(m *model) bool { return m.dirs[dir].pending&pendingFIN != 0 })
	}
	add("drain", event{kind: evEnd, ending: drained}, nil)
	add("client does not pong", event{kind: evEnd, ending: pongTimeout(ByClient)}, isOpen)
	add("backend does not pong", event{kind: evEnd, ending: pongTimeout(ByBackend)}, isOpen)
	add("cut", event{kind: evCut, ending: drained}, nil)
	redials := func(m *model) bool { return m.redials && m.phase == phaseOpen }
	dialled := func(m *model) bool { return m.phase == phaseRedialling }
	gone := func(m *model) bool { return redials(m) && m.dirs[fromBackend].read < readEOF }
	add("leave the backend", event{kind: evLeave, ending: drained}, func(m *model) bool { return redials(m) && !m.leaving })
	add("backend refuses a message", event{kind: evDetach, dir: fromClient}, func(m *model) bool { return gone(m) && m.dirs[fromClient].write == writeOpen })
	add("backend ends between messages", event{kind: evBackendGone, whole: true}, gone)
	add("backend ends in a message", event{kind: evBackendGone}, gone)
	add("another backend is there", event{kind: evNext, whole: true}, dialled)
	add("there is no other", event{kind: evNoNext}, dialled)
	add("its time is over", event{kind: evTick}, func(m *model) bool { return m.phase.ending() })
	return all
}

// sessionStates are the states whose table is printed, by the events that lead there.
var sessionStates = []struct {
	name    string
	raw     bool
	redials bool
	path    string
}{
	{name: "open"},
	{name: "client half-closed", path: "client ends;backend writable, in a frame;backend is half-closed"},
	{name: "backend refused bytes", path: "backend refuses bytes"},
	{name: "client's Close on its way", path: "client sends Close"},
	{name: "client's Close taken", path: "client sends Close;backend has taken all"},
	{name: "backend's Close taken", path: "backend sends Close;client has taken all"},
	{name: "drained", path: "drain"},
	{name: "drained, Close taken by both", path: "drain;backend writable, between frames;client writable, between frames;backend has taken all;client has taken all"},
	{name: "backend lost", path: "backend is lost"},
	{name: "client lost", path: "client refuses bytes"},
	{name: "both have said Close", path: "client sends Close;backend has taken all;backend sends Close;client has taken all;backend writable, in a frame;backend is half-closed;client writable, in a frame;client is half-closed"},
	{name: "open, another protocol", raw: true},
	{name: "client half-closed, another protocol", raw: true, path: "client ends;backend writable, in a frame;backend is half-closed"},
	{name: "open, can redial", redials: true},
	{name: "leaving its backend", redials: true, path: "leave the backend;backend writable, between frames"},
	{name: "redialling", redials: true, path: "backend ends between messages"},
}

// apply finds an event by its name, and applies it if it can come.
func (m model) named(name string) (model, result, error) {
	for _, e := range sessionEvents() {
		if e.name == name {
			next, r := m.do(e.ev)
			return next, r, nil
		}
	}
	return m, result{}, fmt.Errorf("no event %q", name)
}

// TestSessionTable prints the table of states and events, and compares it with the
// page in docs/design.
func TestSessionTable(t *testing.T) {
	var b bytes.Buffer
	fmt.Fprint(&b, statesHead)
	for _, state := range sessionStates {
		m := newModel(!state.raw, state.redials)
		for name := range strings.SplitSeq(state.path, ";") {
			if name == "" {
				continue
			}
			var err error
			if m, _, err = m.named(name); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintf(&b, "\n## %s\n\n`%s`\n\n| event | then | do |\n|---|---|---|\n", state.name, m)
		for _, e := range sessionEvents() {
			if e.ok != nil && !e.ok(&m) {
				continue
			}
			from := m
			if e.ev.kind == evTick {
				from.now = from.due()
			}
			next, r := from.do(e.ev)
			if then, do := next.String(), describe(&next, r); then != m.String() || do != "" {
				fmt.Fprintf(&b, "| %s | `%s` | %s |\n", e.name, then, do)
			}
		}
	}
	if *update {
		if err := os.WriteFile(statesPage, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(statesPage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, b.Bytes()) {
		t.Errorf("%s is not what the state machine does: go test ./proxy/internal/tunnel -run TestSessionTable -update", statesPage)
	}
}

const statesHead = `# The states of a tunnel

Printed by TestSessionTable from ` + "`proxy/internal/tunnel/session.go`" + `, and checked by it; do not
edit. A state is a phase and its two directions: client to backend (→) and backend to
client (←), each with what has come from its source, / what has gone to its destination,
and + what is to be put in as soon as it may be. Times are from the event on, with a
close_timeout of 5 s. Events that change nothing are left out.

Every reachable state is held by TestSessionInvariants to these rules:

- Every phase but open and redialling has a deadline, and by time alone the tunnel is cut:
  at most 4 × close_timeout + 1 s after a peer's Close, else close_timeout + 1 s.
- Only a Close frame that its receiver has taken moves a deadline, once for each
  direction; and, to 4 × close_timeout in all, what its receiver sends and the sender of
  the Close takes. A second Close frame moves nothing.
- A client that refuses bytes, or was reset, ends the tunnel within a second, whatever
  it has half-closed.
- Nothing waits for a destination that has failed, and a side that takes no answers of
  TLS's is not read.
- What has gone to a destination, and whether the frames for it are known, is changed by
  events of that direction alone.
- What a peer has ended stays ended, and what was said stays said.

TestSessionIdle holds the idle limits, of which the table has nothing: each counts from the
last bytes that a destination has taken, or with ` + "`idle_counts: data`" + ` from the last of a data
frame. All bytes are data where frames cannot be told apart. Pings of the proxy's own and their pongs never count.
`

var (
	phaseNames = [...]string{"open", "redialling", "answering", "closing", "lingering", "cut"}
	readNames  = [...]string{"open", "Close", "abandoned", "end"}
	writeNames = [...]string{"open", "Close passing", "Close passed", "detached", "leaving", "Close sending", "Close sent", "discarding", "FIN sent", "failed"}
)

func (m model) String() string {
	s := phaseNames[m.phase]
	for i := range m.dirs {
		d := &m.dirs[i]
		s += [2]string{" → ", " ← "}[i] + readNames[d.read] + "/" + writeNames[d.write]
		if d.opaque && m.webSocket {
			s += ", opaque"
		}
		for bit, name := range [...]string{"ping", "Close", "FIN", "flush", "Close to leave"} {
			if d.pending&(1<<bit) != 0 {
				s += " +" + name
			}
		}
	}
	return s
}

// describe is what an engine has to do, and by when the next thing is due.
func describe(m *model, r result) string {
	var parts []string
	add := func(on bool, what string) {
		if on {
			parts = append(parts, what)
		}
	}
	add(r.inject != injectNothing, [...]string{"", "put in Ping", "put in Close", "put in FIN", "write what waits", "put in Close"}[r.inject])
	for i, peer := range [2]string{"client", "backend"} {
		to := [2]string{"backend", "client"}[i]
		add(r.do&(actGiveUp<<i) != 0, "end the "+peer+"'s bytes")
		add(r.do&(actFinish<<i) != 0, "close the "+to+" unless it takes FIN")
	}
	add(r.do&actDetached != 0, "let the client's bytes wait")
	add(r.do&actRedial != 0, "find another backend")
	add(r.do&actDrop != 0, "close the backend")
	add(r.do&actEndLeaving != 0, "drain")
	add(r.do&actCut != 0, "close both")
	if m.phase != phaseCut && r.at != never && r.at > m.now {
		parts = append(parts, "look in "+(r.at-m.now).String())
	}
	return strings.Join(parts, ", ")
}

// key is a state without its times.
func (m model) key() session {
	k := m.session
	k.deadline, k.latest, k.start = 0, 0, 0
	k.leaveBy = min(k.leaveBy, 1)
	for i := range k.dirs {
		d := &k.dirs[i]
		d.heard, d.moved, d.data, d.pingedAt, d.giveUpAt, d.closeCode = 0, 0, 0, 0, min(d.giveUpAt, 1), 0
	}
	k.by, k.code, k.caused, k.framed = 0, 0, false, false // which only Summary tells
	return k
}

// TestSessionInvariants visits every state that can be reached.
func TestSessionInvariants(t *testing.T) {
	events := sessionEvents()
	seen := map[session]bool{}
	var queue []model
	visit := func(m model) {
		if k := m.key(); !seen[k] {
			seen[k] = true
			queue = append(queue, m)
		}
	}
	visit(newModel(false, false))
	visit(newModel(true, false))
	visit(newModel(true, true))
	for len(queue) > 0 && !t.Failed() {
		m := queue[0].after(10 * time.Millisecond)
		queue = queue[1:]
		checkState(t, m)
		for _, e := range events {
			if e.ok != nil && !e.ok(&m) {
				continue
			}
			next, r := m.do(e.ev)
			for i := range m.dirs {
				if r.do&(actGiveUp<<i) != 0 {
					next, _ = next.do(event{kind: evEOF, dir: i})
				}
			}
			if err := checkStep(m, next, e, r); err != nil {
				t.Errorf("%s\n%s: %v\n%s", m, e.name, err, next)
			}
			visit(next)
		}
	}
	if len(seen) < 1000 {
		t.Errorf("%d states only", len(seen))
	}
	t.Logf("%d states", len(seen))
}

// checkState checks what is true of a state by itself.
func checkState(t *testing.T, m model) {
	t.Helper()
	for i := range m.dirs {
		m.dirs[i].setWaiting(true)
		m.setOwed(i, maxOwed+1)
		d := &m.dirs[i]
		switch {
		case d.write == writeFailed && (d.waiting || d.pending != 0):
			t.Errorf("%s: something waits for a destination that has failed", m)
		case d.write.over() && d.pending != 0:
			t.Errorf("%s: pending behind the end", m)
		case d.owing && (m.reads(i) || m.dirs[1-i].write == writeFailed):
			t.Errorf("%s: a side that takes no answers is read, or one that has failed is not", m)
		case d.waiting && m.reads(i):
			t.Errorf("%s: more is read while bytes wait", m)
		case d.read == readEOF && d.giveUpAt != 0:
			t.Errorf("%s: an end is waited for that is here", m)
		}
		again := m
		again, _ = again.do(event{kind: evWriteFailed, dir: i})
		if f := again.dirs[i]; f.write == writeFailed && f.waiting || again.dirs[1-i].owing && f.write == writeFailed {
			t.Errorf("%s: the failure of what was waited for leaves %s waiting", m, again)
		}
		if twice, r := again.do(event{kind: evWriteFailed, dir: i}); twice.key() != again.key() || r.do != 0 {
			t.Errorf("%s: a second failed write changes it to %s", again, twice)
		}
	}
	if !m.phase.ending() {
		return
	}
	most := closeTime + lingers
	if m.phase == phaseAnswering {
		most = closeExtension*closeTime + lingers
	}
	if took, ticks := m.byTime(); took > most || ticks > 4 {
		t.Errorf("%s: cut %v later, in %d steps", m, took, ticks)
	}
}

// byTime lets time alone pass until the tunnel is cut.
func (m model) byTime() (took time.Duration, ticks int) {
	began := m.now
	for ; m.phase != phaseCut && ticks < 100; ticks++ {
		m.now = max(m.now, m.due())
		var r result
		m, r = m.do(event{kind: evTick})
		for i := range m.dirs {
			if r.do&(actGiveUp<<i) != 0 {
				m, _ = m.do(event{kind: evEOF, dir: i})
			}
		}
	}
	return m.now - began, ticks
}

// checkStep checks what is true of a step.
func checkStep(m, next model, e named, r result) error {
	own := -1 // the direction whose writer reports this event
	switch k := e.ev.kind; {
	case k == evReset: // of engines without a writer a direction
		own = 1 - e.ev.dir
	case k.byWriter() || k == evBackendGone || k == evNext || k == evDetach:
		own = e.ev.dir
	}
	for i := range m.dirs {
		was, is := &m.dirs[i], &next.dirs[i]
		switch {
		case is.read < was.read && e.ev.kind != evNext:
			return fmt.Errorf("what had ended goes on")
		case was.write.over() && is.write < was.write, was.write.discards() && !is.write.discards():
			return fmt.Errorf("bytes follow the last")
		case was.write.told() && (is.write == writeOpen || is.write == writeDiscarding) && e.ev.kind != evNext:
			return fmt.Errorf("a Close frame is forgotten")
		case i != own && (was.write != is.write || was.opaque != is.opaque):
			return fmt.Errorf("the other direction is changed")
		}
	}
	if next.phase < m.phase && m.phase != phaseRedialling {
		return fmt.Errorf("the phase goes back")
	}
	if next.phase.ending() && next.phase != phaseCut && r.at == never && !m.phase.ending() {
		return fmt.Errorf("an end without a look at its deadline")
	}
	if e.ev.kind == evNext && next.dirs[fromBackend].giveUpAt != 0 {
		return fmt.Errorf("the new backend is given up")
	}
	// A client that takes nothing any more.
	if lost := e.ev.kind == evWriteFailed && e.ev.dir == fromBackend || e.ev.kind == evReset && e.ev.dir == fromClient && !e.ev.clean; lost {
		if took, _ := next.byTime(); took > lingers {
			return fmt.Errorf("cut %v after the client was lost", took)
		}
	}
	return checkDeadline(m, next, e)
}

// checkDeadline: nothing but a Close frame that was handed over moves the end.
func checkDeadline(m, next model, e named) error {
	if !m.phase.ending() || next.phase == phaseCut {
		return nil
	}
	before, after := m.closeDueNow(), next.closeDueNow()
	switch {
	case next.phase == phaseLingering && m.phase != phaseLingering:
		if after > m.now+lingers {
			return fmt.Errorf("lingers until %v from now", after-m.now)
		}
	case after > before && (e.ev.kind != evHanded || after > m.now+closeTime):
		return fmt.Errorf("its deadline moves from %v to %v", before-m.now, after-m.now)
	}
	return nil
}

func (m model) closeDueNow() time.Duration {
	k := step{session: &m.session, env: env{now: m.now, limits: &Limits{CloseTimeout: closeTime}}}
	return k.closeDue()
}

// TestSessionIdle: what counts for which idle limit, 30 s after a direction has moved data
// and 5 s after it has moved anything.
func TestSessionIdle(t *testing.T) {
	const second = time.Second
	limit := func(dir int, data bool) Limits {
		l := Limits{Idle: 20 * second, IdleCountsData: data}
		switch dir {
		case fromClient:
			l.Idle, l.IdleFromClient = 0, 20*second
		case fromBackend:
			l.Idle, l.IdleFromBackend = 0, 20*second
		}
		return l
	}
	const either = 2
	for _, tt := range []struct {
		name   string
		limits Limits
		change func(m *model)
		idle   bool
	}{
		{"either way, frames", limit(either, false), nil, false},
		{"either way, data", limit(either, true), nil, true},
		{"from the client, frames", limit(fromClient, false), nil, false},
		{"from the client, data", limit(fromClient, true), nil, true},
		{"from the backend, frames", limit(fromBackend, false), nil, false},
		{"from the backend, data", limit(fromBackend, true), nil, true},
		{"data the other way", limit(either, true), func(m *model) { m.dirs[fromBackend].data = m.now }, false},
		{"data the other way only", limit(fromClient, true), func(m *model) { m.dirs[fromBackend].data = m.now }, true},
		{"frames that cannot be told apart", limit(fromClient, true), func(m *model) { m.dirs[fromClient].opaque = true }, false},
		{"a direction that has ended", limit(fromClient, true), func(m *model) { m.dirs[fromClient].read = readEOF }, false},
		{"silence", limit(either, false), func(m *model) { m.dirs[fromClient].moved, m.dirs[fromBackend].moved = 0, 0 }, true},
	} {
		m := newModel(true, false).after(30 * second)
		for i := range m.dirs {
			m.dirs[i].heard, m.dirs[i].moved = m.now-5*second, m.now-5*second
		}
		if tt.change != nil {
			tt.change(&m)
		}
		note := m.note
		r := m.apply(event{kind: evTick}, env{now: m.now, limits: &tt.limits, note: &note})
		if idle := m.phase == phaseClosing && note.why == ReasonIdle; idle != tt.idle {
			t.Errorf("%s: %s, look at %v; want idle %t", tt.name, m, r.at, tt.idle)
		}
	}
}

// TestSessionCloseFlood: the sender of a Close that says it again and again, and sends
// what it likes behind it, is not waited for longer.
func TestSessionCloseFlood(t *testing.T) {
	m, _ := newModel(true, false).do(event{kind: evClose, dir: fromClient, code: 1000})
	m, _ = m.do(event{kind: evHanded, dir: fromClient})
	began := m.now
	for range 100 {
		m = m.after(300 * time.Millisecond)
		m.dirs[fromClient].heard, m.dirs[fromClient].moved = m.now, m.now
		for _, kind := range []eventKind{evClose, evHanded, evTick} {
			m, _ = m.do(event{kind: kind, dir: fromClient, code: 1000})
		}
		if m.phase == phaseLingering {
			break
		}
	}
	if took := m.now - began; m.phase != phaseLingering || took > closeTime+300*time.Millisecond {
		t.Errorf("%s %v after its Close was taken, want lingering after %v", m, took, closeTime)
	}
}

// TestSessionReceiverAnswers: what the receiver of a Close sends, and the other takes,
// moves its deadline; to four times the timeout in all.
func TestSessionReceiverAnswers(t *testing.T) {
	m, _ := newModel(true, false).do(event{kind: evClose, dir: fromClient, code: 1000})
	m, _ = m.do(event{kind: evHanded, dir: fromClient})
	began := m.now
	for m.phase == phaseAnswering {
		m = m.after(300 * time.Millisecond)
		m.dirs[fromBackend].moved = m.now
		m, _ = m.do(event{kind: evTick})
	}
	if took := m.now - began; took < closeExtension*closeTime || took > closeExtension*closeTime+300*time.Millisecond {
		t.Errorf("it ends %v after its Close, want %v", took, closeExtension*closeTime)
	}
}

// TestSessionFailedPeerIsLost: an end of file from a peer that refused bytes is not an
// orderly one.
func TestSessionFailedPeerIsLost(t *testing.T) {
	m, _ := newModel(false, false).do(event{kind: evWriteFailed, dir: fromClient})
	m, _ = m.do(event{kind: evEOF, dir: fromBackend, clean: true})
	if m.by != ByBackend || m.note.why != ReasonLost {
		t.Errorf("ended by %v, %s; want the backend, lost", m.by, m.note.why)
	}
}

// TestSessionHalfClosedClient: a client that has half-closed keeps its tunnel for as
// long as it takes what is sent to it.
func TestSessionHalfClosedClient(t *testing.T) {
	m, _ := newModel(true, false).do(event{kind: evEOF, dir: fromClient, clean: true})
	if m.phase != phaseOpen {
		t.Fatalf("%s, want open: it may still read", m)
	}
	if took, _ := m.byTime(); took < halfClosedSilence || took > halfClosedSilence+closeTime+lingers {
		t.Errorf("cut after %v with nothing sent to it, want some %v", took, halfClosedSilence)
	}
	for m.now < 10*time.Minute { // it takes what comes
		m = m.after(30 * time.Second)
		m.dirs[fromBackend].moved = m.now
		m, _ = m.do(event{kind: evTick})
	}
	if m.phase != phaseOpen {
		t.Errorf("%s, want open: it takes bytes", m)
	}
}
