// The pointer that readers and the loop share.
package reload

import "sync/atomic"

// Cell holds the current value. Any number of goroutines may call Load; only
// the Loop that owns the cell stores into it. A reader that loads once and keeps
// the pointer works with one consistent value to its end, whatever is published
// meanwhile.
type Cell[T any] struct {
	current atomic.Pointer[T]
}

// Load returns the current value, or nil before the first one is published.
// It takes no lock. The value must not be changed.
func (c *Cell[T]) Load() *T { return c.current.Load() }

// swap puts next in place and returns what was there.
func (c *Cell[T]) swap(next *T) *T { return c.current.Swap(next) }
