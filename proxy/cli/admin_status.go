package cli

// What the admin API, internal://status and the status file say of the proxy.

import (
	"encoding/json"
	"errors"

	"github.com/tunnelform/tunnelform/internal/printable"
	"github.com/tunnelform/tunnelform/proxy/routefile"
	"github.com/tunnelform/tunnelform/proxy/statusapi"
	"github.com/tunnelform/tunnelform/reload"
	"github.com/tunnelform/tunnelform/reload/store/filestore"
)

// Status implements admin.Proxy.
func (s *service) Status() statusapi.Status {
	now := s.loop.Status()
	open, draining := s.server.Tunnels()
	status := statusapi.Status{
		Version:    versionText(),
		StartedAt:  s.started,
		Ready:      s.server.Ready(),
		Generation: now.Generation,
		Revision:   now.Revision,
		LoadedAt:   now.LoadedAt,
		Listeners:  s.server.Addresses(),
		Tunnels: statusapi.Tunnels{
			Open: open, Draining: draining, Moving: s.server.Moving(), Redialled: s.server.Redialled(),
		},
	}
	if table := s.loop.Cell().Load(); table != nil {
		status.Routes = table.Routes()
	}
	for _, d := range now.Documents {
		status.Files = append(status.Files, statusapi.File{Path: d.Path, Revision: d.Revision})
	}
	if now.LastError != nil {
		status.Refused = refusedStatus(now)
	}
	return status
}

func refusedStatus(now reload.Status) *statusapi.Refused {
	refused := &statusapi.Refused{
		Revision: now.RefusedRevision,
		At:       now.RefusedAt,
		Mistakes: mistakesOf(now.LastError),
	}
	for _, d := range now.RefusedDocuments {
		refused.Files = append(refused.Files, statusapi.File{Path: d.Path, Revision: d.Revision})
	}
	return refused
}

// noteStatus writes the status file, for sidecars that cannot reach the admin port. It is
// called by one goroutine at a time: the reload loop's, then the one that stops.
func (s *service) noteStatus() {
	if s.statusFile == "" {
		return
	}
	data, err := json.MarshalIndent(s.Status(), "", "  ")
	if err == nil {
		err = filestore.Replace(s.statusFile, append(printable.Bytes(data), '\n'))
	}
	if err != nil {
		s.log.Error("cannot write the status file", "file", s.statusFile, "error", err)
	}
}

// mistakesOf returns an error's mistakes. An error without positions is one mistake.
func mistakesOf(err error) []statusapi.Mistake {
	var errs routefile.Errors
	if !errors.As(err, &errs) {
		return []statusapi.Mistake{{Text: err.Error()}}
	}
	mistakes := make([]statusapi.Mistake, 0, len(errs))
	for _, e := range errs {
		text := e.Text
		if e.Record != "" {
			text = e.Record + ": " + text
		}
		mistakes = append(mistakes, statusapi.Mistake{
			File: e.Pos.File, Line: e.Pos.Line, Column: e.Pos.Col, Key: e.Key, Text: text,
		})
	}
	return mistakes
}
