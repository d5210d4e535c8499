// Package ext stands in for a module that lives inside Traefik's repository
// only: what builds of Traefik with more configuration fields fill. The lab's
// has none more.
package ext

// HTTP has no further fields of an HTTP configuration.
type HTTP struct{}

// Router has no further fields of an HTTP router.
type Router struct{}
