package listen

// Connections whose first request net/http has not read, and that are no tunnel yet. A
// Socket that is closed gives them a short time to bring one.

import (
	"sync"
	"time"
)

// PendingConns are a Socket's pending connections. Safe for concurrent use.
type PendingConns struct {
	none      chan struct{} // closed when the Socket is closed and none is left
	closeOnce sync.Once

	mu       sync.Mutex
	closed   bool                     // guarded by mu
	deadline time.Time                // guarded by mu; of the idle ones once closed
	idle     map[PendingConn]struct{} // guarded by mu; their request has not come
	active   map[PendingConn]struct{} // guarded by mu; their request is being served
}

// PendingConn is a pending connection. EndBy sets the time by which its first request
// must have come; ALongTimeAgo ends it even after that, where net/http does not.
type PendingConn interface{ EndBy(time.Time) }

// ALongTimeAgo is the deadline that ends whatever has one.
var ALongTimeAgo = time.Unix(1, 0)

// firstRequestGrace is how long a connection may take to bring its first request
// after its Socket is closed: the request may already be on its way.
const firstRequestGrace = time.Second

func (p *PendingConns) init() {
	p.none = make(chan struct{})
	p.idle, p.active = make(map[PendingConn]struct{}), make(map[PendingConn]struct{})
}

// Add adds a connection whose first request has not come. It returns false, and does
// nothing, once the Socket is closed.
func (p *PendingConns) Add(c PendingConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.idle[c] = struct{}{}
	return true
}

// MarkActive notes that the connection's first request has come.
func (p *PendingConns) MarkActive(c PendingConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.idle, c)
	p.active[c] = struct{}{}
}

// Replace continues a pending connection under another value. If close has set the
// deadline on old after old stopped listening, it applies to new. If old is nil, it is Add.
func (p *PendingConns) Replace(old, new PendingConn) bool {
	if old == nil {
		return p.Add(new)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, active := p.active[old]
	delete(p.idle, old)
	delete(p.active, old)
	if active {
		p.active[new] = struct{}{}
	} else {
		p.idle[new] = struct{}{}
	}
	if p.closed && !active || p.deadline == ALongTimeAgo {
		new.EndBy(p.deadline)
	}
	return true
}

// Remove removes a connection that has ended or is pending no longer.
func (p *PendingConns) Remove(c PendingConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.idle, c)
	delete(p.active, c)
	p.checkNoneLocked()
}

func (p *PendingConns) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.deadline = true, time.Now().Add(firstRequestGrace)
	for c := range p.idle {
		c.EndBy(p.deadline)
	}
	p.checkNoneLocked()
}

// cut ends those that are left.
func (p *PendingConns) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = ALongTimeAgo
	for _, all := range []map[PendingConn]struct{}{p.idle, p.active} {
		for c := range all {
			c.EndBy(ALongTimeAgo)
		}
	}
}

func (p *PendingConns) checkNoneLocked() {
	if p.closed && len(p.idle)+len(p.active) == 0 {
		p.closeOnce.Do(func() { close(p.none) })
	}
}
