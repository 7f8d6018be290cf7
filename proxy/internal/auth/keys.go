package auth

// The keys that verify tokens: a JSON Web Key Set (RFC 7517), or a shared secret.

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// KeySource gives the keys that may have signed a token. Safe for concurrent use.
type KeySource interface {
	// find returns the keys for a key id ("" for a token without one) and an algorithm.
	// The error is errUnknownKey, or says why there are no keys at all.
	find(ctx context.Context, kid, alg string) ([]any, error)
}

var errUnknownKey = errors.New("no key for this token's kid and alg")

// secretAlgorithms are those of a shared secret: no others may use one.
var secretAlgorithms = []string{"HS256", "HS384", "HS512"}

// Secret is a shared secret.
type Secret []byte

// ParseSecret takes a file's content, without line ends at its end. RFC 7518 section 3.2
// wants as many bits as the hash has.
func ParseSecret(data []byte) (Secret, error) {
	s := Secret(strings.TrimRight(string(data), "\r\n"))
	if len(s) < 32 {
		return nil, fmt.Errorf("%d bytes, wanted at least 32", len(s))
	}
	return s, nil
}

func (s Secret) find(_ context.Context, _, alg string) ([]any, error) {
	if !slices.Contains(secretAlgorithms, alg) {
		return nil, errUnknownKey
	}
	return []any{[]byte(s)}, nil
}

// KeySet is the public keys of a JSON Web Key Set.
type KeySet []webKey

type webKey struct {
	id, alg string // alg is "" for any of the key's type
	public  any
}

const (
	maxKeys     = 100
	maxKeyBytes = 1 << 20
	// maxTried bounds what a token without a key id can cost.
	maxTried = 8
	// minRSABits: RFC 7518 section 3.3.
	minRSABits = 2048
)

// ParseKeySet reads a JSON Web Key Set. Keys that are not for signatures, and of types that
// are not known, are left out, as RFC 7517 section 5 has it; private and symmetric ones are a
// mistake, because a set is public.
func ParseKeySet(data []byte) (KeySet, error) {
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("not a JSON Web Key Set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys, wanted at most %d", len(set.Keys), maxKeys)
	}
	var keys KeySet
	for i, raw := range set.Keys {
		k, err := parseWebKey(raw)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if k.public != nil {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("contains no key that verifies signatures")
	}
	return keys, nil
}

func parseWebKey(raw json.RawMessage) (webKey, error) {
	var k struct {
		Kty, Kid, Alg, Use, Crv string
		Ops                     []string `json:"key_ops"`
		N, E, X, Y, D, K        string
	}
	if err := json.Unmarshal(raw, &k); err != nil {
		return webKey{}, err
	}
	if k.D != "" || k.K != "" {
		return webKey{}, errors.New("is private or symmetric: a key set has public keys only")
	}
	out := webKey{id: k.Kid, alg: k.Alg}
	if k.Use != "" && k.Use != "sig" || k.Ops != nil && !slices.Contains(k.Ops, "verify") {
		return out, nil
	}
	var err error
	switch k.Kty {
	case "RSA":
		out.public, err = rsaKey(k.N, k.E)
	case "EC":
		out.public, err = ecKey(k.Crv, k.X, k.Y)
	case "OKP":
		out.public, err = edKey(k.Crv, k.X)
	}
	return out, err
}

func rsaKey(n, e string) (any, error) {
	modulus, err := decoded(n)
	exponent, err2 := decoded(e)
	if err = errors.Join(err, err2); err != nil {
		return nil, err
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus)}
	if len(exponent) == 0 || len(exponent) > 4 {
		return nil, errors.New("RSA exponent is out of range")
	}
	key.E = int(new(big.Int).SetBytes(exponent).Int64())
	if bits := key.N.BitLen(); bits < minRSABits || bits > 16384 || key.E < 3 {
		return nil, fmt.Errorf("RSA key of %d bits with exponent %d: wanted at least %d bits", bits, key.E, minRSABits)
	}
	return key, nil
}

func ecKey(curve, x, y string) (any, error) {
	c, ok := map[string]struct {
		curve elliptic.Curve
		check ecdh.Curve
		size  int
	}{"P-256": {elliptic.P256(), ecdh.P256(), 32}, "P-384": {elliptic.P384(), ecdh.P384(), 48}, "P-521": {elliptic.P521(), ecdh.P521(), 66}}[curve]
	if !ok {
		return nil, nil // one that is not known is not used
	}
	xb, err := decoded(x)
	yb, err2 := decoded(y)
	if err = errors.Join(err, err2); err != nil {
		return nil, err
	}
	if len(xb) != c.size || len(yb) != c.size { // RFC 7518 section 6.2.1.2
		return nil, fmt.Errorf("coordinates of %d and %d bytes, wanted %d", len(xb), len(yb), c.size)
	}
	point := slices.Concat([]byte{4}, xb, yb)
	if _, err := c.check.NewPublicKey(point); err != nil {
		return nil, errors.New("the point is not on the curve")
	}
	return ecdsa.ParseUncompressedPublicKey(c.curve, point)
}

func edKey(curve, x string) (any, error) {
	if curve != "Ed25519" {
		return nil, nil
	}
	key, err := decoded(x)
	if err == nil && len(key) != ed25519.PublicKeySize {
		err = fmt.Errorf("Ed25519 key of %d bytes", len(key))
	}
	return ed25519.PublicKey(key), err
}

func decoded(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64url without padding")
	}
	return b, nil
}

func (s KeySet) find(_ context.Context, kid, alg string) ([]any, error) {
	var found []any
	for _, k := range s {
		if (kid == "" || k.id == kid) && (k.alg == "" || k.alg == alg) && k.verifies(alg) && len(found) < maxTried {
			found = append(found, k.public)
		}
	}
	if len(found) == 0 {
		return nil, errUnknownKey
	}
	return found, nil
}

// verifies says whether the key is of the algorithm's type (RFC 8725 section 3.1): a public
// key is never a secret.
func (k webKey) verifies(alg string) bool {
	switch key := k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return alg == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
