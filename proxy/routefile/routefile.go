// Package routefile is the routes file: the one YAML document that says what
// Tunnelform serves. It is the product's centre: the proxy, the command line
// and the Terraform provider all read, judge and edit the file through it, so
// that no two of them can disagree.
//
//	bytes -Parse-> *File -Check-> Errors -NewSet-> *Set (defaults resolved)
//
// One table (table.go) names every key, its kind, its meaning and its default; the
// parser, the built-in defaults, the JSON Schema (Schema), the reference
// (Reference), the encoder and the Terraform schema are made from it.
//
// The files, by what one looks for. A key is in the file of its feature, with the record
// that it fills and its checks; a new key is one entry there:
//
//	listeners      listener.go; who may connect to a socket: socket.go
//	pools          pool.go: balance, backends; pool_hash.go, pool_health.go, pool_queue.go,
//	               pool_rebalance.go, pool_resolve.go, pool_sticky.go
//	routes         route.go: redirect, respond; route_match.go: match; target.go: to
//	settings       settings.go: what a route and defaults may have, timeouts, keepalive,
//	               limits and the short ones; route_upgrade.go: upgrade, origins;
//	               route_headers.go: headers, query, rewrite_response; route_drain.go,
//	               route_retry.go, backend_tls.go
//	texts          route_captures.go: $1 and {name} in targets; placeholders.go: {client}
//	               and others in what is sent
//	the top        table.go, with version, trusted_proxies and defaults; shutdown.go
//
// What works on all keys alike:
//
//	the table      keys.go: what a Key is; key_kinds.go: a function for each kind of key;
//	               grammar.go, units.go: what several keys share
//	bytes to nodes parse_yaml.go, parse_syntax.go; parse_count.go, parse_values_count.go:
//	               limits before anything is decoded; tree.go, positions.go: nodes kept
//	               for the places of mistakes
//	to records     parse.go, parse_walk.go: the walk over the table; parse_values.go; file.go:
//	               File; settings_pool.go: equal settings stored once
//	mistakes       errors.go; hints.go, nearest.go: what to write instead; notes.go: what is
//	               valid and may not be meant
//	a set          check.go: from bytes alone, so that a Terraform plan can do it; checkfiles.go:
//	               certificates, sockets and ports of this machine; set.go, defaults.go
//	a request      explain.go: the route that it takes; explain_unknown.go: what its URL does
//	               not say
//	edits          edit.go, through package yamledit; encode.go; spelling.go: what means the
//	               same keeps its spelling
//	other forms    generic.go: plain values; schema.go, reference.go: generated documents
//
// Everything here is a pure function of its arguments (CheckFiles also looks
// at the file system) and safe for concurrent use.
package routefile
