package match

import (
	"runtime"
	"testing"
	"time"
)

// TestRegexIsCompiledOnce while it is in use, and forgotten when it is not.
func TestRegexIsCompiledOnce(t *testing.T) {
	m := memory{patterns: map[string]weakPattern{}}
	first, err := m.regex("^/a/([0-9]+)$")
	if err != nil {
		t.Fatal(err)
	}
	if second, _ := m.regex("^/a/([0-9]+)$"); second.re != first.re {
		t.Error("the same regex was compiled twice")
	}
	if other, _ := m.regex("^/b/([0-9]+)$"); other.re == first.re {
		t.Error("another regex got the first one's pattern")
	}
	if _, err := m.regex("^/a/([0-9]+$"); err == nil {
		t.Error("a regex that is wrong was compiled")
	}
	runtime.KeepAlive(first)
	for late := time.Now().Add(time.Minute); m.len() > 0; runtime.Gosched() {
		if runtime.GC(); time.Now().After(late) {
			t.Fatalf("%d patterns are kept that nobody uses", m.len())
		}
	}
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.patterns)
}
