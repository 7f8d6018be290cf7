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
// The files, by what one looks for:
//
//   - a feature has one file with its record, its keys and its checks: listener.go,
//     shutdown.go, pool.go and pool_*.go, route.go and route_*.go, settings.go,
//     backend_tls.go, target.go. A new key is one entry there;
//   - key_kinds.go has a function for each kind of key, such as duration, size or
//     list of texts; grammar.go has the grammars that several keys share;
//   - parse.go and parse_*.go turn bytes into records: YAML syntax, the walk over
//     the table, single values. errors.go describes mistakes;
//   - check.go judges files as the set that they are served as, from bytes alone, so
//     that a Terraform plan can do it; checkfiles.go adds what only this machine
//     knows: certificates, sockets, ports;
//   - set.go and defaults.go fill in defaults; explain.go says which route a
//     request takes;
//   - edit.go edits and formats files through package yamledit; encode.go and
//     spelling.go keep the spelling of what an edit does not change;
//   - generic.go has records as plain values; schema.go and reference.go are
//     generated documents.
//
// Everything here is a pure function of its arguments (CheckFiles also looks
// at the file system) and safe for concurrent use.
package routefile
