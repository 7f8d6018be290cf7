package auth

import (
	"runtime"
	"sync"
	"weak"
)

// weakMap shares values by name for as long as somebody uses them: those of policies that no
// table has any more are collected.
type weakMap[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]weak.Pointer[V] // guarded by mu
}

// get returns the value of that name, made if there is none.
func (m *weakMap[K, V]) get(name K, make func() *V) *V {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.values[name].Value(); v != nil {
		return v
	}
	if m.values == nil {
		m.values = map[K]weak.Pointer[V]{}
	}
	v := make()
	m.values[name] = weak.Make(v)
	runtime.AddCleanup(v, m.forget, name)
	return v
}

// forget removes a name whose value was collected, unless it has a new one.
func (m *weakMap[K, V]) forget(name K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values[name].Value() == nil {
		delete(m.values, name)
	}
}
