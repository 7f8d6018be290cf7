package tunnel

// Limits of a loop's tunnels: those of one route are the same, so each set is
// kept once, and a slot names it by a number.

// limitTable holds sets of limits. Its zero value is empty.
type limitTable struct {
	sets  []limitSet
	index map[Limits]uint32
	free  []uint32
}

type limitSet struct {
	limits Limits
	users  int
}

// take returns the number of a set, for one more tunnel. (A lifetime may differ
// from tunnel to tunnel, and is left out.)
func (lt *limitTable) take(l Limits) uint32 {
	l.Lifetime = 0
	i, ok := lt.index[l]
	if !ok {
		i = lt.add(l)
	}
	lt.sets[i].users++
	return i
}

func (lt *limitTable) add(l Limits) uint32 {
	if len(lt.free) == 0 {
		lt.free = append(lt.free, uint32(len(lt.sets)))
		lt.sets = append(lt.sets, limitSet{})
	}
	i := lt.free[len(lt.free)-1]
	lt.free = lt.free[:len(lt.free)-1]
	if lt.index == nil {
		lt.index = map[Limits]uint32{}
	}
	lt.sets[i], lt.index[l] = limitSet{limits: l}, i
	return i
}

// give ends a tunnel's use of a set.
func (lt *limitTable) give(i uint32) {
	if lt.sets[i].users--; lt.sets[i].users == 0 {
		delete(lt.index, lt.sets[i].limits)
		lt.free = append(lt.free, i)
	}
}

func (lt *limitTable) at(i uint32) *Limits { return &lt.sets[i].limits }
