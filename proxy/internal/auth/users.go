package auth

// Files of users and the hashes of their passwords.

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Users is the users of a file.
type Users struct {
	hashes map[string]passwordHash
	dummy  passwordHash // what an unknown user costs
}

// passwordHash is one stored hash.
type passwordHash interface {
	matches(password string) bool
	text() string // as written, by which caches know it
	slow() bool   // it takes milliseconds on purpose
}

// ParseUsers reads one `NAME:HASH` a line, as htpasswd writes them. HASH is bcrypt, argon2id
// in its PHC form, or $tf-sha256$HEX, which is for random secrets of 128 bits or more alone:
// a guess costs a microsecond. Blank lines and those that begin with # are skipped. The
// error names the line, and never quotes a hash.
func ParseUsers(data []byte) (*Users, error) {
	u := &Users{hashes: map[string]passwordHash{}}
	err := eachLine(data, func(line string) error {
		name, text, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return errors.New("wanted NAME:HASH")
		}
		if u.hashes[name] != nil {
			return fmt.Errorf("user %q is there already", name)
		}
		hash, err := parseHash(text)
		if err != nil {
			return fmt.Errorf("user %q: %w", name, err)
		}
		u.hashes[name] = hash
		if u.dummy == nil || hash.slow() && !u.dummy.slow() {
			u.dummy = hash
		}
		return nil
	})
	if err == nil && len(u.hashes) == 0 {
		err = errors.New("contains no user")
	}
	return u, err
}

func parseHash(text string) (passwordHash, error) {
	switch {
	case strings.HasPrefix(text, "$2"):
		return parseBcrypt(text)
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon2id(text)
	case strings.HasPrefix(text, "$tf-sha256$"):
		sum, err := parseSHA256(text, "$tf-sha256$")
		return sumHash(sum), err
	case strings.HasPrefix(text, "$apr1$"), strings.HasPrefix(text, "$1$"):
		return nil, errors.New("MD5 hashes can be guessed: use bcrypt, htpasswd -B")
	case strings.HasPrefix(text, "{SHA}"), strings.HasPrefix(text, "{SSHA}"):
		return nil, errors.New("SHA-1 hashes can be guessed: use bcrypt, htpasswd -B")
	}
	return nil, errors.New("the hash is none of bcrypt, argon2id and $tf-sha256$: use htpasswd -B")
}

type bcryptHash string

// maxBcryptCost keeps one password below a minute.
const maxBcryptCost = 16

func parseBcrypt(text string) (passwordHash, error) {
	// PHP and Apache write $2y$ for what is $2b$.
	cost, err := bcrypt.Cost([]byte(text))
	switch {
	case err != nil || len(text) != 60:
		return nil, errors.New("this is not a bcrypt hash")
	case cost > maxBcryptCost:
		return nil, fmt.Errorf("bcrypt cost %d: wanted at most %d, a check takes long enough", cost, maxBcryptCost)
	}
	return bcryptHash(text), nil
}

// matches cuts at 72 bytes as every other implementation does: bcrypt never saw the rest.
func (h bcryptHash) matches(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(h), []byte(password[:min(len(password), 72)])) == nil
}

func (h bcryptHash) text() string { return string(h) }
func (h bcryptHash) slow() bool   { return true }

// argon2idHash is $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH.
type argon2idHash struct {
	written    string
	memory     uint32 // KiB
	passes     uint32
	lanes      uint8
	salt, hash []byte
}

const (
	maxArgonMemory = 256 << 10 // KiB
	maxArgonPasses = 16
)

func parseArgon2id(text string) (passwordHash, error) {
	notOne := errors.New("this is not an argon2id hash in PHC form")
	fields := strings.Split(text, "$")
	if len(fields) != 6 || fields[2] != "v=19" {
		return nil, notOne
	}
	h := argon2idHash{written: text}
	for parameter := range strings.SplitSeq(fields[3], ",") {
		name, value, _ := strings.Cut(parameter, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil || n == 0 {
			return nil, notOne
		}
		switch name {
		case "m":
			h.memory = uint32(n)
		case "t":
			h.passes = uint32(n)
		case "p":
			h.lanes = uint8(min(n, 255))
		default:
			return nil, notOne
		}
	}
	var err, errHash error
	h.salt, err = base64.RawStdEncoding.DecodeString(fields[4])
	h.hash, errHash = base64.RawStdEncoding.DecodeString(fields[5])
	switch {
	case err != nil || errHash != nil || len(h.salt) < 8 || len(h.hash) < 16 || len(h.hash) > 64 || h.memory == 0 || h.passes == 0 || h.lanes == 0:
		return nil, notOne
	case h.memory > maxArgonMemory || h.passes > maxArgonPasses:
		return nil, fmt.Errorf("argon2id with m=%d, t=%d: wanted at most m=%d, t=%d", h.memory, h.passes, maxArgonMemory, maxArgonPasses)
	}
	return h, nil
}

func (h argon2idHash) matches(password string) bool {
	got := argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, uint32(len(h.hash)))
	return subtle.ConstantTimeCompare(got, h.hash) == 1
}

func (h argon2idHash) text() string { return h.written }
func (h argon2idHash) slow() bool   { return true }

// sumHash is $tf-sha256$HEX.
type sumHash [sha256.Size]byte

func (h sumHash) matches(password string) bool {
	got := sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(got[:], h[:]) == 1
}

func (h sumHash) text() string { return string(h[:]) }
func (h sumHash) slow() bool   { return false }
