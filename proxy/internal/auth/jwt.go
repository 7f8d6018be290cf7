package auth

// JSON Web Tokens (RFC 7519), with the rules of RFC 8725.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// JWT is an entry by token.
type JWT struct {
	Issuer     string
	Audience   []string // one of them; nil is any
	Keys       KeySource
	Algorithms []string // the only ones; a token does not choose
	From       []Place  // the first that has a value decides
	Claims     []Claim
	Leeway     time.Duration
	OnExpiry   OnExpiry
	Headers    []ClaimHeader
	Forward    Forwarding
}

// Claim is a condition on one claim: Regex, or exactly Value. Of a list, one item has to meet
// it.
type Claim struct {
	Name  string
	Value Template
	Regex *regexp.Regexp
}

// ClaimHeader is a header to the backend that has a claim's value.
type ClaimHeader struct{ Header, Claim string }

// maxToken is far above what fits into a request's head by default.
const maxToken = 64 << 10

type jwtEntry struct {
	JWT
	guard
	id     Fingerprint
	parser *jwt.Parser
}

func newJWTEntry(spec JWT, g guard, id Fingerprint) *jwtEntry {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(spec.Algorithms), jwt.WithIssuer(spec.Issuer), jwt.WithLeeway(spec.Leeway),
		jwt.WithExpirationRequired(), jwt.WithJSONNumber(), jwt.WithStrictDecoding(),
	}
	if spec.Audience != nil {
		options = append(options, jwt.WithAudience(spec.Audience...))
	}
	return &jwtEntry{JWT: spec, guard: g, id: id, parser: jwt.NewParser(options...)}
}

func (e *jwtEntry) check(ctx context.Context, r *Request) (*Grant, *Refusal) {
	for _, place := range e.From {
		token, present, err := place.find(r, "Bearer")
		if !present {
			continue
		}
		if refusal := e.blocked(r.Client); refusal != nil {
			return nil, refusal
		}
		if err != nil {
			return nil, e.failed(r.Client, bad(fmt.Errorf("token: %w", err)))
		}
		claims, refusal := e.verify(ctx, token)
		if refusal != nil {
			if refusal.Cause == CauseBad {
				return nil, e.failed(r.Client, refusal)
			}
			return nil, refusal
		}
		return e.grant(r, place, claims)
	}
	return nil, nil
}

// verify returns the claims of a token that is good.
func (e *jwtEntry) verify(ctx context.Context, token string) (jwt.MapClaims, *Refusal) {
	if len(token) > maxToken {
		return nil, bad(fmt.Errorf("token: %d bytes, wanted at most %d", len(token), maxToken))
	}
	var away error
	claims := jwt.MapClaims{}
	_, err := e.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical { // RFC 7515 section 4.1.11: none is understood here
			return nil, errors.New("critical header parameters are not supported")
		}
		kid, ok := t.Header["kid"].(string)
		if _, present := t.Header["kid"]; present && !ok {
			return nil, errors.New("kid is not a text")
		}
		keys, err := e.Keys.find(ctx, kid, t.Method.Alg())
		if err != nil {
			if !errors.Is(err, errUnknownKey) {
				away = err
			}
			return nil, err
		}
		var set jwt.VerificationKeySet
		for _, key := range keys {
			set.Keys = append(set.Keys, key)
		}
		return set, nil
	})
	switch {
	case away != nil:
		return nil, unavailable(fmt.Errorf("token: %w", away))
	case errors.Is(err, jwt.ErrTokenExpired) && onlyExpired(err):
		refusal := bad(errors.New("token: expired"))
		refusal.Text = "the token has expired"
		return nil, refusal
	case err != nil:
		return nil, bad(fmt.Errorf("token: %w", withoutToken(err)))
	}
	return claims, nil
}

// onlyExpired reports whether an expired token was good otherwise, so that its sender may be
// told.
func onlyExpired(err error) bool {
	for _, worse := range []error{
		jwt.ErrTokenMalformed, jwt.ErrTokenUnverifiable, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenInvalidAudience,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenNotValidYet, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenInvalidClaims,
	} {
		if errors.Is(err, worse) && worse != jwt.ErrTokenInvalidClaims {
			return false
		}
	}
	return true
}

// withoutToken keeps an error's text from quoting the token: decoders quote what they cannot
// read.
func withoutToken(err error) error {
	for _, known := range []error{
		jwt.ErrTokenMalformed, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidIssuer,
		jwt.ErrTokenNotValidYet, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenExpired, errUnknownKey,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errors.New("not acceptable")
}

// grant holds the claims to the entry's conditions.
func (e *jwtEntry) grant(r *Request, place Place, claims jwt.MapClaims) (*Grant, *Refusal) {
	for _, want := range e.Claims {
		if !want.holds(claims[want.Name], r) {
			return nil, forbidden(CauseForbidden, fmt.Errorf("token: claim %q does not have the value that is wanted", want.Name))
		}
	}
	user, _ := claims["sub"].(string)
	g := &Grant{Identity: Identity{User: user, Entry: e.id}, OnExpiry: e.OnExpiry, Cut: e.Forward.cut(place)}
	if expires, err := claims.GetExpirationTime(); err == nil && expires != nil {
		if g.Expires = expires.Time; !g.Expires.After(time.Now()) {
			g.Expires = g.Expires.Add(e.Leeway)
		}
	}
	for _, h := range e.Headers {
		claim, present := claims[h.Claim]
		if !present || claim == nil {
			continue
		}
		value, err := headerText(claim)
		if err != nil {
			return nil, forbidden(CauseUnsendable, fmt.Errorf("token: claim %q: %w", h.Claim, err))
		}
		g.Set = append(g.Set, Header{Name: h.Header, Value: value})
	}
	return g, nil
}

func (c Claim) holds(claim any, r *Request) bool {
	if list, ok := claim.([]any); ok {
		return slices.ContainsFunc(list, func(item any) bool { return c.holdsFor(item, r) })
	}
	return c.holdsFor(claim, r)
}

func (c Claim) holdsFor(claim any, r *Request) bool {
	text, err := scalarText(claim)
	if err != nil {
		return false
	}
	if c.Regex != nil {
		return c.Regex.MatchString(text)
	}
	want, ok := c.Value.expand(r.Capture)
	return ok && want == text
}

func scalarText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case json.Number:
		return v.String(), nil
	}
	return "", errors.New("is neither a text, a number nor a truth value")
}

// headerText is a claim as a header's value. What could end the line, or be read as another
// item of a list, is refused: the backend would believe it.
func headerText(claim any) (string, error) {
	list, isList := claim.([]any)
	if !isList {
		list = []any{claim}
	}
	texts := make([]string, len(list))
	for i, item := range list {
		text, err := scalarText(item)
		switch {
		case err != nil:
			return "", err
		case strings.ContainsFunc(text, isControl):
			return "", errors.New("has a control character")
		case isList && strings.Contains(text, ","):
			return "", errors.New("has an item with a comma")
		case strings.TrimSpace(text) != text:
			return "", errors.New("has blanks at an end")
		}
		texts[i] = text
	}
	return strings.Join(texts, ","), nil
}

func (e *jwtEntry) challenge() string        { return "Bearer" }
func (e *jwtEntry) places() []Place          { return e.Forward.hidden(e.From) }
func (e *jwtEntry) still(Identity) bool      { return true } // a key that leaves a key set ends nothing
func (e *jwtEntry) fingerprint() Fingerprint { return e.id }

func (e *jwtEntry) owns() (names []string) {
	for _, h := range e.Headers {
		names = append(names, h.Header)
	}
	return names
}
