package cli

// The callbacks of the reload loop: they change the proxy, the log and the status.

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/tunnelform/tunnelform/proxy"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload"
)

// published makes the proxy serve a new Table, and logs what has changed.
func (s *service) published(old, new *proxy.Table, gen reload.Generation) {
	changes := s.server.Adopt(old, new)
	s.loads.served()
	s.records.set(gen.Number, s.files.now)
	s.files.commit()
	s.log.Info("routes loaded",
		"generation", gen.Number, "revision", gen.Revision, "routes", new.Routes(),
		"added", names(changes.Added), "changed", names(changes.Changed), "removed", names(changes.Removed),
		"renamed", renames(changes.Renamed), "tunnels_kept", changes.Kept, "tunnels_draining", changes.Draining)
	s.feed.Publish("generation", s.history.add(generationEntry(changes, new.Routes(), gen)))
	s.noteStatus()
	// A load leaves garbage of many times the size of the files, which would stay until
	// traffic has grown the heap again.
	debug.FreeOSMemory()
}

// maxNames bounds the names in one log line, as when 10,000 routes are loaded at first.
const maxNames = 50

func names(all []string) []string {
	if len(all) <= maxNames {
		return append([]string{}, all...)
	}
	return append(append([]string{}, all[:maxNames]...), fmt.Sprintf("and %d more", len(all)-maxNames))
}

// renames is names for a map from old names to new ones.
func renames(all map[string]string) map[string]string {
	if len(all) <= maxNames {
		return all
	}
	some := make(map[string]string, maxNames+1)
	for _, from := range slices.Sorted(maps.Keys(all))[:maxNames] {
		some[from] = all[from]
	}
	some["..."] = fmt.Sprintf("and %d more", len(all)-maxNames)
	return some
}

func (s *service) refused(r reload.Refusal) {
	defer s.noteStatus()
	s.server.Unbind() // an earlier build of this attempt may have been good, and have bound addresses
	if outOfDescriptors(r.Err) {
		s.log.Warn("routes not read", "error", r.Err.Error(), "serving", s.loop.Status().Revision)
		return
	}
	s.loads.refused.Add(1)
	mistakes := mistakesOf(r.Err)
	s.feed.Publish("refusal", s.history.add(statusapi.HistoryEntry{
		Refused: true, Generation: s.loop.Status().Generation, Revision: r.Revision, Mistakes: mistakes[:min(len(mistakes), maxNames)],
	}))
	s.log.Error("routes refused", "mistakes", len(mistakes), "revision", r.Revision,
		"serving", s.loop.Status().Revision)
	for i, m := range mistakes {
		if i == maxNames {
			s.log.Error("mistake", "text", fmt.Sprintf("and %d more; tunnelform check lists them all", len(mistakes)-maxNames))
			return
		}
		s.log.Error("mistake", "file", m.File, "line", m.Line, "column", m.Column, "key", m.Key, "text", m.Text)
	}
}

// outOfDescriptors says that the process or the machine had no descriptor left to read the
// files with, which is no mistake in them. The loop tries again, as after every refusal.
func outOfDescriptors(err error) bool {
	none := func(text string) bool {
		return strings.HasSuffix(text, syscall.EMFILE.Error()) || strings.HasSuffix(text, syscall.ENFILE.Error())
	}
	var errs routefile.Errors // these have only texts, such as of a certificate that could not be opened
	if errors.As(err, &errs) {
		return slices.ContainsFunc(errs, func(e *routefile.Error) bool { return none(e.Text) })
	}
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || none(err.Error())
}

func (s *service) restored(gen reload.Generation, _ reload.Refusal) {
	s.log.Info("routes restored", "generation", gen.Number, "revision", gen.Revision)
	s.noteStatus()
}

func (s *service) unchanged(gen reload.Generation) {
	s.log.Info("routes unchanged", "generation", gen.Number, "revision", gen.Revision)
}
