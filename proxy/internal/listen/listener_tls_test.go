package listen

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/internal/proxytest"
)

// TestClientCAs: who was verified under one client_ca, and whether that is good
// enough under another.
func TestClientCAs(t *testing.T) {
	one, other := proxytest.NewAuthority(t), proxytest.NewAuthority(t)
	client := one.Issue([]string{"client"})
	both := filepath.Join(t.TempDir(), "both.pem")
	if err := os.WriteFile(both, slices.Concat([]byte("a remark\n"), contents(t, other.File), contents(t, one.File)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		before, now string
		want        bool
	}{
		{one.File, one.File, true},
		{one.File, both, true},
		{one.File, other.File, false},
		{one.File, client.File, true}, // the client's certificate itself is trusted
		{both, one.File, true},
		{both, other.File, false},
		{client.File, client.File, true},
		{client.File, other.File, false},
	} {
		pool, _, err := loadClientCAs(tt.before)
		if err != nil {
			t.Fatal(err)
		}
		chains, err := parsed(t, client).Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err != nil {
			t.Fatal(err)
		}
		_, trusted, err := loadClientCAs(tt.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := trusted.Verifies(&tls.ConnectionState{VerifiedChains: chains}); got != tt.want {
			t.Errorf("verified by %s, now %s: %v, wanted %v", tt.before, tt.now, got, tt.want)
		}
	}
}

func parsed(t *testing.T, c *proxytest.Certificate) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
