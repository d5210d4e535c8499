// Package lab tests the lab itself: that its clusters are what clusters are, and
// that nothing of it outlives it. It needs root, and what `make build tools
// images` leaves.
package lab
