package main

// stamp says which source an image was built from.
type stamp struct {
	// version like v1.2.3, and the commit; empty where nobody has released anything.
	version, revision string
}

// developed is the version of what nobody has released.
const developed = "v0.0.0-dev"

// labels of the image (OCI image specification, annotations).
func (s stamp) labels(title string) map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":    title,
		"org.opencontainers.image.source":   "https://github.com/deckhouse-mesh/istio",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	if s.version != "" {
		labels["org.opencontainers.image.version"] = s.version
	}
	if s.revision != "" {
		labels["org.opencontainers.image.revision"] = s.revision
	}
	return labels
}
