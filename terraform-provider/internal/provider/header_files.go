package provider

// Values of headers that come from files. The routes file has {file: PATH} among the other
// values; here they are a map of their own, as all values of a map have one type.

import (
	"fmt"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// filesSuffix is of the map's name: set_file is beside set.
const filesSuffix = "_file"

func (s *shape) descriptionOfFiles() string {
	return fmt.Sprintf("As `%s`, but each value is the path of a file that holds it, relative to the routes file: `{file: PATH}` there.", s.key.Name)
}

// joinFiles puts paths among the values of a key. A header that has both gets two values,
// which the validator refuses where there can be only one.
func joinFiles(mapping routefile.Plain, key string, paths routefile.Plain) {
	values, _ := mapping[key].(routefile.Plain)
	if values == nil {
		values = routefile.Plain{}
		mapping[key] = values
	}
	for header, path := range paths {
		values[header] = withPath(values[header], path)
	}
}

// withPath adds the path of a file, or a list of them, to a value or a list of values.
func withPath(value, path any) any {
	paths, several := path.([]any)
	if !several {
		paths = []any{path}
	}
	var all []any
	switch value := value.(type) {
	case nil:
	case []any:
		all = value
	default:
		all, several = []any{value}, true
	}
	for _, one := range paths {
		all = append(all, routefile.Plain{"file": one})
	}
	if !several {
		return all[0]
	}
	return all
}

// splitFiles undoes joinFiles: it returns the paths, or the other values. It returns nil if
// there is nothing but values of the other kind.
func splitFiles(p any, files bool) any {
	values, _ := p.(routefile.Plain)
	if values == nil {
		return nil
	}
	some := routefile.Plain{}
	for header, value := range values {
		list, several := value.([]any)
		if !several {
			list = []any{value}
		}
		var kept []any
		for _, one := range list {
			path, isFile := one.(routefile.Plain)
			if isFile && files {
				one = path["file"]
			}
			if isFile == files {
				kept = append(kept, one)
			}
		}
		switch {
		case len(kept) > 0 && several:
			some[header] = kept
		case len(kept) > 0:
			some[header] = kept[0]
		}
	}
	if len(some) == 0 && (files || len(values) > 0) {
		return nil
	}
	return some
}
