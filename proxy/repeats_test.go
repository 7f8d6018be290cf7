package proxy

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRepeats: what is over the bound is counted, once an interval, kind by kind.
func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		to := slog.New(slog.NewTextHandler(&text, nil))
		var r repeats
		for range 2 {
			text.Reset()
			for range repeatLines + 7 {
				r.log(to, slog.LevelInfo, repeatKind{"often", "web"})
			}
			r.log(to, slog.LevelInfo, repeatKind{"often", "secure"})
			r.log(to, slog.LevelInfo, repeatKind{"once", "web"})
			time.Sleep(repeatInterval)
			synctest.Wait()
			got := text.String()
			if n := strings.Count(got, "msg=often"); n != repeatLines+1 {
				t.Errorf("%d lines, want %d", n, repeatLines+1)
			}
			if !strings.Contains(got, "msg=once") || strings.Count(got, "left out") != 1 || !strings.Contains(got, "of=often listener=web lines=7") {
				t.Errorf("logged %s", got[max(len(got)-500, 0):])
			}
		}
	})
}
