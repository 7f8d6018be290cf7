// Package statusapi is the JSON that a running proxy serves on its admin API and at
// internal://status, and writes to its status file. Fields are added, never renamed.
package statusapi

import (
	"fmt"
	"time"
)

// Status is the state of one proxy at one moment.
type Status struct {
	Version    string            `json:"version"`
	StartedAt  time.Time         `json:"started_at"`
	Ready      bool              `json:"ready"`      // false once a shutdown has begun
	Generation uint64            `json:"generation"` // of the served routes; 1 is the first
	Revision   string            `json:"revision"`   // their content hash
	LoadedAt   time.Time         `json:"loaded_at"`  // when they began to be served
	Files      []File            `json:"files"`
	Routes     int               `json:"routes"`
	Listeners  map[string]string `json:"listeners"` // name -> the address that is bound
	Tunnels    Tunnels           `json:"tunnels"`
	// Refused is the revision in the files, if it was refused.
	Refused *Refused `json:"refused,omitempty"`
	// Outcome is that of the revision in ?wait=; "" when there is none.
	Outcome Outcome `json:"outcome,omitempty"`
}

// Outcome is what became of a revision.
type Outcome string

const (
	Served     Outcome = "served"     // it is part of the served routes
	Rejected   Outcome = "rejected"   // it is in the files, and the proxy has refused it; see Status.Refused
	Superseded Outcome = "superseded" // it was in the files, and is not any more
	Pending    Outcome = "pending"    // the timeout is over, and it was not in the files
)

// CheckResult is the result of checking a candidate file. Nothing was loaded.
type CheckResult struct {
	OK       bool      `json:"ok"`
	Revision string    `json:"revision"` // of the candidate, sha256 in hex
	Mistakes []Mistake `json:"mistakes"`
	// Impact is what the candidate would do to what is served; nil where there are mistakes.
	Impact *Impact `json:"impact,omitempty"`
}

// File is one of the served routes files.
type File struct {
	Path     string `json:"path"`
	Revision string `json:"revision"` // sha256 of its content, hex
}

// Records is what is served record by record, for tools that own one record of a file.
type Records struct {
	Generation uint64        `json:"generation"` // of the routes that are served
	Files      []FileRecords `json:"files"`
}

// FileRecords is the hashes of a routes file's records (routefile.Section.Fingerprint), by
// name. They depend on the meaning only, not on layout, comments and other records.
type FileRecords struct {
	Path     string            `json:"path"`
	Revision string            `json:"revision"`
	Routes   map[string]string `json:"routes"`
	Pools    map[string]string `json:"pools"`
}

// Tunnels counts open tunnels.
type Tunnels struct {
	Open     int `json:"open"`     // all
	Draining int `json:"draining"` // that are to end
	Moving   int `json:"moving"`   // that are between two backends

	Redialled uint64 `json:"redialled"` // moves to another backend since the start
}

// Refused is a revision that is not served, and why.
type Refused struct {
	Revision string    `json:"revision"` // "" when the files could not be read
	At       time.Time `json:"at"`
	Files    []File    `json:"files,omitempty"`
	Mistakes []Mistake `json:"mistakes"`
}

// Mistake is one mistake in a file. Line and Column count from 1 (0: it has no line); Key
// is the dotted path of the key.
type Mistake struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Key    string `json:"key,omitempty"`
	Text   string `json:"text"`
}

// String is file:line:column: text.
func (m Mistake) String() string {
	switch {
	case m.File == "":
		return m.Text
	case m.Line == 0:
		return m.File + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Text)
}

// Error is the answer to a call that could not be carried out.
type Error struct {
	Error string `json:"error"`
}
