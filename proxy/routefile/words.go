package routefile

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Small grammars: what a name, a header, an origin, an address or a close code
// may be. Each function judges one text and says what was wanted.

// maxName bounds the names of records, which stand in logs, metrics and URLs of
// the admin API.
const maxName = 128

// checkName is the grammar of every record's name: [A-Za-z0-9][A-Za-z0-9_.-]*, at most 128 bytes.
func checkName(s string) error {
	if s == "" {
		return errors.New("empty name")
	}
	if len(s) > maxName {
		return fmt.Errorf("%d characters, wanted at most %d", len(s), maxName)
	}
	for i, c := range []byte(s) {
		if !isAlnum(c) && (i == 0 || !strings.ContainsRune("_.-", rune(c))) {
			return errors.New("wanted letters, digits, \"_\", \".\" and \"-\", beginning with a letter or a digit")
		}
	}
	return nil
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// isToken says whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && !strings.Contains("!#$%&'*+-.^_`|~", s[i:i+1]) {
			return false
		}
	}
	return s != ""
}

// checkCapture accepts the name of a capture, or its number.
func checkCapture(s string) error {
	if isDigits(s) && s[0] != '0' || isCaptureName(s) {
		return nil
	}
	return errors.New("wanted the name of a capture, or its number from 1 on")
}

// isCaptureName is what {name} and (?P<name>) may hold.
func isCaptureName(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '_' || i == 0 && '0' <= s[0] && s[0] <= '9' {
			return false
		}
	}
	return s != ""
}

func checkToken(s string) error {
	if !isToken(s) {
		return errors.New("wanted a token: letters, digits and !#$%&'*+-.^_`|~")
	}
	return nil
}

// checkMethod accepts a token without lower-case letters: methods are case-sensitive (RFC 9110 section 9.1).
func checkMethod(s string) error {
	if err := checkToken(s); err != nil {
		return err
	}
	if upper := strings.ToUpper(s); upper != s {
		return fmt.Errorf("methods are in upper case: write %s", upper)
	}
	return nil
}

// ownedHeaders are written by the proxy alone: those that frame a message or
// belong to one connection (RFC 9110 section 7.6.1), and the handshake's own
// (RFC 6455 section 11.3).
var ownedHeaders = map[string]string{
	"connection": "belongs to one connection", "keep-alive": "belongs to one connection",
	"proxy-connection": "belongs to one connection", "proxy-authenticate": "belongs to one connection",
	"proxy-authorization": "belongs to one connection", "te": "belongs to one connection",
	"trailer": "belongs to one connection", "upgrade": "belongs to one connection",
	"http2-settings": "belongs to one connection", "transfer-encoding": "frames the message",
	"content-length": "frames the message", "host": "is the proxy's: see preserve_host",
	"sec-websocket-key": "belongs to the handshake", "sec-websocket-accept": "belongs to the handshake",
	"sec-websocket-version": "belongs to the handshake", "sec-websocket-extensions": "belongs to the handshake",
	"sec-websocket-protocol": "belongs to the handshake",
}

// checkEditedHeader accepts the name of a header that a route may set, add or remove.
func checkEditedHeader(s string) error {
	if err := checkToken(s); err != nil {
		return err
	}
	if why, owned := ownedHeaders[strings.ToLower(s)]; owned {
		return fmt.Errorf("cannot be changed: it %s", why)
	}
	return nil
}

// checkHeaderValue is RFC 9110 section 5.5: no control byte but a tab, no blanks at the ends.
func checkHeaderValue(s string) error {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("byte %#02x may not stand in a header", c)
		}
	}
	if strings.Trim(s, " \t") != s {
		return errors.New("wanted no blanks at either end")
	}
	return nil
}

// checkUpgradeToken accepts a protocol that may be tunnelled (RFC 9110 section
// 7.8). Another HTTP, or TLS, inside a tunnel would hide requests from the proxy.
func checkUpgradeToken(s string) error {
	name, version, versioned := strings.Cut(s, "/")
	if !isToken(name) || versioned && !isToken(version) {
		return errors.New("wanted a protocol such as websocket or name/version")
	}
	switch strings.ToLower(name) {
	case "h2c", "h2", "tls", "http":
		return errors.New("is never tunnelled: it would carry requests past the proxy")
	}
	return nil
}

// upgradeWords stand for sets of protocols, never beside others.
var upgradeWords = []string{"websocket", "any", "none", "unchecked"}

// checkListedUpgrade accepts an item of a list of protocols.
func checkListedUpgrade(s string) error {
	switch strings.ToLower(s) {
	case "any", "none", "unchecked":
		return fmt.Errorf("stands alone: write upgrade: %s", strings.ToLower(s))
	}
	return checkUpgradeToken(s)
}

// checkMatchUpgrade accepts what match.upgrade may be.
func checkMatchUpgrade(s string) error {
	if s == "any" || s == "none" {
		return nil
	}
	if s == "unchecked" {
		return errors.New("wanted any, none or one protocol, such as websocket")
	}
	return checkUpgradeToken(s)
}

// checkOrigin accepts "scheme://host[:port]", "scheme://*.host[:port]" and "same-host" (RFC 6454 section 6.2).
func checkOrigin(s string) error {
	if s == "same-host" {
		return nil
	}
	if s == "any" {
		return errors.New("stands alone: write origins: any")
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !isScheme(scheme) {
		return errors.New("wanted an origin such as https://app.example.com, https://*.example.com or same-host")
	}
	if strings.Contains(rest, "/") {
		return fmt.Errorf("an origin has no path: write %s://%s", scheme, strings.SplitN(rest, "/", 2)[0])
	}
	return checkAuthority(strings.TrimPrefix(rest, "*."))
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z') && (i == 0 || !('0' <= c && c <= '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// checkAuthority accepts host[:port], the host a name, an IPv4 address or an IPv6 one in brackets.
func checkAuthority(s string) error {
	if strings.Count(s, ":") > 1 && !strings.HasPrefix(s, "[") {
		return errors.New("an IPv6 address stands in brackets, as in [::1]:80")
	}
	host, port, ported := splitPort(s)
	if ported {
		if err := checkPort(port); err != nil {
			return err
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		if a, err := netip.ParseAddr(inner); err != nil || !closed || !a.Is6() || a.Zone() != "" {
			return errors.New("wanted an IPv6 address in the brackets")
		}
		return nil
	}
	return checkHostName(host)
}

// splitPort splits at the last colon outside of brackets.
func splitPort(s string) (host, port string, ported bool) {
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func checkPort(s string) error {
	if n, err := strconv.Atoi(s); err != nil || !isDigits(s) || n < 1 || n > 65535 {
		return fmt.Errorf("port %q: wanted a number from 1 to 65535", s)
	}
	return nil
}

// checkHostName accepts a DNS name (RFC 1123 section 2.1, and "_", which
// service discovery uses) or an IPv4 address.
func checkHostName(s string) error {
	if s == "" {
		return errors.New("empty host")
	}
	if len(s) > 253 {
		return errors.New("host longer than 253 characters")
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

func checkLabel(s string) error {
	if s == "" {
		return errors.New("empty label in the host")
	}
	if len(s) > 63 {
		return fmt.Errorf("label %q is longer than 63 characters", yamledit.Clip(s))
	}
	for _, r := range s {
		if r >= utf8.RuneSelf || !isAlnum(byte(r)) && r != '-' && r != '_' {
			return fmt.Errorf("%q may not stand in a host: wanted letters, digits, \"-\" and \".\"", r)
		}
	}
	return nil
}

// checkCloseCode accepts the codes that may be sent in a Close frame (RFC 6455
// section 7.4 and its registry): never 1004, 1005, 1006 or 1015.
func checkCloseCode(code int) error {
	switch {
	case code == 1004, code == 1005, code == 1006, code == 1015:
		return errors.New("is never sent: wanted 1000 to 1003, 1007 to 1014 or 3000 to 4999")
	case code >= 1000 && code <= 1014, code >= 3000 && code <= 4999:
		return nil
	}
	return errors.New("wanted a close code: 1000 to 1003, 1007 to 1014 or 3000 to 4999")
}

// maxReason is what a Close frame leaves beside its code (RFC 6455 section 5.5).
const maxReason = 123

func checkReason(s string) error {
	if len(s) > maxReason {
		return fmt.Errorf("%d bytes, wanted at most %d", len(s), maxReason)
	}
	return nil
}

// parseNetwork reads a CIDR, or a bare address as the network of itself alone.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, errors.New("an address with a zone is no network")
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("wanted a network such as 10.0.0.0/8, or an address")
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("write it as an IPv4 network")
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("has bits beyond its length: write %s, or %s for the one address", p.Masked(), p.Addr())
	}
	return p, nil
}

// checkFilePath accepts any path that a file may have.
func checkFilePath(s string) error {
	if s == "" {
		return errors.New("wanted the path of a file")
	}
	return nil
}

// CheckAddress accepts a listener's address: "host:port", ":port" or "unix:/path".
// Its error says what was wanted.
func CheckAddress(s string) error {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return checkFilePath(path)
	}
	host, port, ported := splitPort(s)
	if !ported || strings.Contains(host, "/") {
		return errors.New("wanted host:port, :port or unix:/path")
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return checkAuthority(s)
	}
	if !isService(port) {
		return fmt.Errorf("port %q: wanted a number from 0 to 65535 or a service's name", port)
	}
	if host == "" {
		return nil
	}
	return checkAuthority(host)
}

// isService says whether s is a port's number, 0 for any free one, or could be
// a service's name (RFC 6335 section 5.1), which only a machine can resolve.
func isService(s string) bool {
	if isDigits(s) {
		n, err := strconv.Atoi(s)
		return err == nil && n <= 65535
	}
	return s != "" && len(s) <= 15 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
