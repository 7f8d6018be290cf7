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

// Health is how a pool's backends are asked and judged. At most one of TCP, HTTP
// and WebSocket; with none nobody is asked, and failures alone count.
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

// HTTPHealth is a question in HTTP.
type HTTPHealth struct {
	Method   string
	Path     string // with a query, perhaps
	Host     string // "" is the backend's own
	Headers  []Header
	Statuses []string // "204" or "200-299"
	Body     string   // RE2; "" does not read it
}

// WebSocketHealth is a handshake with a ping behind it.
type WebSocketHealth struct {
	Path        string
	Host        string // "" is the backend's own
	Headers     []Header
	Subprotocol string // "" offers none
}

// PassiveHealth is when a backend that fails what it is sent is ejected.
type PassiveHealth struct {
	Fails  int           // in a row; negative is never
	Eject  time.Duration // the first time, doubled each time
	Max    time.Duration
	AtMost int // percent of the pool's backends
}

func healthKeys() []*Key {
	return []*Key{
		key("tcp", "Asks whether the backend takes a connection, with TLS where its URL says so. Only true may be written.",
			onlyTrue(func(h *Health) *bool { return &h.TCP }, "leave it out where nothing is to be asked"), example("true")),
		key("http", "Asks in HTTP.",
			optional(func(h *Health) **HTTPHealth { return &h.HTTP }, httpHealthKeys()...), example("{path: /health}")),
		key("websocket", "Asks with a WebSocket handshake and a ping, which must be ponged.",
			optional(func(h *Health) **WebSocketHealth { return &h.WebSocket }, webSocketHealthKeys()...), example("{path: /ws}")),
		key("interval", "From an answer to the next question, give or take a tenth.",
			duration(func(h *Health) *dur { return &h.Interval }, false), byDefault("10s"), example("5s")),
		key("timeout", "How long an answer may take.",
			duration(func(h *Health) *dur { return &h.Timeout }, false), byDefault("3s"), example("1s")),
		key("passes", "Good answers in a row that make a backend well again; its very first answer counts alone.",
			count(func(h *Health) *int { return &h.Passes }, false), byDefault("2"), example("1")),
		key("fails", "Bad answers in a row, or none in time, after which a backend gets nothing new. Its open tunnels stay.",
			count(func(h *Health) *int { return &h.Fails }, false), byDefault("3"), example("2")),
		key("initial", "What a backend counts as before its first answer.",
			text(func(h *Health) *string { return &h.Initial }, nil), enum("up", "down"), byDefault("up"), example("down")),
		key("slow_start", "How long a backend that is well again takes to get its whole share.",
			duration(func(h *Health) *dur { return &h.SlowStart }, true), byDefault("off"), example("30s")),
		key("passive", "Ejects a backend that fails what it is sent: no connection, no TLS, no answer to a handshake. How a tunnel ends does not count.",
			mapping(func(h *Health) *PassiveHealth { return &h.Passive }, passiveHealthKeys()...), example("{fails: 5}")),
	}
}

func httpHealthKeys() []*Key {
	return []*Key{
		key("method", "The question's method.",
			text(func(h *HTTPHealth) *string { return &h.Method }, checkProbeMethod), byDefault("GET"), example("OPTIONS")),
		key("path", "The question's path, a query with it if there is to be one.",
			text(func(h *HTTPHealth) *string { return &h.Path }, checkProbePath), byDefault("/"), example("/health")),
		key("host", "The question's Host header, instead of the backend's own.",
			text(func(h *HTTPHealth) *string { return &h.Host }, checkAuthority), example("chat.example.com")),
		key("headers", "Further headers of the question.",
			headerValues(func(h *HTTPHealth) *[]Header { return &h.Headers }), example("{Authorization: Bearer probe}")),
		key("statuses", "Statuses that are good, each one number or a range.",
			texts(func(h *HTTPHealth) *[]string { return &h.Statuses }, checkStatuses), filled, byDefault(`["200-299"]`), example(`["204", "300-399"]`)),
		key("body", "An RE2 expression to be found in the first 64 KiB of the answer's body.",
			text(func(h *HTTPHealth) *string { return &h.Body }, checkExpression), example(`"^ok"`)),
	}
}

func webSocketHealthKeys() []*Key {
	return []*Key{
		key("path", "The handshake's path, a query with it if there is to be one.",
			text(func(h *WebSocketHealth) *string { return &h.Path }, checkProbePath), byDefault("/"), example("/ws")),
		key("host", "The handshake's Host header, instead of the backend's own.",
			text(func(h *WebSocketHealth) *string { return &h.Host }, checkAuthority), example("chat.example.com")),
		key("headers", "Further headers of the handshake.",
			headerValues(func(h *WebSocketHealth) *[]Header { return &h.Headers }), example(`{Origin: "https://chat.example.com"}`)),
		key("subprotocol", "The subprotocol to offer, which the backend must take.",
			text(func(h *WebSocketHealth) *string { return &h.Subprotocol }, checkToken), example("chat.v2")),
	}
}

func passiveHealthKeys() []*Key {
	type T = PassiveHealth
	return []*Key{
		key("fails", "Failures in a row after which a backend is ejected.",
			count(func(t *T) *int { return &t.Fails }, true), byDefault("3"), example("off")),
		key("eject", "How long, the first time; twice as long each time that it fails again soon after.",
			duration(func(t *T) *dur { return &t.Eject }, false), byDefault("10s"), example("30s")),
		key("max", "The longest that it gets by doubling.",
			duration(func(t *T) *dur { return &t.Max }, false), byDefault("5m"), example("10m")),
		key("at_most", "How many of the pool's backends may be ejected at once. The last one that is available never is.",
			percent(func(t *T) *int { return &t.AtMost }), byDefault("50%"), example("30%")),
	}
}

// checkProbeMethod refuses what has no answer of its own to be judged.
func checkProbeMethod(s string) error {
	if s == "CONNECT" {
		return errors.New("opens a tunnel: wanted such as GET, HEAD or OPTIONS")
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

// status is 0 for what is none.
func status(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || len(s) != 3 || n < 200 || n > 599 {
		return 0
	}
	return n
}

// filled returns h with every default in its place. What is asked is not filled
// in where nothing is.
func (h Health) filled() Health {
	out := overlay(h, builtIn.pool.Health)
	out.HTTP, out.WebSocket = overlayPart(h.HTTP, builtIn.pool.Health.HTTP), overlayPart(h.WebSocket, builtIn.pool.Health.WebSocket)
	out.TCP = h.TCP
	return out
}

// checkHealth notes what no single key shows.
func (c *checker) checkHealth(p placed[*Pool]) {
	keys := []string{"pools", p.it.Name, "health"}
	passive := p.it.Health.filled().Passive
	if passive.Max < passive.Eject {
		c.at(p.file, slices.Concat(keys, []string{"passive", "max"}), recordOf("pool", p.it.Name),
			"health.passive.max %s is less than eject, %s", FormatDuration(passive.Max), FormatDuration(passive.Eject))
	}
	if h := p.it.Health.HTTP; h != nil && h.Body != "" && h.Method == "HEAD" {
		c.at(p.file, slices.Concat(keys, []string{"http", "body"}), recordOf("pool", p.it.Name),
			"health.http.body without effect: the answer to HEAD has none")
	}
}
