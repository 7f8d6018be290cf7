// Package statusapi is what a running proxy says of itself, as JSON: at
// internal://status today. Field names are a promise; fields are added, never
// renamed.
package statusapi

import "time"

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
}

// File is one routes file of those that are served.
type File struct {
	Path     string `json:"path"`
	Revision string `json:"revision"` // sha256 of its content, hex
}

// Tunnels counts open tunnels.
type Tunnels struct {
	Open     int `json:"open"`     // all of them
	Draining int `json:"draining"` // those among them that are on their way out
}

// Refused is a revision that was not taken, and why.
type Refused struct {
	Revision string    `json:"revision"` // "" when the files could not be read
	At       time.Time `json:"at"`
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
