//go:build tools

// Package jaeger pins Jaeger, to which the proxies of the tests send their spans.
package jaeger

import _ "github.com/jaegertracing/jaeger/cmd/all-in-one"
