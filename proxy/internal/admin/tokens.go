package admin

// Tokens: who has one may do what its scopes say. Only their hashes are kept.

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// Scope is what a token allows, as bits. Every token may read.
type Scope uint8

const (
	ScopeRead Scope = 1 << iota
	ScopeWrite
	ScopeTap
)

var scopeNames = map[string]Scope{"read": ScopeRead, "write": ScopeWrite, "tap": ScopeTap}

// String is the name of one scope.
func (s Scope) String() string {
	for name, scope := range scopeNames {
		if s == scope {
			return name
		}
	}
	return fmt.Sprintf("Scope(%d)", uint8(s))
}

type tokenHash [sha256.Size]byte

func hashOf(text string) tokenHash { return sha256.Sum256([]byte(text)) }

// Tokens is a set of tokens. Immutable; a nil one is empty.
type Tokens struct{ all []token }

type token struct {
	name   string
	scopes Scope
	hash   tokenHash
}

// ParseTokens reads lines "NAME SCOPE sha256:HEX", where HEX is the hash of the token. A
// token with two scopes has two lines. Empty lines and those that begin with # are skipped.
func ParseTokens(text string) (*Tokens, error) {
	t := &Tokens{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if err := t.add(fields); err != nil { // which does not repeat the line: it may have a secret in it
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return t, nil
}

func (t *Tokens) add(fields []string) error {
	if len(fields) != 3 {
		return fmt.Errorf("%d words: want NAME SCOPE sha256:HEX", len(fields))
	}
	scope, ok := scopeNames[fields[1]]
	if !ok {
		return fmt.Errorf("the second word is no scope: want read, write or tap")
	}
	digits, ok := strings.CutPrefix(fields[2], "sha256:")
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != sha256.Size {
		return fmt.Errorf("the third word is no hash: want sha256: and 64 hexadecimal digits")
	}
	hash := tokenHash(sum)
	for i := range t.all {
		switch known := &t.all[i]; {
		case known.hash == hash && known.name == fields[0]:
			known.scopes |= scope
			return nil
		case known.hash == hash:
			return fmt.Errorf("the token of %q is that of %q too", fields[0], known.name)
		}
	}
	t.all = append(t.all, token{name: fields[0], scopes: scope, hash: hash})
	return nil
}

// NewToken makes a token at random, with the set that has only it.
func NewToken(name string, scopes Scope) (text string, only *Tokens) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // it never fails
	text = base64.RawURLEncoding.EncodeToString(random[:])
	return text, &Tokens{all: []token{{name: name, scopes: scopes, hash: hashOf(text)}}}
}

// find returns the token with that hash; name is "" if there is none. It takes as long
// whichever it is.
func (t *Tokens) find(hash tokenHash) (name string, scopes Scope) {
	if t == nil {
		return "", 0
	}
	for i := range t.all {
		if subtle.ConstantTimeCompare(hash[:], t.all[i].hash[:]) == 1 {
			name, scopes = t.all[i].name, t.all[i].scopes
		}
	}
	return name, scopes
}
