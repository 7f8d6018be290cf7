// Package routefile is the routes file: the one YAML document that says what
// Tunnelform serves. It is the product's centre: the proxy, the command line
// and the Terraform provider all read, judge and edit the file through it, so
// that no two of them can disagree.
//
//	bytes -Parse-> *File -Check-> Errors -NewSet-> *Set (defaults resolved)
//
// Parse walks yamledit.Node itself, because yaml.v3's strict decoder reports Go
// type names and no columns. One table (table.go) names every key, its kind, its
// meaning and its default; the parser, the JSON Schema (Schema) and the
// reference (Reference) are all made from it.
//
// Check judges files as the set they are served as, the mistakes of Parse
// included, and looks at bytes alone, so that a Terraform plan can do it; CheckFiles
// adds what only this machine knows: certificates, sockets, ports.
//
// Edits splice bytes between node positions and never re-encode the file: what
// an edit does not name keeps its comments, order, blank lines and line ends.
//
// Everything here is a pure function of its arguments (CheckFiles also looks
// at the file system) and safe for concurrent use.
package routefile
