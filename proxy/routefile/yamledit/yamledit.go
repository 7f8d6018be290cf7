// Package yamledit edits YAML documents that people keep: an edit changes the
// records that it names, and every other byte of the document stays. It prints
// what an edit adds, and whole documents, in one canonical layout. It knows
// nothing of routes: a Schema names the sections that hold records and orders
// the keys.
//
// The contract of Editor.Edit:
//
//   - data is never changed; when there is nothing to do it is returned itself;
//   - a record that no operation names keeps every byte, as do the keys outside
//     of the sections, comments, blank lines, line ends and a byte order mark;
//   - a named record is changed key by key, so that the comments of its other
//     keys stay; what it says already is not changed;
//   - the result is proved before it is returned (prove.go), by code that knows
//     nothing of how the bytes were spliced: it parses the result again and
//     compares. An edit that is not proved right is refused;
//   - a document that cannot be edited like this is refused with a *LayoutError,
//     which says where and what to do.
//
// From bytes to bytes: node.go parses, layout.go and measure.go find the bytes of
// every node and comment, members.go the lines of every key; section.go plans
// what becomes of each record, change.go and splice.go turn the plan into
// replacements of bytes, prove.go checks the result. print.go, scalar.go,
// format.go and format_comments.go are the canonical layout.
//
// Comments are in two files: an edit keeps those that members.go assigns to a key's lines;
// Format, which moves keys, takes theirs along by format_comments.go.
//
// Everything here is a pure function of its arguments and safe for concurrent use.
package yamledit
