package oci

import "strings"

// DigestsFile has the digest of each image of the module by its name in camelCase, as Deckhouse's modules have it.
const DigestsFile = "images_digests.json"

// CamelCase is the name by which the module asks for the image of a folder below images/: metadataExporter for metadata-exporter.
func CamelCase(folder string) string {
	first, rest, found := strings.Cut(folder, "-")
	if !found || rest == "" {
		return first
	}
	rest = CamelCase(rest)
	return first + strings.ToUpper(rest[:1]) + rest[1:]
}
