//go:build !linux

// Elsewhere single files cannot be mounted, or the system does not tell.
package filestore

func mountPoints() map[string]bool { return nil }
