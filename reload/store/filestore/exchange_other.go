//go:build !linux

package filestore

import "errors"

// exchange would swap two files in one step; a plain rename does here.
func exchange(_, _ string) error { return errors.ErrUnsupported }
