// Package oci builds images into an OCI layout, without a daemon or a Dockerfile.
// The same inputs give the same digests, whenever and wherever they are built.
package oci
