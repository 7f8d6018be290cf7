package admin

// Sessions: a browser gets a cookie for its token, which a page then never has.

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

const (
	sessionCookie   = "tunnelform_session"
	sessionLifetime = 12 * time.Hour
	maxSessions     = 1000
)

// sessions is the open sessions. One ends with its time, and with its token.
type sessions struct {
	mu  sync.Mutex // guards all
	all map[tokenHash]session
}

type session struct {
	token   tokenHash
	expires time.Time
}

func newSessions() *sessions { return &sessions{all: make(map[tokenHash]session)} }

// open returns the name of a new session. Beyond maxSessions the oldest one ends.
func (s *sessions) open(token tokenHash) string {
	name := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxSessions {
		var oldest tokenHash
		at := time.Now().Add(sessionLifetime)
		for hash, session := range s.all {
			if session.expires.Before(at) {
				oldest, at = hash, session.expires
			}
		}
		delete(s.all, oldest)
	}
	s.all[hashOf(name)] = session{token: token, expires: time.Now().Add(sessionLifetime)}
	return name
}

// find returns the hash of the session's token. Its map is keyed by hashes, whose
// comparison tells nothing about a name.
func (s *sessions) find(name string) (token tokenHash, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.all[hashOf(name)]
	if ok && time.Now().After(found.expires) {
		delete(s.all, hashOf(name))
		return tokenHash{}, false
	}
	return found.token, ok
}

func (a *api) openSession(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{
		Name:     sessionCookie,
		Value:    a.sessions.open(hashOf(bearerOf(r))),
		Path:     "/",
		MaxAge:   int(sessionLifetime.Seconds()),
		HttpOnly: true,
		SameSite: http.SameSiteStrictMode,
		Secure:   r.TLS != nil,
	})
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}
