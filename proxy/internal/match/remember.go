package match

// Regexes that are in use are compiled once. Checking a file and building its
// table compile the same rules twice, and most of a new file stands in the old
// one: of 10,000 routes with 2,500 regexes this was a third of the work of a reload.

import (
	"regexp"
	"runtime"
	"sync"
	"weak"
)

// compiled holds a regex for as long as anybody else does. Safe for concurrent
// use.
var compiled = memory{regexes: make(map[string]weakRegex)}

type weakRegex = weak.Pointer[regexp.Regexp]

type memory struct {
	mu      sync.Mutex
	regexes map[string]weakRegex // guarded by mu; by text
}

// regex returns a regex, compiled now unless one is in use.
func (m *memory) regex(text string) (*regexp.Regexp, error) {
	if re := m.recall(text); re != nil {
		return re, nil
	}
	re, err := regexp.Compile(text)
	if err == nil {
		m.keep(re)
	}
	return re, err
}

func (m *memory) recall(text string) *regexp.Regexp {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.regexes[text].Value()
}

func (m *memory) keep(re *regexp.Regexp) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.regexes[re.String()] = weak.Make(re)
	runtime.AddCleanup(re, m.forget, re.String())
}

// forget drops a regex that nobody uses any more, unless it was compiled anew in
// the meantime.
func (m *memory) forget(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.regexes[text].Value() == nil {
		delete(m.regexes, text)
	}
}
