package routefile

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

// TestHints has a line for each mistake that says what to write instead. The text is of one
// file, "version: 1" before it, which has no other mistake.
func TestHints(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"listeners: {web: {address: 8080}}\nroutes: {}", `address "8080": wanted host:port, :port or unix:/path: write ":8080"`},
		{"listeners: {web: {address: \"8080\"}}\nroutes: {}", `address "8080": wanted host:port, :port or unix:/path: write ":8080"`},
		{"listeners: {web: {address: 127.0.0.1}}\nroutes: {}", `address "127.0.0.1": wanted host:port, :port or unix:/path: write "127.0.0.1:8080", for example`},
		{"listeners: {web: {address: localhost}}\nroutes: {}", `address "localhost": wanted host:port, :port or unix:/path: write "localhost:8080", for example`},
		{"listeners: {web: {address: \"http://localhost:80/\"}}\nroutes: {}", `address "http://localhost:80/": wanted host:port, :port or unix:/path: write "localhost:80"`},
		{"listeners: {web: {address: \"*:8080\"}}\nroutes: {}", `address "*:8080": wanted host:port, :port or unix:/path: write ":8080" for every address`},
		{"listeners: {web: {address: \"::1:80\"}}\nroutes: {}", `address "::1:80": write an IPv6 address in brackets: "[::1]:80"`},
		{"listeners: {web: {address: \"::1\"}}\nroutes: {}", `address "::1": write an IPv6 address in brackets: "[::1]:8080", for example`},
		{"listeners: {web: {address: \"300.1.1.1:80\"}}\nroutes: {}", `address "300.1.1.1:80": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		{"listeners: {web: {address: \"1.2.3:80\"}}\nroutes: {}", `address "1.2.3:80": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		{"listeners: {web: {address: \"010.0.0.1:80\"}}\nroutes: {}", `address "010.0.0.1:80": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		{"listeners: {web: {address: 8080/tcp}}\nroutes: {}", `address "8080/tcp": wanted host:port, :port or unix:/path: write ":8080"`},
		{"listeners: {web: {address: /run/tf.sock}}\nroutes: {}", `address "/run/tf.sock": wanted host:port, :port or unix:/path: write "unix:/run/tf.sock"`},
		{"listeners: {web: {address: \":http/x\"}}\nroutes: {}", `address ":http/x": wanted host:port, :port or unix:/path`},
		{"listeners: {web: {address: \":99999\"}}\nroutes: {}", `address ":99999": port "99999": wanted a number from 0 to 65535 or a service's name`},
		{"pools: {p: {backends: {a: {url: 8080}}}}\nroutes: {}", `backends.a.url "8080": wanted scheme://host[:port], the scheme ws, wss, http, https, unix+ws or unix+http: write "ws://127.0.0.1:8080"`},
		{"pools: {p: {backends: {a: {url: \"10.0.0.1:80\"}}}}\nroutes: {}", `backends.a.url "10.0.0.1:80": wanted scheme://host[:port], the scheme ws, wss, http, https, unix+ws or unix+http: write "ws://10.0.0.1:80"`},
		{"pools: {p: {backends: {a: {url: \"chat:9000\"}}}}\nroutes: {}", `backends.a.url "chat:9000": wanted scheme://host[:port], the scheme ws, wss, http, https, unix+ws or unix+http: write "ws://chat:9000"`},
		{"pools: {p: {backends: {a: {url: \"pool://q\"}}}}\nroutes: {}", `backends.a.url "pool://q": a backend is a server: wanted the scheme ws, wss, http, https, unix+ws or unix+http`},
		{"pools: {p: {backends: {a: {url: \"internal://echo\"}}}}\nroutes: {}", `backends.a.url "internal://echo": a backend is a server: wanted the scheme ws, wss, http, https, unix+ws or unix+http`},
		{"pools: {p: {backends: {a: {url: \"tcp://h:1\"}}}}\nroutes: {}", `backends.a.url "tcp://h:1": unknown scheme "tcp": wanted ws, wss, http, https, unix+ws or unix+http`},
		{"pools: {p: {backends: {a: {url: \"htp://h:1\"}}}}\nroutes: {}", `backends.a.url "htp://h:1": unknown scheme "htp", did you mean "http"?`},
		{"pools: {p: {backends: {a: {url: \"ws://h:1/ws\"}}}}\nroutes: {}", `backends.a.url "ws://h:1/ws": a backend's URL has no path: write "ws://h:1", and the path in the route's target, as in pool://NAME/path`},
		{"pools: {p: {backends: {a: {url: \"ws://300.1.1.1:80\"}}}}\nroutes: {}", `backends.a.url "ws://300.1.1.1:80": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		{"pools: {p: {backends: {a: {url: \"ws:h:1\"}}}}\nroutes: {}", `backends.a.url "ws:h:1": wanted scheme://host[:port], the scheme ws, wss, http, https, unix+ws or unix+http: write "ws://h:1"`},
		{"pools: {p: {backends: {a: \"ws://h:1\"}}}\nroutes: {}", `backends.a is a text, wanted a mapping: write {url: "ws://h:1"}`},
		{"pools: {p: {backends: [\"ws://h:1\"]}}\nroutes: {}", `backends is a list, wanted a mapping of names, such as {a: {url: "ws://10.0.0.1:9000"}}`},
		{"pools: {p: {resolve: {dns: chat.internal}}}\nroutes: {}", `resolve.dns "chat.internal": has no port: write "chat.internal:9000", for example`},
		{"pools: {p: {resolve: {dns: \"10.0.0.256:80\"}}}\nroutes: {}", `resolve.dns "10.0.0.256:80": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		{`routes: {a: {to: 8080}}`, `to "8080": wanted scheme://host[:port][/path], the scheme ws, wss, http, https, unix+ws, unix+http, pool or internal: write "ws://127.0.0.1:8080"`},
		{`routes: {a: {to: "10.0.0.1:80"}}`, `to "10.0.0.1:80": wanted scheme://host[:port][/path], the scheme ws, wss, http, https, unix+ws, unix+http, pool or internal: write "ws://10.0.0.1:80"`},
		{`routes: {a: {to: "10.0.0.1/x"}}`, `to "10.0.0.1/x": wanted scheme://host[:port][/path], the scheme ws, wss, http, https, unix+ws, unix+http, pool or internal: write "ws://10.0.0.1/x"`},
		{`routes: {a: {to: localhost}}`, `to "localhost": wanted scheme://host[:port][/path], the scheme ws, wss, http, https, unix+ws, unix+http, pool or internal: write "ws://localhost"`},
		{`routes: {a: {to: echo}}`, `to "echo": wanted scheme://host[:port][/path], the scheme ws, wss, http, https, unix+ws, unix+http, pool or internal: write "internal://echo"`},
		{`routes: {a: {to: "pool:chat"}}`, `to "pool:chat": wanted scheme://host[:port][/path], the scheme ws, wss, http, https, unix+ws, unix+http, pool or internal: write "pool://chat"`},
		{`routes: {a: {to: "http:/h/x"}}`, `to "http:/h/x": wanted scheme://host[:port][/path], the scheme ws, wss, http, https, unix+ws, unix+http, pool or internal: write "http://h/x"`},
		{`routes: {a: {to: "unix:/run/a.sock"}}`, `to "unix:/run/a.sock": wanted scheme://host[:port][/path], the scheme ws, wss, http, https, unix+ws, unix+http, pool or internal: write "unix+ws:///run/a.sock"`},
		{`routes: {a: {to: "unix+ws:/run/a.sock"}}`, `to "unix+ws:/run/a.sock": wanted scheme://host[:port][/path], the scheme ws, wss, http, https, unix+ws, unix+http, pool or internal: write "unix+ws:///run/a.sock"`},
		{`routes: {a: {to: "http+unix:///a"}}`, `to "http+unix:///a": unknown scheme "http+unix": wanted ws, wss, http, https, unix+ws, unix+http, pool or internal`},
		{`routes: {a: {to: "ws://::1:80"}}`, `to "ws://::1:80": write an IPv6 address in brackets: "[::1]:80"`},
		{`routes: {a: {to: "ws://::1"}}`, `to "ws://::1": write an IPv6 address in brackets: "[::1]"`},
		{`routes: {a: {to: "ws://1.2.3"}}`, `to "ws://1.2.3": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		{`routes: {a: {to: "INTERNAL://Foo"}}`, `to "INTERNAL://Foo": unknown internal target "Foo": wanted internal://echo or internal://status`},
		{`routes: {a: {to: *target}}`, `not YAML: *target refers to an unknown anchor: put a text that begins with "*" in quotes`},
		{`routes: {a: {to: {target}}}`, `to is a mapping, wanted a text: write "{target}"`},
		{`routes: {a: {to: !target}}`, `not YAML: a "!" begins a tag in YAML: put text that begins with one in quotes`},
		{`routes: {a: "ws://h:1"}`, `is a text, wanted a mapping: write {to: "ws://h:1"}`},
		{`routes: {a: {match: {path: "/api/*"}, to: "ws://h"}}`, `path "/api/*": * is no wildcard: write path_prefix: /api/`},
		{`routes: {a: {match: {path: "/api/**"}, to: "ws://h"}}`, `path "/api/**": * is no wildcard: write path_prefix: /api/`},
		{`routes: {a: {match: {path: "*"}, to: "ws://h"}}`, `path "*": * is no wildcard: write path_prefix: /`},
		{`routes: {a: {match: {path: "api/*"}, to: "ws://h"}}`, `path "api/*": * is no wildcard: write path_prefix: /api/`},
		{`routes: {a: {match: {path: "c/:id"}, to: "ws://h"}}`, `path "c/:id": captures are in braces: write path: "/c/{id}"`},
		{`routes: {a: {match: {path: "/c/:id/*"}, to: "ws://h"}}`, `path "/c/:id/*": * is no wildcard: write {name} for one segment, or path_regex`},
		{`routes: {a: {match: {path: "/c/{id}/*"}, to: "ws://h"}}`, `path "/c/{id}/*": * is no wildcard: write {name} for one segment, or path_regex`},
		{`routes: {a: {match: {path: "/*/c/*"}, to: "ws://h"}}`, `path "/*/c/*": * is no wildcard: write {name} for one segment, or path_regex`},
		{`routes: {a: {match: {path_prefix: "/api/*"}, to: "ws://h"}}`, `path_prefix "/api/*": * is no wildcard: write path_prefix: /api/`},
		{`routes: {a: {match: {path: "/api*"}, to: "ws://h"}}`, `path "/api*": * is no wildcard: write {name} for one segment, or path_regex`},
		{`routes: {a: {match: {path: "/a/*/b"}, to: "ws://h"}}`, `path "/a/*/b": * is no wildcard: write {name} for one segment, or path_regex`},
		{`routes: {a: {match: {path: "/c/:id"}, to: "ws://h"}}`, `path "/c/:id": captures are in braces: write path: "/c/{id}"`},
		{`routes: {a: {match: {path_prefix: "/c/:id/x"}, to: "ws://h"}}`, `path_prefix "/c/:id/x": captures are in braces, and in path: write path: "/c/{id}/x", or path_regex`},
		{`routes: {a: {match: {path: "/a/<int:id>"}, to: "ws://h"}}`, `path "/a/<int:id>": captures are in braces: write path: "/a/{id}"`},
		{`routes: {a: {match: {path: "/a/{id:[0-9]+}"}, to: "ws://h"}}`, `path "/a/{id:[0-9]+}": a capture is one segment of any characters: write "/a/{id}", or path_regex`},
		{`routes: {a: {match: {path: "/a/{rest...}"}, to: "ws://h"}}`, `path "/a/{rest...}": a capture is one segment: write path_regex: '^/a/(?P<rest>.*)'`},
		{`routes: {a: {match: {path: "/a/{*rest}"}, to: "ws://h"}}`, `path "/a/{*rest}": a capture is one segment: write path_regex: '^/a/(?P<rest>.*)'`},
		{`routes: {a: {match: {path: ^/api}, to: "ws://h"}}`, `path "^/api": a regular expression: write path_regex: '^/api'`},
		{`routes: {a: {match: {path: "~* ^/api"}, to: "ws://h"}}`, `path "~* ^/api": a regular expression: write path_regex: '^/api'`},
		{`routes: {a: {match: {path: api}, to: "ws://h"}}`, `path "api": want a leading slash: write path: /api`},
		{`routes: {a: {match: {path: "https://h/a"}, to: "ws://h"}}`, `path "https://h/a": a path has no scheme and no host: write host: h and path: /a`},
		{`routes: {a: {match: {path: {id}}, to: "ws://h"}}`, `path is a mapping, wanted a text: write "{id}"`},
		{`routes: {a: {match: {path_regex: "^/\d+$"}, to: "ws://h"}}`, `not YAML: \d in double quotes is no escape: write a text that has backslashes in single quotes`},
		{`routes: {a: {match: {path_regex: "^/\bx"}, to: "ws://h"}}`, `path_regex "^/\bx": has a control character, which "\b" and "\0" are in double quotes: write the expression in single quotes`},
		{`routes: {a: {match: {path_regex: /x}, to: "ws://h"}}`, `path_regex "/x": want ^ at its start, "^/x"`},
		{`routes: {a: {match: {headers: {X: {regex: "\bx"}}}, to: "ws://h"}}`, `headers.X.regex "\bx": has a control character, which "\b" and "\0" are in double quotes: write the expression in single quotes`},
		{`routes: {a: {match: {host: *.example.com}, to: "ws://h"}}`, `not YAML: *.example.com begins with "*", which YAML reserves: put it in quotes, "*.example.com"`},
		{`routes: {a: {match: {host: *example}, to: "ws://h"}}`, `not YAML: *example refers to an unknown anchor: put a text that begins with "*" in quotes`},
		{`routes: {a: {match: {host: .example.com}, to: "ws://h"}}`, `host ".example.com": write "*.example.com" for every subdomain`},
		{`routes: {a: {match: {host: "https://example.com"}, to: "ws://h"}}`, `host "https://example.com": wanted the name alone: write "example.com"`},
		{`routes: {a: {match: {host: "http://example.com/a"}, to: "ws://h"}}`, `host "http://example.com/a": a host has no path: write host: example.com and path_prefix: /a`},
		{`routes: {a: {match: {host: example.com/a}, to: "ws://h"}}`, `host "example.com/a": a host has no path: write host: example.com and path_prefix: /a`},
		{`routes: {a: {match: {host: "~^a"}, to: "ws://h"}}`, `host "~^a": a host cannot be a regular expression: wanted a name, or * as its first label, as in *.example.com`},
		{`routes: {a: {match: {host: 300.1.1.1}, to: "ws://h"}}`, `host "300.1.1.1": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		{`routes: {a: {match: {host: 1.10}, to: "ws://h"}}`, `host "1.10": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		{`routes: {a: {match: {host: "::1"}, to: "ws://h"}}`, `host "::1": write an IPv6 address in brackets: "[::1]"`},
		{`routes: {a: {match: {host: [::1]}, to: "ws://h"}}`, `not YAML: a value is missing here (put text with brackets in quotes)`},
		{`routes: {a: {match: {client: any}, to: "ws://h"}}`, `client "any": wanted a network such as 10.0.0.0/8, or an address: write 0.0.0.0/0 and ::/0`},
		{`routes: {a: {match: {client: 10}, to: "ws://h"}}`, `client "10": wanted a network such as 10.0.0.0/8, or an address: write 10.0.0.0/8`},
		{`routes: {a: {match: {client: 10.0}, to: "ws://h"}}`, `client "10.0": wanted a network such as 10.0.0.0/8, or an address: write 10.0.0.0/16`},
		{`routes: {a: {match: {client: 10.0.*}, to: "ws://h"}}`, `client "10.0.*": wanted a network such as 10.0.0.0/8, or an address: write 10.0.0.0/16`},
		{`routes: {a: {match: {client: 10.0.0.0/255.255.0.0}, to: "ws://h"}}`, `client "10.0.0.0/255.255.0.0": wanted a network such as 10.0.0.0/8, or an address: write 10.0.0.0/16`},
		{`routes: {a: {match: {client: "10.0.0.1:80"}, to: "ws://h"}}`, `client "10.0.0.1:80": wanted a network such as 10.0.0.0/8, or an address: write 10.0.0.1`},
		{`routes: {a: {match: {client: "[::1]:80"}, to: "ws://h"}}`, `client "[::1]:80": wanted a network such as 10.0.0.0/8, or an address: write ::1`},
		{`routes: {a: {match: {client: localhost}, to: "ws://h"}}`, `client "localhost": wanted a network such as 10.0.0.0/8, or an address: write 127.0.0.1 and ::1`},
		{`routes: {a: {match: {client: private}, to: "ws://h"}}`, `client "private": wanted a network such as 10.0.0.0/8, or an address: write 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16`},
		{`routes: {a: {match: {client: 010.0.0.1}, to: "ws://h"}}`, `client "010.0.0.1": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		{`routes: {a: {match: {client: 10.0.0.1/8}, to: "ws://h"}}`, `client "10.0.0.1/8": has host bits set: write 10.0.0.0/8, or 10.0.0.1 for one address`},
		{`routes: {a: {match: {client: 300.1.1.1}, to: "ws://h"}}`, `client "300.1.1.1": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		{"defaults: {timeouts: {connect: 5}}\nroutes: {}", `defaults.timeouts.connect "5": has no unit: write 5s`},
		{"defaults: {timeouts: {connect: \"5\"}}\nroutes: {}", `defaults.timeouts.connect "5": has no unit: write 5s`},
		{"defaults: {timeouts: {connect: 1.5}}\nroutes: {}", `defaults.timeouts.connect "1.5": is not a duration: write 1.5s`},
		{"defaults: {timeouts: {connect: 5 s}}\nroutes: {}", `defaults.timeouts.connect "5 s": is not a duration: write 5s`},
		{"defaults: {timeouts: {connect: 5 min}}\nroutes: {}", `defaults.timeouts.connect "5 min": is not a duration: write 5m`},
		{"defaults: {timeouts: {connect: 1h 30m}}\nroutes: {}", `defaults.timeouts.connect "1h 30m": is not a duration: write 1h30m`},
		{"defaults: {timeouts: {connect: 1d}}\nroutes: {}", `defaults.timeouts.connect "1d": is not a duration: write 24h`},
		{"defaults: {timeouts: {connect: 500 milliseconds}}\nroutes: {}", `defaults.timeouts.connect "500 milliseconds": is not a duration: write 500ms`},
		{"defaults: {timeouts: {idle: never}}\nroutes: {}", `defaults.timeouts.idle "never": is not a duration: write off`},
		{"defaults: {timeouts: {idle: -1}}\nroutes: {}", `defaults.timeouts.idle "-1": is not a duration: write off`},
		{"defaults: {limits: {message_size: 64k}}\nroutes: {}", `defaults.limits.message_size "64k": is not a size: write 64KiB`},
		{"defaults: {limits: {message_size: 64 KiB}}\nroutes: {}", `defaults.limits.message_size "64 KiB": is not a size: write 64KiB`},
		{"defaults: {limits: {message_size: 10m}}\nroutes: {}", `defaults.limits.message_size "10m": is not a size: write 10MiB`},
		{"defaults: {limits: {message_size: 64kb}}\nroutes: {}", `defaults.limits.message_size "64kb": is not a size: write 64KB`},
		{"defaults: {limits: {message_size: 1.5MiB}}\nroutes: {}", `defaults.limits.message_size "1.5MiB": is not a size: write 1536KiB`},
		{"defaults: {limits: {message_size: unlimited}}\nroutes: {}", `defaults.limits.message_size "unlimited": is not a size: write off`},
		{"defaults: {limits: {message_size: 10_000}}\nroutes: {}", `defaults.limits.message_size "10_000": is not a size: write 10KB`},
		{"defaults: {limits: {tunnels: \"10\"}}\nroutes: {}", `defaults.limits.tunnels "10": wanted a whole number from 1 to 2147483647, or off: write it without quotes`},
		{"defaults: {limits: {tunnels: 1_000}}\nroutes: {}", `defaults.limits.tunnels "1_000": wanted a whole number from 1 to 2147483647, or off: write 1000`},
		{"defaults: {limits: {tunnels: 1e3}}\nroutes: {}", `defaults.limits.tunnels "1e3": wanted a whole number from 1 to 2147483647, or off: write 1000`},
		{"defaults: {limits: {tunnels: 0x10}}\nroutes: {}", `defaults.limits.tunnels "0x10": wanted a whole number from 1 to 2147483647, or off: write 16`},
		{"defaults: {limits: {tunnels: none}}\nroutes: {}", `defaults.limits.tunnels "none": wanted a whole number from 1 to 2147483647, or off: write off`},
		{"defaults: {limits: {handshakes_per_second: \"0.5\"}}\nroutes: {}", `defaults.limits.handshakes_per_second "0.5": wanted a number above 0, such as 5 or 0.5, or off: write it without quotes`},
		{"defaults: {limits: {handshakes_per_second: 5r/s}}\nroutes: {}", `defaults.limits.handshakes_per_second "5r/s": wanted a number above 0, such as 5 or 0.5, or off: write 5`},
		{"defaults: {retry: {budget: 20}}\nroutes: {}", `defaults.retry.budget "20": wanted a percentage from 1% to 100%: write 20%`},
		{"defaults: {retry: {budget: 0.2}}\nroutes: {}", `defaults.retry.budget "0.2": wanted a percentage from 1% to 100%: write 20%`},
		{"defaults: {retry: {budget: 20 %}}\nroutes: {}", `defaults.retry.budget "20 %": wanted a percentage from 1% to 100%: write 20%`},
		{"defaults: {strict: yes}\nroutes: {}", `defaults.strict "yes": wanted true or false: write true`},
		{"defaults: {strict: 1}\nroutes: {}", `defaults.strict "1": wanted true or false: write true`},
		{"defaults: {origins: \"*\"}\nroutes: {}", `defaults.origins "*": wanted an origin such as https://app.example.com, https://*.example.com, null, file:// or same-host: write origins: any`},
		{"defaults: {origins: app.example.com}\nroutes: {}", `defaults.origins "app.example.com": wanted an origin such as https://app.example.com, https://*.example.com, null, file:// or same-host: write https://app.example.com`},
		{"defaults: {origins: self}\nroutes: {}", `defaults.origins "self": wanted an origin such as https://app.example.com, https://*.example.com, null, file:// or same-host: write same-host`},
		{"defaults: {origins: \"https://a.example/x\"}\nroutes: {}", `defaults.origins "https://a.example/x": an origin has no path: write https://a.example`},
		{"defaults: {origins: \"https://300.1.1.1\"}\nroutes: {}", `defaults.origins "https://300.1.1.1": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		{"defaults: {drain: {code: \"1012\"}}\nroutes: {}", `defaults.drain.code "1012": wanted a whole number from 1000 to 4999: write it without quotes`},
		{"routes:\n- match: {path: /x}\n  to: \"ws://h\"", `routes is a list, wanted a mapping of names, such as {echo: {match: {path: /echo}, to: "internal://echo"}}`},
		{"listeners: [web]\nroutes: {}", `listeners is a list, wanted a mapping of names, such as {web: {address: ":8080"}}`},
		{"pools: [p]\nroutes: {}", `pools is a list, wanted a mapping of names, such as {rooms: {backends: {a: {url: "ws://10.0.0.1:9000"}}}}`},
		{"listeners: {web: \":8080\"}\nroutes: {}", `is a text, wanted a mapping: write {address: ":8080"}`},
		{"zzzzz: 1\nroutes: {}", `unknown key "zzzzz": wanted version, listeners, trusted_proxies, defaults, shutdown, pools or routes`},
		{`routes: {a: {to: "ws://h", path: /x}}`, `unknown key "path": it belongs in match`},
		{`routes: {a: {to: "ws://h", backend: "ws://h"}}`, `unknown key "backend", did you mean "to"?`},
		{`routes: {a: {to: "ws://h", upstream: "ws://h"}}`, `unknown key "upstream", did you mean "to"?`},
		{`routes: {a: {redirect: {to: /b, url: /b}}}`, `unknown key "url", did you mean "to"?`},
		{"defaults: {backend: false}\nroutes: {}", `unknown key "backend": it belongs in keepalive`},
		{"shutdown: {wait: 1s}\nroutes: {}", `unknown key "wait": wanted delay or window`},
		{`routes: {a: {match: {client: 10.0.0.0/33}, to: "ws://h"}}`, `client "10.0.0.0/33": wanted at most /32`},
		{`routes: {a: {to: "ws://h", match: {hots: x}}}`, `unknown key "hots", did you mean "host"?`},
		{"routes:\n<<<<<<< HEAD\n  a: {to: \"ws://h\"}\n=======\n  a: {to: \"ws://i\"}\n>>>>>>> branch", `a merge conflict, to line 7: keep what is right of it, and remove its markers`},
		{"<<<<<<< HEAD\nroutes: {}\n||||||| base\n=======\nroutes: {}\n>>>>>>> branch: x", `a merge conflict, to line 7: keep what is right of it, and remove its markers`},
		{`routes: {a: {respond: {body: "\ud83d\ude00"}}}`, `not YAML: \ud83d is half of a character, which YAML does not know: write the character itself`},
		{`routes: {a: {respond: {body: "\x"}}}`, `not YAML: \x, \u or \U without its hexadecimal digits: write a text that has backslashes in single quotes`},
		{"listeners: {web: {address: *:8080}}\nroutes: {}", `not YAML: *:8080 begins with "*", which YAML reserves: put it in quotes, "*:8080"`},
		{"listeners: {web: {address: [::1]:8080}}\nroutes: {}", `not YAML: a value is missing here (put text with brackets in quotes)`},
		{`routes: {a: {to: &x.y}}`, `not YAML: &x.y begins with "&", which YAML reserves: put it in quotes, "&x.y"`},
		{`routes: {a: {respond: {body: @x}}}`, `not YAML: a value here begins with a character that YAML reserves: put it in quotes`},
		{`routes: {a: {redirect: {status: "301", to: /}}}`, `redirect.status "301": wanted 301, 302, 303, 307 or 308: write it without quotes`},
		{`routes: {a: {redirect: {to: "https://300.1.1.1/"}}}`, `redirect.to "https://300.1.1.1/": no IPv4 address: wanted four numbers from 0 to 255, without leading zeros`},
		// What was written, not what it is read as.
		{`routes: {a: {match: {path: "/A é/{x y}"}, to: "ws://h"}}`, `path "/A é/{x y}", capture "{x y}": want a letter or _, then letters, digits or _`},
		{`routes: {a: {match: {path: "/%41/{"}, to: "ws://h"}}`, `path "/%41/{", segment "{": want a capture to be a whole segment, {name}; a literal brace is %7B or %7D`},
		{`routes: {a: {match: {path: "/é/../b/{Y}"}, to: "ws://h/{z}"}}`, `to "ws://h/{z}": "{z}": path /é/../b/{Y} has no such capture: want one of $1, {Y}`},
		{"listeners:\n  a: {address: \"LOCALHOST:1\"}\n  b: {address: \"LOCALHOST:1\"}\nroutes: {}", `address "LOCALHOST:1" is already used by listener "a" at r.yaml:3:3`},
		{"listeners:\n  a: {address: \"unix:x.sock\"}\n  b: {address: \"unix:./x.sock\"}\nroutes: {}", `address "unix:./x.sock" is already used by listener "a" at r.yaml:3:3`},
		{`defaults: {origins: "HTTPS://A.example"}` + "\nroutes: {}", `defaults.origins "HTTPS://A.example": wanted an origin such as https://app.example.com, https://*.example.com, null, file:// or same-host: write https://A.example`},
	} {
		f, errs := Parse("r.yaml", []byte("version: 1\n"+tt.text+"\n"))
		if errs = Merge(errs, Check(f)); len(errs) != 1 {
			t.Errorf("%s: %d mistakes, want one:\n%v", tt.text, len(errs), errs)
		} else if errs[0].Text != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.text, errs[0].Text, tt.want)
		}
	}
}

// TestOneCertificate: of a list of mappings one may be written without the list, and means the same.
func TestOneCertificate(t *testing.T) {
	const head = "version: 1\nroutes: {}\nlisteners:\n  web: {address: \":8443\", tls: {certificates: "
	one := mustParse(t, "r.yaml", head+"{certificate: a.crt, key: a.key}}}\n")
	list := mustParse(t, "r.yaml", head+"[{certificate: a.crt, key: a.key}]}}\n")
	for _, f := range []*File{one, list} {
		if got := f.Listeners["web"].TLS.Certificates; len(got) != 1 || got[0].Certificate != "a.crt" || got[0].Pos.Line != 4 {
			t.Errorf("certificates %v", got)
		}
	}
	if a, b := one.Fingerprint(InListeners, "web"), list.Fingerprint(InListeners, "web"); a != b {
		t.Errorf("fingerprints %s and %s differ", a, b)
	}
	if a, b := one.Plain(InListeners, "web"), list.Plain(InListeners, "web"); !reflect.DeepEqual(a, b) {
		t.Errorf("plain values %v and %v differ", a, b)
	}
	s := schemaObject(t)
	if !fits(s, s, asJSON(t, head+"{certificate: a.crt, key: a.key}}}\n")) {
		t.Error("the schema refuses it")
	}
	same := InListeners.Set("web", InListeners.FromPlain(list.Plain(InListeners, "web")))
	if got, err := (Editor{}).Edit(one.data, same); err != nil || string(got) != string(one.data) {
		t.Errorf("setting it to what it is: %v\n%s", err, got)
	}
}

// TestMistakesArePrintable: nothing of a file, of its name or of its keys reaches a terminal
// as a control, and the line with the caret keeps its width.
func TestMistakesArePrintable(t *testing.T) {
	const name = "\x1b[31m\u202e.yaml"
	data := []byte("version: 1\nroutes: {a: {match: {headers: {\"\\e[0m\\u2066\": {regx: \u202ex\u202c}}}}}\n")
	f, errs := Parse(name, data)
	if errs = Merge(errs, Check(f)); len(errs) < 2 {
		t.Fatal(errs)
	}
	var b bytes.Buffer
	if err := errs.Print(&b, map[string][]byte{name: data}); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"Print": b.String(), "Error": errs.Error(), "Text": errs[0].Text + errs[len(errs)-1].Text} {
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }); i >= 0 {
			t.Errorf("%s has %q: %q", what, text[i:i+1], text)
		}
	}
	if !strings.Contains(b.String(), "regx: \ufffdx\ufffd") {
		t.Errorf("the line is not shown:\n%s", b.String())
	}
}
