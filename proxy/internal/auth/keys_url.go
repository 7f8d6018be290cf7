package auth

// Keys that are fetched. The last good ones are kept while their server is away.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// keyURL is the key set behind a URL. Its fetches run in goroutines of their own, one at a
// time, and only while tokens come.
type keyURL struct {
	url     string
	refresh time.Duration
	client  *http.Client

	mu       sync.Mutex
	keys     KeySet        // guarded by mu; the last good ones
	fetched  time.Time     // guarded by mu; when keys came
	tried    time.Time     // guarded by mu; when the last fetch began
	err      error         // guarded by mu; of the last fetch
	fetching chan struct{} // guarded by mu; closed at the end of the fetch under way
}

const (
	// unknownKeyPause is the least time between fetches: tokens with made-up key ids must
	// not become requests to the key server.
	unknownKeyPause = 30 * time.Second
	fetchTimeout    = 10 * time.Second
	// firstWait is how long a request waits for the first keys, or for those of an unknown
	// key id.
	firstWait = 3 * time.Second
)

// KeyURL returns the keys behind a URL, fetched anew when they are older than refresh and a
// token comes. Policies that name the same URL share them, across reloads too.
func (s *State) KeyURL(address string, refresh time.Duration) KeySource {
	return s.sources.get(address+" "+refresh.String(), func() *keyURL {
		return &keyURL{url: address, refresh: refresh, client: keyClient()}
	})
}

// keyClient follows no redirect to another host or to plain text: the keys say who may come
// in.
func keyClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport, Timeout: fetchTimeout, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme || len(via) > 5 {
			return errors.New("redirected to another host")
		}
		return nil
	}}
}

func (k *keyURL) find(ctx context.Context, kid, alg string) ([]any, error) {
	keys, err := k.current(ctx)
	if err != nil {
		return nil, err
	}
	found, err := keys.find(ctx, kid, alg)
	if err == nil {
		return found, nil
	}
	// The key may be new.
	if !k.fetchAgain(ctx) {
		return nil, err
	}
	k.mu.Lock()
	keys = k.keys
	k.mu.Unlock()
	return keys.find(ctx, kid, alg)
}

// current returns the keys. It waits for the first ones, and for new ones where nobody has
// asked for long; otherwise it begins a fetch when they are old.
func (k *keyURL) current(ctx context.Context) (KeySet, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if k.keys != nil && now.Sub(k.fetched) < k.refresh {
		return k.keys, nil
	}
	done := k.fetchLocked(now, k.keys == nil)
	// After a time without tokens the keys may be ones that were withdrawn long ago.
	unused := k.err == nil && now.Sub(k.fetched) > 2*k.refresh
	if (k.keys == nil || unused) && done != nil {
		k.mu.Unlock()
		waitFor(ctx, done)
		k.mu.Lock()
	}
	if k.keys == nil {
		if k.err == nil {
			return nil, errors.New("the keys have not come yet")
		}
		return nil, k.err
	}
	return k.keys, nil
}

// fetchAgain fetches the keys for an unknown key id, unless that was done a moment ago.
func (k *keyURL) fetchAgain(ctx context.Context) bool {
	k.mu.Lock()
	done := k.fetchLocked(time.Now(), false)
	k.mu.Unlock()
	return done != nil && waitFor(ctx, done)
}

// fetchLocked begins a fetch, unless one is under way or was begun a moment ago. It returns
// the channel that its end closes; nil if there is none. soon shortens the pause: there are
// no keys at all.
func (k *keyURL) fetchLocked(now time.Time, soon bool) chan struct{} {
	pause := unknownKeyPause
	if soon {
		pause = time.Second
	}
	switch {
	case k.fetching != nil:
		return k.fetching
	case now.Sub(k.tried) < pause:
		return nil
	}
	done := make(chan struct{})
	k.fetching, k.tried = done, now
	go func() {
		keys, err := k.fetch()
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.err = err; err == nil {
			k.keys, k.fetched = keys, time.Now()
		}
		k.fetching = nil
		close(done)
	}()
	return done
}

func waitFor(ctx context.Context, done chan struct{}) bool {
	ctx, cancel := context.WithTimeout(ctx, firstWait)
	defer cancel()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (k *keyURL) fetch() (KeySet, error) {
	answer, err := k.client.Get(k.url)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("keys of %s: %w", k.url, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("keys of %s: status %d", k.url, answer.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxKeyBytes+1))
	if err == nil && len(data) > maxKeyBytes {
		err = fmt.Errorf("more than %d bytes", maxKeyBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", k.url, err)
	}
	keys, err := ParseKeySet(data)
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", k.url, err)
	}
	return keys, nil
}
