// Package rules holds what is true of the whole repository: which folder may
// import which, which words the code and its documentation use, and that
// docs/DEVELOPMENT.md names files that exist.
package rules
