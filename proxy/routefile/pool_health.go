package routefile

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Health checks and ejection.

// Health is the health checks of a pool, and its ejections. At most one of TCP, HTTP and
// WebSocket; without any there are no checks, and only failures of traffic count.
type Health struct {
	TCP       bool
	HTTP      *HTTPHealth
	WebSocket *WebSocketHealth
	Interval  time.Duration
	Timeout   time.Duration
	Passes    int
	Fails     int
	Initial   string // "up", "down"
	SlowStart time.Duration
	Passive   PassiveHealth
}

// HTTPHealth is a check with an HTTP request.
type HTTPHealth struct {
	Method   string
	Path     string // with an optional query
	Host     string // "" is the backend's own
	Headers  []Header
	Statuses []string // "204" or "200-299"
	Body     string   // RE2; "" does not read the body
}

// WebSocketHealth is a check with a WebSocket handshake and a ping.
type WebSocketHealth struct {
	Path        string
	Host        string // "" is the backend's own
	Headers     []Header
	Subprotocol string // "" offers none
}

// PassiveHealth is the ejection of backends after failures of traffic.
type PassiveHealth struct {
	Fails  int           // in a row; negative is never
	Eject  time.Duration // the first ejection; each further one is twice as long
	Max    time.Duration
	AtMost int // percent of the pool's backends
}

func (h *Health) headerLists() (all []namedHeaders) {
	if h.HTTP != nil {
		all = append(all, namedHeaders{[]string{"health", "http", "headers"}, h.HTTP.Headers})
	}
	if h.WebSocket != nil {
		all = append(all, namedHeaders{[]string{"health", "websocket", "headers"}, h.WebSocket.Headers})
	}
	return all
}

func healthKeys() []*Key {
	return []*Key{
		key("tcp", "Checks that a connection can be opened, with TLS if the backend's URL uses it. Only true is allowed.",
			onlyTrue(func(h *Health) *bool { return &h.TCP }, "remove the key instead"), example("true")),
		key("http", "Checks with an HTTP request.",
			optional(func(h *Health) **HTTPHealth { return &h.HTTP }, httpHealthKeys()...), example("{path: /health}")),
		key("websocket", "Checks with a WebSocket handshake and a ping, which must be answered by a pong.",
			optional(func(h *Health) **WebSocketHealth { return &h.WebSocket }, webSocketHealthKeys()...), example("{path: /ws}")),
		key("interval", "Time between two checks of a backend, varied by a tenth.",
			duration(func(h *Health) *dur { return &h.Interval }, false), byDefault("10s"), example("5s")),
		key("timeout", "Time limit for one check.",
			duration(func(h *Health) *dur { return &h.Timeout }, false), byDefault("3s"), example("1s")),
		key("passes", "Consecutive successes after which an unhealthy backend is healthy. The very first one is enough.",
			count(func(h *Health) *int { return &h.Passes }, false), byDefault("2"), example("1")),
		key("fails", "Consecutive failures after which a backend is unhealthy and gets no new traffic. Its open tunnels stay.",
			count(func(h *Health) *int { return &h.Fails }, false), byDefault("3"), example("2")),
		key("initial", "State of a backend before its first check: up is healthy, down is not.",
			text(func(h *Health) *string { return &h.Initial }, nil), enum("up", "down"), byDefault("up"), example("down")),
		key("slow_start", "Time over which the share of a recovered backend grows to its full weight.",
			duration(func(h *Health) *dur { return &h.SlowStart }, true), byDefault("off"), example("30s")),
		key("passive", "Ejects a backend after failures of real traffic: connection, TLS or handshake. How a tunnel ends does not count.",
			mapping(func(h *Health) *PassiveHealth { return &h.Passive }, passiveHealthKeys()...), example("{fails: 5}")),
	}
}

func httpHealthKeys() []*Key {
	return []*Key{
		key("method", "The method of the request.",
			text(func(h *HTTPHealth) *string { return &h.Method }, checkProbeMethod), byDefault("GET"), example("OPTIONS")),
		key("path", "The path of the request, with an optional query.",
			text(func(h *HTTPHealth) *string { return &h.Path }, checkProbePath), byDefault("/"), example("/health")),
		key("host", "The Host header of the request, instead of that which the first route by name sets (headers.request.set), or the backend's own.",
			text(func(h *HTTPHealth) *string { return &h.Host }, checkAuthority), example("chat.example.com")),
		key("headers", "Additional headers of the request.",
			headerValues(func(h *HTTPHealth) *[]Header { return &h.Headers }, nil), example("{Authorization: Bearer probe}")),
		key("statuses", "Statuses of a healthy backend, each a number or a range.",
			texts(func(h *HTTPHealth) *[]string { return &h.Statuses }, checkStatuses), filled, byDefault(`["200-299"]`), example(`["204", "300-399"]`)),
		key("body", "An RE2 expression that must match in the first 64 KiB of the response body.",
			text(func(h *HTTPHealth) *string { return &h.Body }, checkExpression), example(`"^ok"`)),
	}
}

func webSocketHealthKeys() []*Key {
	return []*Key{
		key("path", "The path of the handshake, with an optional query.",
			text(func(h *WebSocketHealth) *string { return &h.Path }, checkProbePath), byDefault("/"), example("/ws")),
		key("host", "The Host header of the handshake, instead of that which the first route by name sets (headers.request.set), or the backend's own.",
			text(func(h *WebSocketHealth) *string { return &h.Host }, checkAuthority), example("chat.example.com")),
		key("headers", "Additional headers of the handshake.",
			headerValues(func(h *WebSocketHealth) *[]Header { return &h.Headers }, nil), example(`{Origin: "https://chat.example.com"}`)),
		key("subprotocol", "The subprotocol to offer, which the backend must select.",
			text(func(h *WebSocketHealth) *string { return &h.Subprotocol }, checkToken), example("chat.v2")),
	}
}

func passiveHealthKeys() []*Key {
	type T = PassiveHealth
	return []*Key{
		key("fails", "Consecutive failures after which a backend is ejected.",
			count(func(t *T) *int { return &t.Fails }, true), byDefault("3"), example("off")),
		key("eject", "Duration of the first ejection. It doubles each time the backend soon fails again.",
			duration(func(t *T) *dur { return &t.Eject }, false), byDefault("10s"), example("30s")),
		key("max", "Maximum duration of an ejection.",
			duration(func(t *T) *dur { return &t.Max }, false), byDefault("5m"), example("10m")),
		key("at_most", "Maximum share of the pool's backends that are ejected at once. The last available backend is never ejected.",
			percent(func(t *T) *int { return &t.AtMost }), byDefault("50%"), example("30%")),
	}
}

// checkProbeMethod refuses CONNECT, whose response tells nothing about health.
func checkProbeMethod(s string) error {
	if s == "CONNECT" {
		return errors.New("opens a tunnel: wanted a method such as GET, HEAD or OPTIONS")
	}
	return checkMethod(s)
}

func checkProbePath(s string) error {
	if !strings.HasPrefix(s, "/") {
		return errors.New(`wanted a path that begins with "/"`)
	}
	return checkTargetBytes(s)
}

func checkExpression(s string) error {
	if s == "" {
		return errors.New("wanted an expression that is not empty")
	}
	if _, err := regexp.Compile(s); err != nil {
		return err
	}
	return nil
}

func checkStatuses(s string) error {
	if _, _, ok := StatusRange(s); !ok {
		return errors.New("wanted a status from 200 to 599, or a range such as 200-299")
	}
	return nil
}

// StatusRange reads "204" or "200-299", as HTTPHealth.Statuses has them.
func StatusRange(s string) (first, last int, ok bool) {
	low, high, ranged := strings.Cut(s, "-")
	if !ranged {
		high = low
	}
	first, last = status(low), status(high)
	return first, last, first != 0 && first <= last
}

// status returns 0 for anything but a status.
func status(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || len(s) != 3 || n < 200 || n > 599 {
		return 0
	}
	return n
}

// filled returns h with all defaults. A check that is not configured stays nil.
func (h Health) filled() Health {
	out := overlay(h, builtIn.pool.Health)
	out.HTTP, out.WebSocket = overlayPart(h.HTTP, builtIn.pool.Health.HTTP), overlayPart(h.WebSocket, builtIn.pool.Health.WebSocket)
	out.TCP = h.TCP
	return out
}

// checkHealth reports mistakes that several keys make together.
func (c *checker) checkHealth(p placed[*Pool]) {
	keys := []string{"pools", p.it.Name, "health"}
	passive := p.it.Health.filled().Passive
	if passive.Max < passive.Eject {
		c.at(p.file, slices.Concat(keys, []string{"passive", "max"}), recordOf("pool", p.it.Name),
			"health.passive.max %s is less than eject, %s", FormatDuration(passive.Max), FormatDuration(passive.Eject))
	}
	if h := p.it.Health.HTTP; h != nil && h.Body != "" && h.Method == "HEAD" {
		c.at(p.file, slices.Concat(keys, []string{"http", "body"}), recordOf("pool", p.it.Name),
			"health.http.body has no effect: the response to HEAD has none")
	}
}
