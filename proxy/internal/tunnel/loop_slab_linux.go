package tunnel

// Slabs: where a loop keeps its tunnels. A tunnel's state is a slot without
// pointers, so that the garbage collector has nothing to follow in a million of
// them; what needs pointers (few, and none while bytes flow) stands beside it.
// Slots lie in chunks that never move and are used again, never given back.
//
// A slot is named by its index, and one use of it by index and generation: that
// is what epoll hands back, so that an event for a tunnel that has gone is known
// as such.

import (
	"sync/atomic"

	"github.com/tunnelform/tunnelform/proxy/internal/wsproto"
)

// slot is one tunnel: what its loop alone touches, and the counts, which anybody
// may load.
type slot struct {
	tallies [2]tally // of the directions
	slotState
}

// tally is what Direction is made of. Only the loop stores.
type tally struct {
	bytes, messages atomic.Int64
}

// slotState is what a slot's loop knows of it. Times are on the loop's clock.
type slotState struct {
	session
	timing timing
	io     [2]loopDirection // by the side they come from; see fromClient
	gen    uint32
	index  uint32
	limits uint32 // see limitTable
	hasTLS bool   // one side is TLS, or both
}

// loopDirection is what a loop needs to move the bytes of one direction; what has
// become of them is the session's.
type loopDirection struct {
	walker  wsproto.Walker
	token   [8]byte // payload of our pings to src, whose pongs come this way
	fd      int32   // src; dst is the other direction's
	backlog uint32  // see backlogs; 0 is none
	index   uint8   // of slot.io and session.dirs: fromClient or fromBackend

	readable bool // src may have something to read
	hup      bool // src has sent its end of file, or a reset: read on until it comes
	broken   bool // src's connection has failed: its end of file is no orderly end
	eof      bool // nothing is to be read from src, its end of file has come
	queued   bool // in the loop's ready list
	full     bool // the last read filled the buffer
	bounded  bool // src's receive buffer grows no more
}

// other is the direction that comes from where d goes to.
func (t *slot) other(d *loopDirection) *loopDirection { return &t.io[1-d.index&1] }

// state is the session's view of a direction.
func (t *slot) state(d *loopDirection) *direction { return &t.dirs[d.index&1] }

// ref is what a slot has pointers to.
type ref struct {
	done   func(Summary)
	meter  *Meter
	tally  *Tally
	handle *loopTunnel
	end    *endNote  // nil while nothing ends
	tls    *tlsConns // nil if both sides are plain
}

const chunkSize = 256

type chunk struct {
	slots *[chunkSize]slot // apart, so that it is memory without pointers
	refs  [chunkSize]ref
}

// slab holds slots. Its zero value is empty.
type slab struct {
	chunks []*chunk
	free   []uint32
	gen    uint32 // the last one given out
}

// take returns a zeroed slot with an index and a generation.
func (s *slab) take() *slot {
	if len(s.free) == 0 {
		s.grow()
	}
	index := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	if s.gen++; s.gen == 0 { // 0 is no use of a slot
		s.gen = 1
	}
	t := s.at(index)
	t.gen, t.index = s.gen, index
	return t
}

func (s *slab) grow() {
	base := uint32(len(s.chunks) * chunkSize)
	s.chunks = append(s.chunks, &chunk{slots: new([chunkSize]slot)})
	for i := uint32(chunkSize); i > 0; i-- {
		s.free = append(s.free, base+i-1)
	}
}

// give takes a slot back.
func (s *slab) give(t *slot) {
	index := t.index
	*s.ref(t) = ref{}
	t.slotState = slotState{}
	for i := range t.tallies { // one by one: Counts may be reading
		t.tallies[i].bytes.Store(0)
		t.tallies[i].messages.Store(0)
	}
	s.free = append(s.free, index)
}

func (s *slab) at(index uint32) *slot {
	return &s.chunks[index/chunkSize].slots[index%chunkSize]
}

func (s *slab) ref(t *slot) *ref {
	return &s.chunks[t.index/chunkSize].refs[t.index%chunkSize]
}

// directionKey names a direction of one use of a slot.
type directionKey struct {
	gen uint32
	io  uint32 // index*2 + the direction's
}

func (t *slot) key(d *loopDirection) directionKey {
	return directionKey{t.gen, t.index<<1 | uint32(d.index)}
}

// find returns the direction, or nil if that use of the slot is over.
func (s *slab) find(k directionKey) (*slot, *loopDirection) {
	index := k.io >> 1
	if int(index/chunkSize) >= len(s.chunks) {
		return nil, nil
	}
	t := s.at(index)
	if t.gen != k.gen || t.gen == 0 {
		return nil, nil
	}
	return t, &t.io[k.io&1]
}
