// Which of several readings is taken, in faked time.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunnelform/tunnelform/reload/store"
)

const pause = 75 * time.Millisecond

// at makes a reading of one file that does not change while it is read, with a new
// identity for each number.
func at(number int, data string) reading {
	id := identity{ino: 1, size: int64(len(data)), mtime: time.Unix(int64(number), 0)}
	c := content{data: []byte(data), revision: store.RevisionOf([]byte(data)), id: id, still: true}
	return reading{files: []file{{path: "routes.yaml", content: c}}}
}

func replaced(number int, data string) reading {
	r := at(number, data)
	r.files[0].id.ino = uint64(number)
	return r
}

func failed(text string) reading {
	return reading{files: []file{{path: "routes.yaml", err: errors.New(text)}}}
}

func moving(r reading) reading {
	r.files[0].still = false
	return r
}

func TestSettle(t *testing.T) {
	for _, test := range []struct {
		name  string
		takes func(n int) reading // the nth reading, from 0
		reads int                 // how many there have to be
		want  string              // the data, or the error
	}{
		{"still", func(int) reading { return at(0, "a") }, 2, "a"},
		{"growing", func(n int) reading { return at(min(n, 5), strings.Repeat("x", 1+min(n, 5))) }, 7, "xxxxxx"},
		{"same size", func(n int) reading { return at(min(n, 1), string(rune('a'+min(n, 1)))) }, 3, "b"},
		{"same content touched", func(n int) reading { return at(min(n, 3), "a") }, 5, "a"},
		{"same times, other content", func(n int) reading { return at(0, string(rune('a'+min(n, 2)))) }, 4, "c"},
		{"moved while read", func(n int) reading {
			if n < 4 {
				return moving(at(0, "a"))
			}
			return at(0, "a")
		}, 5, "a"},
		{"missing for an instant", func(n int) reading {
			if n == 0 {
				return failed("gone")
			}
			return at(0, "a")
		}, 3, "a"},
		{"missing", func(int) reading { return failed("gone") }, 2, "gone"},
		{"replaced for ever", func(n int) reading { return replaced(n, fmt.Sprint(n)) }, stillRounds + 1, fmt.Sprint(stillRounds)},
		{"appended for ever by replacing", func(n int) reading { return replaced(n, strings.Repeat("x", n)) }, stillRounds + 1, strings.Repeat("x", stillRounds)},
		{"rewritten for ever, cut in half now and then", func(n int) reading {
			if n%stillRounds == 0 {
				return at(n, "content")
			}
			return at(n, fmt.Sprintf("content %d", 1000+n))
		}, stillRounds + 3, fmt.Sprintf("content %d", 1000+stillRounds+2)},
		{"growing for ever", func(n int) reading { return at(n, strings.Repeat("x", n)) }, growingRounds + 1, errMoving.Error()},
		{"moving for ever", func(n int) reading { return moving(at(n, fmt.Sprint(n))) }, growingRounds + 1, errMoving.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reads, begun := 0, time.Now()
				r, err := settle(t.Context(), pause, func() reading { reads++; return test.takes(reads - 1) })
				if got := outcome(r, err); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
				if reads != test.reads {
					t.Errorf("read %d times, want %d", reads, test.reads)
				}
				if took, want := time.Since(begun), time.Duration(test.reads-1)*pause; took != want {
					t.Errorf("took %v, want %v", took, want)
				}
			})
		})
	}
}

func outcome(r reading, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case r.files[0].err != nil:
		return r.files[0].err.Error()
	}
	return string(r.files[0].data)
}

func TestSettleSet(t *testing.T) {
	a, b := at(0, "a"), at(0, "b")
	b.files[0].path = "second.yaml"
	both := reading{files: append(a.files[:1:1], b.files...)}
	inputs := a
	inputs.inputs = "hash"
	for _, test := range []struct {
		name         string
		last, next   reading
		equal, whole bool
	}{
		{"same", both, both, true, true},
		{"one added", a, both, false, true},
		{"one removed", both, a, false, true},
		{"one for another", a, b, false, true},
		{"other inputs", a, inputs, false, true},
		{"one moving", both, reading{files: append(a.files[:1:1], moving(at(1, "b")).files...)}, false, false},
	} {
		if got := test.next.equals(test.last); got != test.equal {
			t.Errorf("%s: equals is %v, want %v", test.name, got, test.equal)
		}
		if got := test.next.isWhole(test.last); got != test.whole {
			t.Errorf("%s: isWhole is %v, want %v", test.name, got, test.whole)
		}
	}
}

func TestSettleEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*pause+1)
		defer cancel()
		reads := 0
		_, err := settle(ctx, pause, func() reading { reads++; return at(reads, strings.Repeat("x", reads)) })
		if !errors.Is(err, context.DeadlineExceeded) || reads != 11 {
			t.Errorf("error %v after %d readings, want %v after 11", err, reads, context.DeadlineExceeded)
		}
	})
}

// A negative pause takes the first reading.
func TestSettleOff(t *testing.T) {
	reads := 0
	r, err := settle(t.Context(), -1, func() reading { reads++; return at(reads, "a") })
	if outcome(r, err) != "a" || reads != 1 {
		t.Errorf("got %q after %d readings, want %q after one", outcome(r, err), reads, "a")
	}
}
