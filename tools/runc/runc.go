//go:build tools

// Package runc pins what containerd starts containers with. It is a module of
// its own because it alone needs a C compiler and libseccomp.
package runc

import _ "github.com/opencontainers/runc"
