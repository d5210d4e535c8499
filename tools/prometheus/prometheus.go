//go:build tools

// Package prometheus pins Prometheus, which scrapes the module in its tests.
package prometheus

import _ "github.com/prometheus/prometheus/cmd/prometheus"
