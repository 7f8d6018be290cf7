package routing

// Stickiness: which backend of a pool a client is sent back to.

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/tunnelform/tunnelform/internal/regularfile"
	"github.com/tunnelform/tunnelform/proxy/internal/upstream"
	"github.com/tunnelform/tunnelform/proxy/routefile"
)

func hashKey(h routefile.HashKey) upstream.RequestKey {
	switch {
	case h.Header != "":
		return upstream.RequestKey{Source: upstream.FromHeader, Name: h.Header}
	case h.Cookie != "":
		return upstream.RequestKey{Source: upstream.FromCookie, Name: h.Cookie}
	case h.Query != "":
		return upstream.RequestKey{Source: upstream.FromQuery, Name: h.Query}
	case h.Capture != "":
		return upstream.RequestKey{Source: upstream.FromCapture, Name: h.Capture}
	case h.Client:
		return upstream.RequestKey{Source: upstream.FromClient}
	}
	return upstream.RequestKey{}
}

func (b *builder) sticky(s *routefile.Sticky) (*upstream.Sticky, error) {
	if s == nil {
		return nil, nil
	}
	out := &upstream.Sticky{Separator: s.Separator, Refuse: s.OnUnavailable == "refuse"}
	if s.Cookie == "" {
		out.Key = hashKey(routefile.HashKey{Cookie: s.AppCookie, Header: s.Header, Query: s.Query})
		return out, nil
	}
	secret, err := b.stickySecret(s.Secret)
	out.Cookie = &upstream.Cookie{
		Name:     s.Cookie,
		Path:     s.Path,
		Domain:   s.Domain,
		SameSite: sameSite(s.SameSite),
		Secure:   cookieSecure(s.Secure),
		HTTPOnly: s.HTTPOnly == routefile.On,
		MaxAge:   max(s.MaxAge, 0),
		Secret:   secret,
	}
	return out, err
}

// stickySecret returns the contents of a file, or, if there is no file, a random secret
// that this process keeps across reloads.
func (b *builder) stickySecret(file string) ([]byte, error) {
	if file == "" {
		return b.ownSecret(), nil
	}
	data, err := regularfile.Read(file, regularfile.Named)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if data = bytes.TrimSpace(data); len(data) < routefile.MinSecret {
		return nil, fmt.Errorf("secret %q: %d bytes, want at least %d", file, len(data), routefile.MinSecret)
	}
	return data, nil
}

func (b *builder) ownSecret() []byte {
	if b.table.secret == nil {
		b.table.secret = make([]byte, 32)
		_, _ = rand.Read(b.table.secret) // never fails
	}
	return b.table.secret
}

func sameSite(word string) http.SameSite {
	switch word {
	case "strict":
		return http.SameSiteStrictMode
	case "none":
		return http.SameSiteNoneMode
	}
	return http.SameSiteLaxMode
}

func cookieSecure(s routefile.Switch) upstream.CookieSecure {
	switch s {
	case routefile.On:
		return upstream.SecureAlways
	case routefile.Off:
		return upstream.SecureNever
	}
	return upstream.SecureAsAsked
}
