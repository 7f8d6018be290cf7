// Package statusapi is what a running proxy says of itself, as JSON: on its admin
// API, at internal://status and in its status file. Field names are a promise;
// fields are added, never renamed.
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
	Generation uint64            `json:"generation"` // of the routes that are served; 1 is the first
	Revision   string            `json:"revision"`   // their content hash
	LoadedAt   time.Time         `json:"loaded_at"`  // when they began to be served
	Files      []File            `json:"files"`
	Routes     int               `json:"routes"`
	Listeners  map[string]string `json:"listeners"` // name -> the address that is bound
	Tunnels    Tunnels           `json:"tunnels"`
	// Refused is what stands in the files now, if that is not what is served.
	Refused *Refused `json:"refused,omitempty"`
	// Outcome is what became of the revision that was waited for; "" when none was.
	Outcome Outcome `json:"outcome,omitempty"`
}

// Outcome is what has become of a revision.
type Outcome string

const (
	Served     Outcome = "served"     // it is part of what is served
	Rejected   Outcome = "rejected"   // it stands in the files and was refused; see Status.Refused
	Superseded Outcome = "superseded" // it was seen, and the files hold something else now
	Pending    Outcome = "pending"    // the time to wait is over, and it was not seen
)

// CheckResult is the judgement of a candidate file. Nothing was loaded.
type CheckResult struct {
	OK       bool      `json:"ok"`
	Revision string    `json:"revision"` // of the candidate, sha256 in hex
	Mistakes []Mistake `json:"mistakes"`
}

// File is one routes file of those that are served.
type File struct {
	Path     string `json:"path"`
	Revision string `json:"revision"` // sha256 of its content, hex
}

// Records is what is served, record by record, for those who own one record of a
// file and not the file.
type Records struct {
	Generation uint64        `json:"generation"` // of the routes that are served
	Files      []FileRecords `json:"files"`
}

// FileRecords is what one routes file says of its records, by name: hashes of
// what they mean (routefile.Section.Fingerprint), so that a change of layout,
// of a comment or of another record shows in none of them.
type FileRecords struct {
	Path     string            `json:"path"`
	Revision string            `json:"revision"`
	Routes   map[string]string `json:"routes"`
	Pools    map[string]string `json:"pools"`
}

// Tunnels counts open tunnels.
type Tunnels struct {
	Open     int `json:"open"`     // all of them
	Draining int `json:"draining"` // those among them that are on their way out
	Moving   int `json:"moving"`   // those among them that are between two backends

	Redialled uint64 `json:"redialled"` // how often one has gone on with another backend, since the start
}

// Refused is a revision that was not taken, and why.
type Refused struct {
	Revision string    `json:"revision"` // "" when the files could not be read
	At       time.Time `json:"at"`
	Files    []File    `json:"files,omitempty"`
	Mistakes []Mistake `json:"mistakes"`
}

// Mistake is one thing that is wrong. File, Line and Column are where, Line and
// Column counting from 1 (0: not at a line); Key is the dotted path of the key.
type Mistake struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Key    string `json:"key,omitempty"`
	Text   string `json:"text"`
}

// String is the mistake on one line: file:line:column: text.
func (m Mistake) String() string {
	switch {
	case m.File == "":
		return m.Text
	case m.Line == 0:
		return m.File + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Text)
}
