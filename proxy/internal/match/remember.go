package match

// Regexes that are in use are compiled once. Checking a file and building its
// table compile the same rules several times over, and most of a new file stands
// in the old one: of 10,000 routes with 2,500 regexes this was a third of the work
// of a reload.

import (
	"runtime"
	"sync"
	"weak"
)

// compiled holds a regex's pattern for as long as anybody else does. Safe for
// concurrent use: what it hands out is a copy, whose outline is its own.
var compiled = memory{patterns: make(map[string]weakPattern)}

type weakPattern = weak.Pointer[pattern]

type memory struct {
	mu       sync.Mutex
	patterns map[string]weakPattern // guarded by mu; by text
}

// regex returns the pattern of a regex, compiled now unless one is in use.
func (m *memory) regex(text string) (*pattern, error) {
	origin := m.recall(text)
	if origin == nil {
		var err error
		if origin, err = compileRegex(text); err != nil {
			return nil, err
		}
		m.keep(origin)
	}
	own := *origin
	own.origin = origin
	return &own, nil
}

func (m *memory) recall(text string) *pattern {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.patterns[text].Value()
}

func (m *memory) keep(p *pattern) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.patterns[p.text] = weak.Make(p)
	runtime.AddCleanup(p, m.forget, p.text)
}

// forget drops a pattern that nobody uses any more, unless it was compiled anew
// in the meantime.
func (m *memory) forget(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.patterns[text].Value() == nil {
		delete(m.patterns, text)
	}
}
