package e2e

// Every key of the routes file has a scenario that shows what it does.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// shownBy names the scenario for each key that does something by itself.
// Settings stand without the "routes.*." or "defaults." before them: both are
// the same keys, and TestDefaults shows how one lies over the other.
var shownBy = map[string]string{
	"version": "TestBadContent",

	"auth": "TestAuthBasic", "auth.[].jwt.from.[]": "TestAuthJWT", "auth.[].jwt.on_expiry": "TestAuthJWT", "auth.[].api_key.from.[]": "TestAuthBasic",
	"auth.[].jwt.issuer":                          "TestAuthJWT",
	"auth.[].jwt.audience":                        "TestAuthJWT",
	"auth.[].jwt.keys.file":                       "TestAuthKeyServer",
	"auth.[].jwt.keys.url":                        "TestAuthKeyServer",
	"auth.[].jwt.keys.refresh":                    "TestAuthKeyServer",
	"auth.[].jwt.keys.secret.file":                "TestAuthJWT",
	"auth.[].jwt.algorithms":                      "TestAuthKeyServer",
	"auth.[].jwt.from.[].header":                  "TestAuthJWT",
	"auth.[].jwt.from.[].cookie":                  "TestAuthJWT",
	"auth.[].jwt.from.[].query":                   "TestAuthJWT",
	"auth.[].jwt.from.[].subprotocol":             "TestAuthJWT",
	"auth.[].jwt.claims.*":                        "TestAuthJWT",
	"auth.[].jwt.claims.*.regex":                  "TestAuthJWT",
	"auth.[].jwt.leeway":                          "TestAuthJWT",
	"auth.[].jwt.on_expiry.keep":                  "TestAuthJWT",
	"auth.[].jwt.on_expiry.close":                 "TestAuthJWT",
	"auth.[].jwt.on_expiry.reason":                "TestAuthJWT",
	"auth.[].jwt.headers":                         "TestAuthJWT",
	"auth.[].jwt.forward_credential":              "TestAuthJWT",
	"auth.[].basic.users":                         "TestAuthBasic",
	"auth.[].basic.realm":                         "TestAuthBasic",
	"auth.[].basic.user":                          "TestAuthBasic",
	"auth.[].basic.forward_credential":            "TestAuthBasic",
	"auth.[].api_key.keys":                        "TestAuthBasic",
	"auth.[].api_key.from.[].header":              "TestAuthBasic",
	"auth.[].api_key.from.[].cookie":              "TestAuthBasic",
	"auth.[].api_key.from.[].query":               "TestAuthBasic",
	"auth.[].api_key.from.[].subprotocol":         "TestAuthBasic",
	"auth.[].api_key.forward_credential":          "TestAuthBasic",
	"auth.[].client_certificate.names":            "TestAuthClientCertificate",
	"auth.[].client_certificate.spiffe":           "TestAuthClientCertificate",
	"auth.[].client_certificate.header":           "TestAuthClientCertificate",
	"auth.[].forward.url":                         "TestAuthForward",
	"auth.[].forward.headers":                     "TestAuthForward",
	"auth.[].forward.copy":                        "TestAuthForward",
	"auth.[].forward.user":                        "TestAuthForward",
	"auth.[].forward.timeout":                     "TestAuthForward",
	"auth.[].forward.cache":                       "TestAuthForward",
	"auth_preflight":                              "TestAuthFailures",
	"cross_site":                                  "TestAuthFailures",
	"limits.auth_failures":                        "TestAuthFailures",
	"listeners.*.address":                         "TestListeners",
	"listeners.*.mode":                            "TestSocketModeAndGroup",
	"listeners.*.group":                           "TestSocketModeAndGroup",
	"listeners.*.tls.certificates.[].certificate": "TestCertificateIsWatched",
	"listeners.*.tls.certificates.[].key":         "TestCertificateIsWatched",
	"listeners.*.tls.client_ca":                   "TestClientCertificates",
	"listeners.*.limits.header_timeout":           "TestHeaderTimeout",
	"listeners.*.limits.header_bytes":             "TestListenerLimits",
	"listeners.*.limits.headers":                  "TestListenerLimits",
	"listeners.*.limits.connections":              "TestConnectionLimit",
	"listeners.*.http2":                           "TestHTTP2",
	"trusted_proxies":                             "TestTrustedProxies",
	"shutdown.delay":                              "TestTermDelays",
	"shutdown.window":                             "TestSecondTermCuts",
	"pools.*.balance":                             "TestRoundRobin",
	"pools.*.backends.*.url":                      "TestTargets",
	"pools.*.backends.*.drain":                    "TestDrainedBackendGetsNothingNew",
	"pools.*.backends.*.weight":                   "TestPoolMembers",
	"pools.*.backends.*.disabled":                 "TestPoolMembers",
	"pools.*.backends.*.tier":                     "TestPoolMembers",
	"pools.*.backends.*.standby":                  "TestPoolMembers",
	"pools.*.backends.*.spare":                    "TestPoolMembers",
	"pools.*.backends.*.max_tunnels":              "TestLimits",
	"pools.*.backends.*.max_requests":             "TestLimits",
	"pools.*.health.tcp":                          "TestHealthTellsHungFromDead",
	"pools.*.health.http.method":                  "TestHealthHTTP",
	"pools.*.health.http.path":                    "TestHealthHTTP",
	"pools.*.health.http.host":                    "TestHealthHTTP",
	"pools.*.health.http.headers":                 "TestHealthHTTP",
	"pools.*.health.http.statuses":                "TestHealthHTTP",
	"pools.*.health.http.body":                    "TestHealthHTTP",
	"pools.*.health.websocket.path":               "TestHealthWebSocketAsks",
	"pools.*.health.websocket.host":               "TestHealthWebSocketAsks",
	"pools.*.health.websocket.headers":            "TestHealthWebSocketAsks",
	"pools.*.health.websocket.subprotocol":        "TestHealthWebSocketAsks",
	"pools.*.health.interval":                     "TestHealthHTTP",
	"pools.*.health.timeout":                      "TestHealthHTTP",
	"pools.*.health.passes":                       "TestHealthHTTP",
	"pools.*.health.fails":                        "TestHealthHTTP",
	"pools.*.health.initial":                      "TestHealthTellsHungFromDead",
	"pools.*.health.slow_start":                   "TestHealthHTTP",
	"pools.*.health.passive.fails":                "TestPassive",
	"pools.*.health.passive.eject":                "TestPassive",
	"pools.*.health.passive.max":                  "TestPassive",
	"pools.*.health.passive.at_most":              "TestPassive",
	"pools.*.resolve.dns":                         "TestDiscoveryDNS",
	"pools.*.resolve.srv":                         "TestDiscoverySRV",
	"pools.*.resolve.server":                      "TestDiscoveryDNS",
	"pools.*.resolve.scheme":                      "TestDiscoveryDNS",
	"pools.*.resolve.every":                       "TestDiscoveryDNS",
	"pools.*.resolve.max_tunnels":                 "TestDiscoveryLimits",
	"pools.*.resolve.max_requests":                "TestDiscoveryLimits",
	"pools.*.resolve.tls.ca":                      "TestDiscoveryTLS",
	"pools.*.resolve.tls.server_name":             "TestDiscoveryTLS",
	"pools.*.resolve.tls.certificate":             "TestDiscoveryTLS",
	"pools.*.resolve.tls.key":                     "TestDiscoveryTLS",
	"pools.*.resolve.tls.insecure":                "TestDiscoveryTLS",
	"pools.*.rebalance.within":                    "TestRebalance",
	"pools.*.rebalance.tolerance":                 "TestRebalance",
	"pools.*.queue.length":                        "TestQueue",
	"pools.*.queue.wait":                          "TestQueue",
	"pools.*.backends.*.tls.ca":                   "TestBackendTLS",
	"pools.*.backends.*.tls.server_name":          "TestBackendTLS",
	"pools.*.backends.*.tls.certificate":          "TestBackendTLS",
	"pools.*.backends.*.tls.key":                  "TestBackendTLS",
	"pools.*.backends.*.tls.insecure":             "TestBackendTLS",

	"pools.*.sticky.cookie":         "TestStickyCookie",
	"pools.*.sticky.app_cookie":     "TestStickyApplication",
	"pools.*.sticky.header":         "TestStickyApplication",
	"pools.*.sticky.query":          "TestStickyApplication",
	"pools.*.sticky.separator":      "TestStickyApplication",
	"pools.*.sticky.on_unavailable": "TestStickyUnavailable",
	"pools.*.sticky.path":           "TestStickyAttributes",
	"pools.*.sticky.domain":         "TestStickyAttributes",
	"pools.*.sticky.secure":         "TestStickyAttributes",
	"pools.*.sticky.http_only":      "TestStickyAttributes",
	"pools.*.sticky.same_site":      "TestStickyAttributes",
	"pools.*.sticky.max_age":        "TestStickyAttributes",
	"pools.*.sticky.secret":         "TestStickySecret",
	"pools.*.backends.*.route":      "TestStickyApplication",

	"pools.*.hash.header":  "TestHash",
	"pools.*.hash.cookie":  "TestHash",
	"pools.*.hash.query":   "TestHash",
	"pools.*.hash.capture": "TestHash",
	"pools.*.hash.client":  "TestHash",

	"match.listener":          "TestListeners",
	"match.host":              "TestMatch",
	"match.path":              "TestMatch",
	"match.path_prefix":       "TestMatch",
	"match.path_regex":        "TestMatch",
	"match.priority":          "TestMatch",
	"match.methods":           "TestMatch",
	"match.headers.*":         "TestMatch",
	"match.headers.*.regex":   "TestMatch",
	"match.headers.*.present": "TestMatch",
	"match.query.*":           "TestMatch",
	"match.query.*.regex":     "TestMatch",
	"match.query.*.present":   "TestMatch",
	"match.cookies.*":         "TestMatch",
	"match.cookies.*.regex":   "TestMatch",
	"match.cookies.*.present": "TestMatch",
	"match.upgrade":           "TestMatch",
	"match.subprotocol":       "TestMatch",
	"match.client":            "TestMatch",

	"to":              "TestTargets",
	"redirect.to":     "TestRespondAndRedirect",
	"redirect.scheme": "TestRespondAndRedirect",
	"redirect.port":   "TestRespondAndRedirect",
	"redirect.status": "TestRespondAndRedirect",
	"respond.status":  "TestRespondAndRedirect",
	"respond.body":    "TestRespondAndRedirect",
	"respond.headers": "TestRespondAndRedirect",

	"upgrade":                        "TestOtherProtocols",
	"http_fallback":                  "TestFallback",
	"encoded_slash":                  "TestEncodedSlashes",
	"merge_slashes":                  "TestDoubleSlashes",
	"timeouts.connect":               "TestConnectTimeout",
	"timeouts.handshake":             "TestBackendTimeouts",
	"timeouts.response":              "TestBackendTimeouts",
	"timeouts.body":                  "TestSilentBodies",
	"timeouts.send":                  "TestClientsThatDoNotRead",
	"ntlm":                           "TestLoginThroughAProxy",
	"timeouts.idle":                  "TestPingsAreNoActivity",
	"timeouts.idle_from_client":      "TestOneSidedIdle",
	"timeouts.idle_from_backend":     "TestOneSidedIdle",
	"timeouts.idle_counts":           "TestIdleCounts",
	"timeouts.lifetime":              "TestLifetime",
	"timeouts.lifetime_jitter":       "TestLifetime",
	"keepalive":                      "TestPings",
	"keepalive.ping":                 "TestPings",
	"keepalive.pong":                 "TestDeadPeers",
	"keepalive.client":               "TestPings",
	"keepalive.backend":              "TestPings",
	"strict":                         "TestViolations",
	"lenient":                        "TestLenientHandshakes",
	"limits.tunnels":                 "TestTunnelLimits",
	"limits.tunnels_per_client":      "TestTunnelsPerClient",
	"limits.handshakes_per_second":   "TestRateLimit",
	"limits.message_size":            "TestSizeLimits",
	"limits.frame_size":              "TestSizeLimits",
	"limits.header_bytes":            "TestRouteHeadLimit",
	"limits.body_bytes":              "TestBodyLimit",
	"origins":                        "TestOriginLists",
	"drain.window":                   "TestWindowSpreads",
	"drain.code":                     "TestEditTouchesOnlyItsOwn",
	"drain.reason":                   "TestEditTouchesOnlyItsOwn",
	"drain.close_timeout":            "TestDrainAwaitsTheReply",
	"drain.keep":                     "TestTermDrains",
	"headers.request.set":            "TestRequestHeaders",
	"headers.request.add":            "TestRequestHeaders",
	"headers.request.remove":         "TestRequestHeaders",
	"headers.request.default":        "TestHeadersOnEveryWay",
	"headers.response.set":           "TestResponseHeaders",
	"headers.response.add":           "TestResponseHeaders",
	"headers.response.remove":        "TestResponseHeaders",
	"headers.response.default":       "TestHeadersOnEveryWay",
	"on_backend_loss":                "TestRedialOff",
	"retry.others":                   "TestRetry",
	"metrics.histograms":             "TestMetricsHistograms",
	"retry.budget":                   "TestRetry",
	"errors.override":                "TestErrorOverride",
	"errors.*.file":                  "TestErrorAnswers",
	"errors.*.body":                  "TestErrorAnswers",
	"errors.*.content_type":          "TestErrorAnswers",
	"query.remove":                   "TestQueryRemove",
	"preserve_host":                  "TestHostOfPlainBackends",
	"forwarded":                      "TestForwarded",
	"rewrite_response":               "TestRewriteShort",
	"rewrite_response.location":      "TestRewriteResponse",
	"rewrite_response.cookie_path":   "TestRewriteResponse",
	"rewrite_response.cookie_domain": "TestRewriteResponse",
	"backend_tls.ca":                 "TestBackendTLS",
	"backend_tls.server_name":        "TestBackendTLS",
	"backend_tls.certificate":        "TestBackendTLS",
	"backend_tls.key":                "TestBackendTLS",
	"backend_tls.insecure":           "TestBackendTLS",
}

// TestEveryKeyIsShown: the scenarios stand where the map says, and speak of the
// key; every key that may be written has one, and no key of the map is gone.
func TestEveryKeyIsShown(t *testing.T) {
	t.Parallel()
	files, texts := scenarios(t)
	known := map[string]bool{}
	for _, key := range doing(routefile.Keys()) {
		known[key] = true
		name := shownBy[key]
		file, there := files[name]
		if !there {
			t.Errorf("key %s: no scenario shows it (%q)", key, name)
			continue
		}
		word := strings.TrimSuffix(key, ".*")
		if word = word[strings.LastIndexByte(word, '.')+1:]; !strings.Contains(texts[file], word) {
			t.Errorf("key %s: %s, where %s stands, does not speak of it", key, file, name)
		}
	}
	for key := range shownBy {
		if !known[key] {
			t.Errorf("key %s is in no routes file", key)
		}
	}
}

// TestQuickIsThere: every scenario that is to run with -short exists.
func TestQuickIsThere(t *testing.T) {
	t.Parallel()
	files, _ := scenarios(t)
	for name := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(quick, "^Test("), ")$"), "|") {
		if files["Test"+name] == "" {
			t.Errorf("there is no Test%s", name)
		}
	}
}

// doing are the keys that do something by themselves: those without keys below
// them, and those that have another form.
func doing(keys []routefile.Key) []string {
	var found []string
	for _, k := range keys {
		below := slices.ContainsFunc(keys, func(other routefile.Key) bool { return strings.HasPrefix(other.Path, k.Path+".") })
		if k.Reserved || below && len(k.Short) == 0 {
			continue
		}
		path := strings.TrimPrefix(strings.TrimPrefix(k.Path, "routes.*."), "defaults.")
		if !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found
}

// scenarios finds every test of this package: the file that it stands in, and
// the files' texts.
func scenarios(t *testing.T) (files, texts map[string]string) {
	t.Helper()
	paths, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files, texts = map[string]string{}, map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
		parsed, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range parsed.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok {
				files[f.Name.Name] = path
			}
		}
	}
	return files, texts
}
