package routefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tunnelform/tunnelform/proxy/internal/httpsyntax"
	"github.com/tunnelform/tunnelform/proxy/routefile/yamledit"
)

// Which requests become tunnels: upgrades and origins.

// Upgrade says which upgrades become tunnels.
type Upgrade struct {
	// Mode is "" (unset), "websocket", "list", "any", "none" or "unchecked".
	Mode      string
	Protocols []string // Mode "list": exact tokens, case-insensitive
}

// Origins are the origins of pages that may open a tunnel.
type Origins struct {
	Mode  string   // "" (unset), "same-host", "any", "list"
	Allow []string // Mode "list", in lower case: "https://app.example.com", "https://*.example.com", "same-host"
}

// upgradeKey reads one of upgradeWords, another protocol, or a list of protocols.
func upgradeKey() *Key {
	return &Key{Kind: KindTexts, Short: []Short{{Kind: KindText, Meaning: "websocket, any, none, unchecked or one other protocol"}},
		write: func(src any) node {
			u := &src.(*Settings).Upgrade
			return textsOrWord(u.Mode, u.Protocols)
		},
		set: func(p *parser, k *Key, n node, dst any) {
			u := &dst.(*Settings).Upgrade
			if n.Kind == yamledit.ScalarNode && slices.Contains(upgradeWords, n.Value) {
				*u = Upgrade{Mode: n.Value}
				return
			}
			*u = Upgrade{Mode: "list", Protocols: p.textList(k, n, checkListedUpgrade)}
		}}
}

// originsKey reads same-host, any, one origin, or a list of origins.
func originsKey() *Key {
	return &Key{Kind: KindTexts, Short: []Short{{Kind: KindText, Meaning: "same-host, any or one origin"}},
		write: func(src any) node {
			o := &src.(*Settings).Origins
			return textsOrWord(o.Mode, o.Allow)
		},
		set: func(p *parser, k *Key, n node, dst any) {
			o := &dst.(*Settings).Origins
			if n.Kind == yamledit.ScalarNode && (n.Value == "same-host" || n.Value == "any") {
				*o = Origins{Mode: n.Value}
				return
			}
			*o = Origins{Mode: "list"}
			p.items(k, n, func(item node) {
				switch {
				case item.Value == "null" && yamledit.IsNull(item):
					p.fail(item, `null, wanted a text: write "null"`)
				case p.wantText(item, checkOrigin) && p.passes(item, checkOrigin):
					o.Allow = append(o.Allow, strings.ToLower(item.Value)) // as browsers send them
				}
			})
		}}
}

// textList reads one text or a list of them.
func (p *parser) textList(k *Key, n node, check func(string) error) []string {
	var list []string
	p.items(k, n, func(item node) {
		if p.wantText(item, check) && p.passes(item, check) {
			list = append(list, item.Value)
		}
	})
	return list
}

// upgradeWords stand for sets of protocols and are not allowed in a list.
var upgradeWords = []string{"websocket", "any", "none", "unchecked"}

// checkUpgradeToken accepts a protocol that may be tunnelled (RFC 9110 section 7.8). HTTP or
// TLS inside of a tunnel would hide requests from the proxy.
func checkUpgradeToken(s string) error {
	name, version, versioned := strings.Cut(s, "/")
	if !httpsyntax.IsToken(name) || versioned && !httpsyntax.IsToken(version) {
		return errors.New("wanted a protocol such as websocket or name/version")
	}
	if httpsyntax.NeverTunnelled(name) {
		return errors.New("is never tunnelled: it would carry requests past the proxy")
	}
	return nil
}

// checkListedUpgrade accepts an item of a list of protocols.
func checkListedUpgrade(s string) error {
	switch strings.ToLower(s) {
	case "any", "none", "unchecked":
		return fmt.Errorf("cannot be in a list: write upgrade: %s", strings.ToLower(s))
	}
	return checkUpgradeToken(s)
}

// checkMatchUpgrade accepts a value of match.upgrade.
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
	if s == "same-host" || s == "null" || s == "file://" {
		return nil
	}
	if s == "any" {
		return errors.New("cannot be in a list: write origins: any")
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !isScheme(scheme) {
		return fmt.Errorf("wanted an origin such as https://app.example.com, https://*.example.com, null, file:// or same-host%s", instead(originFor(s)))
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
