package auth

// Basic: a user and a password with every request (RFC 7617).

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Basic is an entry by password.
type Basic struct {
	Users   *Users
	Realm   string
	User    Template // what the user must be; the zero value is anything
	Forward Forwarding
}

type basicEntry struct {
	Basic
	guard
	id Fingerprint
}

func (e *basicEntry) check(ctx context.Context, r *Request) (*Grant, *Refusal) {
	credential, present, err := Place{Kind: InAuthorization}.find(r, "Basic")
	if !present {
		return nil, nil
	}
	if refusal := e.blocked(r.Client); refusal != nil {
		return nil, refusal
	}
	user, password, parseErr := parseBasic(credential)
	if err = errors.Join(err, parseErr); err != nil {
		return nil, e.failed(r.Client, bad(fmt.Errorf("basic: %w", err)))
	}
	if refusal := e.verify(ctx, r, user, password); refusal != nil {
		return nil, refusal
	}
	if want, ok := e.User.expand(r.Capture); e.User.text != "" && (!ok || want != user) {
		return nil, forbidden(CauseForbidden, fmt.Errorf("basic: user %q is not the one of this path", user))
	}
	return &Grant{Identity: Identity{User: user, Entry: e.id, Record: user}, Cut: e.Forward.cut(Place{Kind: InAuthorization})}, nil
}

// verify checks the password. An unknown user takes the time of a known one.
func (e *basicEntry) verify(ctx context.Context, r *Request, user, password string) *Refusal {
	hash, known := e.Users.hashes[user], true
	if hash == nil {
		hash, known = e.Users.dummy, false
	}
	if known && e.passwords.has(hash.text(), user, password) {
		return nil
	}
	ok, err := e.hasher.matches(ctx, hash, password)
	switch {
	case err != nil:
		refusal := unavailable(fmt.Errorf("basic: %w", err))
		refusal.RetryAfter = busyFor
		return refusal
	case !ok || !known:
		return e.failed(r.Client, bad(fmt.Errorf("basic: wrong password, or unknown user %q", user)))
	}
	if hash.slow() {
		e.passwords.add(hash.text(), user, password)
	}
	return nil
}

// parseBasic decodes user and password. Control characters are refused, as RFC 7617 section
// 2 has it.
func parseBasic(credential string) (user, password string, err error) {
	decoded, err := base64.StdEncoding.DecodeString(credential)
	if err != nil {
		return "", "", errors.New("not base64")
	}
	user, password, ok := strings.Cut(string(decoded), ":")
	switch {
	case !ok:
		return "", "", errors.New("no colon between user and password")
	case !utf8.Valid(decoded) || strings.ContainsFunc(string(decoded), isControl):
		return "", "", errors.New("user or password has a control character or is not UTF-8")
	}
	return user, password, nil
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

func (e *basicEntry) challenge() string {
	return `Basic realm="` + quoted(e.Realm) + `", charset="UTF-8"`
}

// quoted escapes what a quoted-string must not have bare (RFC 9110 section 5.6.4).
func quoted(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }

func (e *basicEntry) places() []Place          { return nil }
func (e *basicEntry) owns() []string           { return nil }
func (e *basicEntry) still(id Identity) bool   { return e.Users.hashes[id.Record] != nil }
func (e *basicEntry) fingerprint() Fingerprint { return e.id }
