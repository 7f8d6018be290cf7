package match

import (
	"runtime"
	"testing"
	"time"
)

// TestRegexIsCompiledOnce while it is in use, and forgotten when it is not.
func TestRegexIsCompiledOnce(t *testing.T) {
	m := memory{regexes: map[string]weakRegex{}}
	first, err := m.regex("^/a/([0-9]+)$")
	if err != nil {
		t.Fatal(err)
	}
	if second, _ := m.regex("^/a/([0-9]+)$"); second != first {
		t.Error("the same regex was compiled twice")
	}
	if other, _ := m.regex("^/b/([0-9]+)$"); other == first {
		t.Error("another regex got the first one")
	}
	if _, err := m.regex("^/a/([0-9]+$"); err == nil {
		t.Error("a regex that is wrong was compiled")
	}
	runtime.KeepAlive(first)
	for late := time.Now().Add(time.Minute); m.len() > 0; time.Sleep(time.Millisecond) {
		if runtime.GC(); time.Now().After(late) {
			t.Fatalf("%d regexes are kept that nobody uses", m.len())
		}
	}
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.regexes)
}
