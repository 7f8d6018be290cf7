package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

func hello(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) }

// stay holds a connection open until the other side closes it.
func stay(conn net.Conn) { io.Copy(io.Discard, conn) }

func mustLoad(t *testing.T, files TLSFiles) TLS {
	t.Helper()
	loaded, err := LoadTLS(files)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestDialStages(t *testing.T) {
	authority, stranger := proxytest.NewAuthority(t), proxytest.NewAuthority(t)
	good := proxytest.ServeTLS(t, authority.Issue([]string{"127.0.0.1", "chat.internal"}), http.HandlerFunc(hello))
	expired := proxytest.ServeTLS(t, authority.Issue([]string{"127.0.0.1"}, proxytest.Expired), http.HandlerFunc(hello))
	silent := proxytest.NewRawBackend(t, stay)
	plain := proxytest.Serve(t, http.HandlerFunc(hello))
	ours := TLSFiles{CA: authority.File}

	for _, tt := range []struct {
		name, scheme, authority string
		tls                     TLSFiles
		stage                   Stage // "" is success
		check, text             string
		timeout                 bool
	}{
		{name: "plain", scheme: "ws", authority: plain.Addr},
		{name: "refused", scheme: "http", authority: proxytest.Refused(t), stage: StageConnect, text: "refused"},
		{name: "no socket", scheme: "unix+http", authority: "/nonexistent/s", stage: StageConnect, text: "no such file"},
		{name: "bad name", scheme: "ws", authority: "a..b:80", stage: StageResolve, text: "no such host"},
		{name: "verified", scheme: "wss", authority: good.Addr, tls: ours},
		{name: "other name that it has", scheme: "https", authority: good.Addr, tls: TLSFiles{CA: authority.File, ServerName: "chat.internal"}},
		{name: "system roots", scheme: "wss", authority: good.Addr, stage: StageTLS, check: "unknown authority"},
		{name: "unknown authority", scheme: "wss", authority: good.Addr, tls: TLSFiles{CA: stranger.File}, stage: StageTLS, check: "unknown authority"},
		{name: "name mismatch", scheme: "wss", authority: good.Addr, tls: TLSFiles{CA: authority.File, ServerName: "other.internal"}, stage: StageTLS, check: "name mismatch", text: "other.internal"},
		{name: "expired", scheme: "wss", authority: expired.Addr, tls: ours, stage: StageTLS, check: "expired"},
		{name: "insecure", scheme: "wss", authority: expired.Addr, tls: TLSFiles{Insecure: true}},
		{name: "no TLS there", scheme: "wss", authority: plain.Addr, tls: ours, stage: StageTLS, text: "first record"},
		{name: "silent", scheme: "wss", authority: silent.Addr, tls: ours, stage: StageTLS, timeout: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := context.Background()
			if tt.timeout {
				ctx = WithConnectTimeout(ctx, 50*time.Millisecond)
			}
			b := NewBackend(BackendKey{"p", tt.scheme, tt.authority})
			conn, err := b.Dial(ctx, mustLoad(t, tt.tls))
			if err == nil {
				conn.Close()
			}
			if tt.stage == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var dial *DialError
			if !errors.As(err, &dial) {
				t.Fatalf("got %v, want a DialError", err)
			}
			if dial.Stage != tt.stage || dial.Check() != tt.check || dial.Timeout() != tt.timeout || !strings.Contains(dial.Error(), tt.text) {
				t.Errorf("got stage %q, check %q, timeout %v: %v", dial.Stage, dial.Check(), dial.Timeout(), dial)
			}
			if tt.check != "" && !strings.Contains(dial.Error(), tt.check) {
				t.Errorf("%q does not say %q", dial.Error(), tt.check)
			}
		})
	}
}

func TestDialCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := NewBackend(BackendKey{"p", "ws", "127.0.0.1:1"}).Dial(ctx, TLS{})
	var dial *DialError
	if !errors.As(err, &dial) || dial.Timeout() {
		t.Errorf("got %v, want a DialError that is no timeout", err)
	}
}

func TestDialUnix(t *testing.T) {
	server := proxytest.ServeUnix(t, http.HandlerFunc(hello))
	conn, err := NewBackend(BackendKey{"p", "unix+ws", server.Addr}).Dial(context.Background(), TLS{})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestMutualTLS(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	leaf := authority.Issue([]string{"127.0.0.1"})
	leaf.Clients = authority
	name := make(chan string, 1)
	server := proxytest.ServeTLS(t, leaf, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name <- r.TLS.PeerCertificates[0].Subject.CommonName + " over " + r.TLS.NegotiatedProtocol
	}))
	b := NewBackend(BackendKey{"p", "https", server.Addr})
	t.Cleanup(b.Close)

	us := authority.Issue([]string{"proxy.internal"})
	with := mustLoad(t, TLSFiles{CA: authority.File, Certificate: us.File, Key: us.KeyFile})
	get(t, b, with)
	if got, want := <-name, "proxy.internal over http/1.1"; got != want {
		t.Errorf("the backend saw %q, want %q", got, want)
	}
	req, _ := http.NewRequest("GET", "http://x/", nil)
	if res, err := b.RoundTripper(mustLoad(t, TLSFiles{CA: authority.File})).RoundTrip(req); err == nil {
		res.Body.Close()
		t.Error("an answer without a certificate of ours")
	}
}

// Keys are equal exactly where the settings and the files' contents are.
func TestTLSKey(t *testing.T) {
	a := proxytest.NewAuthority(t)
	leaf := a.Issue([]string{"x"})
	copied := t.TempDir() + "/copy.pem"
	pem, err := os.ReadFile(a.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	if mustLoad(t, TLSFiles{CA: a.File}).Key != mustLoad(t, TLSFiles{CA: copied}).Key {
		t.Error("a file of other name and equal content has another key")
	}
	seen := map[string]TLSFiles{}
	for _, files := range []TLSFiles{
		{}, {CA: a.File}, {ServerName: "x"}, {Insecure: true}, {CA: a.File, ServerName: "x"},
		{CA: proxytest.NewAuthority(t).File}, {Certificate: leaf.File, Key: leaf.KeyFile},
	} {
		loaded := mustLoad(t, files)
		if other, ok := seen[loaded.Key]; ok {
			t.Errorf("%+v and %+v have one key", files, other)
		}
		seen[loaded.Key] = files
		if config := loaded.clientConfig("host"); config.MinVersion != tls.VersionTLS12 || config.InsecureSkipVerify != files.Insecure {
			t.Errorf("%+v: got %+v", files, config)
		}
	}
}

func TestLoadTLSErrors(t *testing.T) {
	a := proxytest.NewAuthority(t)
	leaf, other := a.Issue([]string{"x"}), a.Issue([]string{"y"})
	for _, tt := range []struct {
		files TLSFiles
		want  string
	}{
		{TLSFiles{CA: "/nonexistent/ca.pem"}, "backend CA: open /nonexistent/ca.pem"},
		{TLSFiles{CA: leaf.KeyFile}, "no certificate in it"},
		{TLSFiles{Certificate: leaf.File}, "backend client key"},
		{TLSFiles{Key: leaf.KeyFile}, "backend client certificate"},
		{TLSFiles{Certificate: leaf.File, Key: other.KeyFile}, "does not match"},
	} {
		if _, err := LoadTLS(tt.files); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %q", tt.files, err, tt.want)
		}
	}
}
