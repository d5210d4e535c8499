//go:build tools

// Package traefik pins Traefik, the ingress controller of the lab: it
// understands the annotations of ingress-nginx that the module's Ingresses carry.
package traefik

import _ "github.com/traefik/traefik/v3/cmd/traefik"
