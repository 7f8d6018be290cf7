package handler

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
		var r logLimiter
		for range 2 {
			text.Reset()
			for range logLines + 7 {
				r.log(to, slog.LevelInfo, logKind{"often", "web"})
			}
			r.log(to, slog.LevelInfo, logKind{"often", "secure"})
			r.log(to, slog.LevelInfo, logKind{"once", "web"})
			time.Sleep(logInterval)
			synctest.Wait()
			got := text.String()
			if n := strings.Count(got, "msg=often"); n != logLines+1 {
				t.Errorf("%d lines, want %d", n, logLines+1)
			}
			if !strings.Contains(got, "msg=once") || strings.Count(got, "left out") != 1 || !strings.Contains(got, "of=often listener=web lines=7") {
				t.Errorf("logged %s", got[max(len(got)-500, 0):])
			}
		}
	})
}
