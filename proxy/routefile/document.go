package routefile

// Whole files as plain values, and the other way: for those who make a routes
// file from values and not from text.

// Document returns the whole file in plain values; see Plain. What is of the
// wrong kind is left out: Parse has named it.
func (f *File) Document() Plain {
	if f.node == nil {
		return Plain{}
	}
	budget := maxAliased
	p, _ := plainOf(&document, f.node, &budget).(Plain)
	return p
}

// EncodeDocument writes a file in the canonical layout: keys in the order of the
// reference, names sorted. version is 1 when said does not say it. Values of the
// wrong kind and unknown keys are written all the same, so that Parse can name
// them; the error is for what cannot be written at all.
func EncodeDocument(said Plain) ([]byte, error) {
	return schema.Document(fromPlain(&document, said))
}
