package routefile

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// How the tunnels of a route are drained.

// DrainPolicy is how the tunnels of a route are ended when they are drained.
type DrainPolicy struct {
	Window       time.Duration // the closing of tunnels is spread over it
	Code         int           // close code
	Reason       string        // close reason, at most 123 bytes
	CloseTimeout time.Duration // for the peers' Close replies
	Keep         Switch        // On: tunnels stay open until they end
}

func drainKeys() []*Key {
	return []*Key{
		key("window", "Time over which the closing of tunnels is spread. It begins three seconds after the edit, and an edit that is reverted before has no effect; off closes them at once.",
			duration(func(d *DrainPolicy) *dur { return &d.Window }, true), byDefault("30s"), example("1m")),
		key("code", "Close code that is sent to both peers.",
			closeCodeKey(), byDefault("1012"), example("4001")),
		key("reason", fmt.Sprintf("Close reason that is sent to both peers, at most %d bytes.", maxReason),
			text(func(d *DrainPolicy) *string { return &d.Reason }, checkReason), example("moving house")),
		key("close_timeout", "Time limit for the Close replies of the peers.",
			duration(func(d *DrainPolicy) *dur { return &d.CloseTimeout }, true), byDefault("5s"), example("2s")),
		key("keep", "Never drains: tunnels stay open until they end, even when their route is changed or removed, as long as their clients and origins are allowed.",
			toggle(func(d *DrainPolicy) *Switch { return &d.Keep }), byDefault("false"), example("true")),
	}
}

func closeCodeKey() *Key {
	write := writes(func(d *DrainPolicy) *int { return &d.Code }, word(strconv.Itoa))
	return &Key{Kind: KindWhole, Min: 1000, Max: 4999, write: write, set: func(p *parser, k *Key, n node, dst any) {
		code, ok := p.number(k, n)
		if !ok {
			return
		}
		if err := checkCloseCode(code); err != nil {
			p.bad(n, "%v", err)
			return
		}
		dst.(*DrainPolicy).Code = code
	}}
}

// checkCloseCode accepts the codes that are allowed in a Close frame (RFC 6455 section 7.4
// and its registry): never 1004, 1005, 1006 or 1015.
func checkCloseCode(code int) error {
	switch {
	case code == 1004, code == 1005, code == 1006, code == 1015:
		return errors.New("is never sent: wanted 1000 to 1003, 1007 to 1014 or 3000 to 4999")
	case code >= 1000 && code <= 1014, code >= 3000 && code <= 4999:
		return nil
	}
	return errors.New("wanted a close code: 1000 to 1003, 1007 to 1014 or 3000 to 4999")
}

// maxReason is the room for a reason in a Close frame (RFC 6455 section 5.5).
const maxReason = 123

func checkReason(s string) error {
	if len(s) > maxReason {
		return fmt.Errorf("%d bytes, wanted at most %d", len(s), maxReason)
	}
	return nil
}
