//go:build !linux

package auth

func lowerPriority() {}
