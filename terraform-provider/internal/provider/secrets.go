package provider

// Diagnostics show no secrets: Terraform hides sensitive values in plans, but not in
// what a provider says. Instead of a value stands a hash of it, which tells whether two
// values of one message are equal.

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// secretKeys are the keys of the routes file whose values, at any depth, may be secret.
var secretKeys = map[string]bool{"headers": true, "query": true, "cookies": true, "auth": true}

// isSecret reports whether values of a dotted key may be secret.
func isSecret(key string) bool {
	for name := range strings.SplitSeq(key, ".") {
		if secretKeys[name] {
			return true
		}
	}
	return false
}

// hashKey makes the hashes useless for guessing short values: it is another in each run.
var hashKey = func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}()

func hashed(value string) string {
	h := hmac.New(sha256.New, hashKey)
	h.Write([]byte(value))
	return "(hash " + hex.EncodeToString(h.Sum(nil)[:4]) + ")"
}

// withoutSecrets copies a record or document, with hashes instead of values that may be
// secret.
func withoutSecrets(p routefile.Plain) routefile.Plain {
	redacted, _ := hideValues(p, false).(routefile.Plain)
	return redacted
}

func hideValues(value any, secret bool) any {
	switch v := value.(type) {
	case routefile.Plain:
		if v == nil {
			return v
		}
		all := routefile.Plain{}
		for name, below := range v {
			all[name] = hideValues(below, secret || secretKeys[name])
		}
		return all
	case []any:
		all := make([]any, len(v))
		for i, below := range v {
			all[i] = hideValues(below, secret)
		}
		return all
	case string:
		if secret {
			return hashed(v)
		}
		return userInfo.ReplaceAllString(v, "://(hidden)@")
	}
	return value
}

var (
	userInfo   = regexp.MustCompile(`://[^/@\s"]*@`)
	quotedText = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	ofRecord   = regexp.MustCompile(`^(?:(?:route|pool|backend|listener) "(?:[^"\\]|\\.)*": )+`)
	// A request that two routes match: GET /a?b=c HTTP/1.1, Host: example.com, X-A: b; want ...
	exampleRequest = regexp.MustCompile(`([A-Z]+ /[^\s?]*)(\?\S*)?( HTTP/1\.1, Host: [^,;]*)(, .*?)?(; want|$)`)
)

// withoutSecretsIn hides the values that a problem's text repeats. A text starts with the
// names of the records that it is about; they stay.
func withoutSecretsIn(key, text string) string {
	text = userInfo.ReplaceAllString(text, "://(hidden)@")
	text = exampleRequest.ReplaceAllStringFunc(text, hideExample)
	if !isSecret(key) {
		return text
	}
	names := ofRecord.FindString(text)
	return names + quotedText.ReplaceAllStringFunc(text[len(names):], func(quoted string) string {
		value, err := strconv.Unquote(quoted)
		if err == nil && len(value) <= 2 {
			return quoted // a bracket or a byte that is wrong
		}
		return hashed(value)
	})
}

func hideExample(request string) string {
	parts := exampleRequest.FindStringSubmatch(request)
	text := parts[1]
	if parts[2] != "" {
		text += "?" + hashed(parts[2])
	}
	text += parts[3]
	if parts[4] != "" {
		text += ", and headers " + hashed(parts[4])
	}
	return text + parts[5]
}

// mayShow reports whether a source line holds no value that may be secret: it has none
// of the keys, and is not a part of braces that another line opens.
func mayShow(line string) bool {
	for name := range secretKeys {
		if strings.Contains(line, name) {
			return false
		}
	}
	return strings.Count(line, "{") == strings.Count(line, "}") && strings.Count(line, "[") == strings.Count(line, "]") && !userInfo.MatchString(line)
}

// showable is a text with only the lines that may be shown beside mistakes.
func showable(data []byte, errs routefile.Errors) []byte {
	lines := strings.SplitAfter(string(data), "\n")
	hide := func(i int) {
		if strings.HasSuffix(lines[i], "\n") {
			lines[i] = hiddenLine + "\n"
		} else {
			lines[i] = hiddenLine
		}
	}
	for i, line := range lines {
		if !mayShow(line) {
			hide(i)
		}
	}
	for _, e := range errs {
		if i := e.Pos.Line - 1; isSecret(e.Key) && i >= 0 && i < len(lines) {
			hide(i)
		}
	}
	return []byte(strings.Join(lines, ""))
}

// hiddenLine stands for a source line that may hold secrets.
const hiddenLine = "(not shown: it may hold secrets)"
