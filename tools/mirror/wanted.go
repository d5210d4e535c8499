package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/tools/oci"
)

// upstream is an image of others that the module can ask for.
type upstream struct {
	// name in camelCase, as the module asks for it; folder of images/ that describes it.
	name, folder string
	// reference that its makers publish it by.
	reference string
}

var fromLine = regexp.MustCompile(`(?m)^from: (\S.*)$`)

// wanted are the images of others, from the files by which releases are built.
func wanted(root string) ([]upstream, error) {
	files, err := filepath.Glob(filepath.Join(root, "images", "*", "werf.inc.yaml"))
	if err != nil {
		return nil, err
	}
	var images []upstream
	for _, file := range files {
		folder := filepath.Base(filepath.Dir(file))
		if _, err := os.Stat(filepath.Join(filepath.Dir(file), "cmd")); err == nil {
			continue // our own programs
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		found := fromLine.FindSubmatch(content)
		if found == nil {
			return nil, fmt.Errorf("%s does not say what it is made from", file)
		}
		reference, err := withVersion(string(found[1]), folder)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		images = append(images, upstream{name: oci.CamelCase(folder), folder: folder, reference: reference})
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("no file is %s: is this the project's folder?", filepath.Join(root, "images", "*", "werf.inc.yaml"))
	}
	return images, nil
}

// withVersion puts the full version of Istio into the reference, as werf does.
func withVersion(reference, folder string) (string, error) {
	const variable = "{{ .IstioVersion }}"
	if !strings.Contains(reference, "{{") {
		return reference, nil
	}
	revision := folder[strings.LastIndex(folder, "-")+1:]
	version, known := istioversion.FindRevision(revision)
	filled := strings.ReplaceAll(reference, variable, version.Full())
	if !known || strings.Contains(filled, "{{") {
		return "", fmt.Errorf("cannot tell which image %q is", reference)
	}
	return filled, nil
}
