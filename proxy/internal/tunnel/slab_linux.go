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
	tallies [2]tally // of the lanes
	slotState
}

// tally is what Direction is made of. Only the loop stores.
type tally struct {
	bytes, messages atomic.Int64
}

// slotState is what a slot's loop knows of it. Times are nanoseconds on the
// loop's clock.
type slotState struct {
	timing   timing
	lanes    [2]lane // by the side they come from; see fromClient
	start    int64
	lifetime int64 // the limit; 0 is none
	deadline int64 // of phases closing and lingering
	latest   int64 // to which a patient one may move; see closeDue
	gen      uint32
	index    uint32
	limits   uint32 // see limitTable
	code     uint16
	by       Party
	phase    phase
	// As in type tunnel:
	websocket, ours, patient, caused, framed bool
	sealed                                   bool // one side is TLS, or both
}

// lane is one direction of a slot, as way is one of a portable tunnel, and its
// fields mean the same.
type lane struct {
	walker    wsproto.Walker
	heard     int64
	moved     int64
	pingedAt  int64
	quitAt    int64 // when src is given up, since it takes nothing; 0 is never
	token     [8]byte
	fd        int32  // src; dst is the other lane's
	kept      uint32 // see keeper; 0 is nothing kept
	closeCode uint16
	wants     uint8
	from      Party

	told, telling, mute, stopped, fin, deaf, blind, closeSeen, ended, gone bool

	blocked  bool // dst does not take bytes: src is not read
	readable bool // src may have something to read
	hup      bool // src has sent its end of file, or a reset: read on until it comes
	broken   bool // src's connection has failed: its end of file is no orderly end
	eof      bool // nothing is to be read from src, its end of file has come
	queued   bool // in the loop's ready list
	full     bool // the last read filled the buffer
	bounded  bool // src's receive buffer grows no more
}

// other is the lane that comes from where w goes to.
func (t *slot) other(w *lane) *lane { return &t.lanes[1-w.from.lane()] }

// lane is the index of the lane that comes from a party.
func (p Party) lane() int {
	if p == ByClient {
		return fromClient
	}
	return fromBackend
}

// ref is what a slot has pointers to.
type ref struct {
	done   func(Summary)
	meter  *Meter
	handle *loopTunnel
	end    *loopNote // nil while nothing ends
	tls    *sealed  // nil if both sides are plain
}

// loopNote is what there is to say of a tunnel that ends.
type loopNote struct {
	why       Reason
	text      string    // of the first Close frame
	closeText [2]string // of the Close frames that are wanted
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
	if s.gen++; s.gen == 0 { // 0 is nobody's
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
	for i := range t.tallies { // by stores of their own: somebody may be reading
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

// end is the note of a tunnel that ends.
func (s *slab) end(t *slot) *loopNote {
	r := s.ref(t)
	if r.end == nil {
		r.end = new(loopNote)
	}
	return r.end
}

// laneKey names a lane of one use of a slot.
type laneKey struct {
	gen  uint32
	lane uint32 // index*2 + the lane's
}

func (t *slot) key(w *lane) laneKey {
	return laneKey{t.gen, t.index<<1 | uint32(w.from.lane())}
}

// find returns the lane, or nil if that use of the slot is over.
func (s *slab) find(k laneKey) (*slot, *lane) {
	index := k.lane >> 1
	if int(index/chunkSize) >= len(s.chunks) {
		return nil, nil
	}
	t := s.at(index)
	if t.gen != k.gen || t.gen == 0 {
		return nil, nil
	}
	return t, &t.lanes[k.lane&1]
}
