//go:build tools

// Package coredns pins the DNS server of the lab's clusters.
package coredns

import _ "github.com/coredns/coredns"
