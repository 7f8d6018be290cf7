package routefile

// Check: the mistakes that only show when records are looked at together.

// Check returns every mistake of the files as one set, those that Parse found
// in each included. It looks at the bytes alone.
func Check(files ...*File) Errors {
	c := &checker{files: byPath(files)}
	for _, f := range c.files {
		c.errs = append(c.errs, f.errs...)
	}
	return tidy(c.errs)
}

// CheckFiles returns what only this machine knows to be wrong with the files.
func CheckFiles(files ...*File) Errors {
	return nil
}

type checker struct {
	files []*File
	errs  []*Error
}
