// Package kubernetes asks API servers of the oldest and of the newest
// supported Kubernetes whether they accept everything that the module renders.
// Run it with `make test-kubernetes`; the build tag keeps it out of `make test`,
// for which building two more API servers would take too long.
package kubernetes
