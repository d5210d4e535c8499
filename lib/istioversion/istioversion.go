// Package istioversion knows the versions of Istio that the module can
// install. versions.yaml is the only place that lists them.
package istioversion

import (
	_ "embed"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

//go:embed versions.yaml
var table []byte

// Status says whether a version is meant to be used.
type Status string

// What versions.yaml may say of a version.
const (
	// Supported versions are meant to be used.
	Supported Status = "supported"
	// Deprecated versions work, and are dropped by a later release of the module.
	Deprecated Status = "deprecated"
)

// Version is one row of versions.yaml.
type Version struct {
	// Version as people write it in the settings: "1.31".
	Version string `json:"version"`
	// Patch completes it to the release that is run: 3 of 1.31.3.
	Patch int `json:"patch"`
	// Module is where charts, CRDs and the lab's istiod come from.
	Module Module `json:"module"`
	// Kubernetes is the range of releases that Istio's makers support it on.
	Kubernetes KubernetesRange `json:"kubernetes"`
	// Released is when the first release of the minor was published.
	Released Date `json:"released"`
	// EndOfLife is when Istio's makers stop supporting it.
	EndOfLife EndOfLife `json:"endOfLife"`
	Status    Status    `json:"status"`
}

// Module is a version of the Go module istio.io/istio.
type Module struct {
	// Version as in go.mod.
	Version string `json:"version"`
	// Patch that it is of the row's minor; seldom the one that is run.
	Patch int `json:"patch"`
}

// KubernetesRange is a range of minor releases such as "1.31", both ends included.
type KubernetesRange struct {
	Min string `json:"min"`
	Max string `json:"max"`
}

// Full version of the release that is run, unless the images are others (Running): "1.31.3".
func (v Version) Full() string { return v.full(v.Patch) }

// ModuleFull is the full version of the Go module, "1.31.0".
func (v Version) ModuleFull() string { return v.full(v.Module.Patch) }

func (v Version) full(patch int) string { return fmt.Sprintf("%s.%d", v.Version, patch) }

// Revision is the name under which Istio, namespaces and Pods know the version: "v1x31".
func (v Version) Revision() string { return Revision(v.Version) }

// ImageSuffix ends the names of the version's images in camelCase: "V1x31" of "pilotV1x31".
func (v Version) ImageSuffix() string { return "V" + strings.TrimPrefix(v.Revision(), "v") }

// RunsOn is true when Istio supports the version on a release of
// Kubernetes, "1.34" or "1.34.3". An unreadable release is an error.
func (v Version) RunsOn(kubernetes string) (bool, error) {
	release, err := version.ParseGeneric(kubernetes)
	if err != nil {
		return false, fmt.Errorf("read the version of Kubernetes: %w", err)
	}
	minor := version.MajorMinor(release.Major(), release.Minor())
	least, most := version.MustParseGeneric(v.Kubernetes.Min), version.MustParseGeneric(v.Kubernetes.Max)
	return minor.AtLeast(least) && !most.LessThan(minor), nil
}

// Revision is the name of the revision of a version: "1.31" becomes "v1x31".
func Revision(version string) string { return "v" + strings.ReplaceAll(version, ".", "x") }

// All versions, newest first; the first is the default.
func All() []Version { return all }

// ModulesFull are the full versions of all of them that are built from Go modules, the newest first.
func ModulesFull() []string {
	var versions []string
	for _, version := range all {
		versions = append(versions, version.ModuleFull())
	}
	return versions
}

// Default is the version installed when the settings name none.
func Default() Version { return all[0] }

// Find returns the version that people write as name; the error lists those there are.
func Find(name string) (Version, error) {
	for _, v := range all {
		if v.Version == name {
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("there is no Istio %s in this release of the module: choose %s", name, strings.Join(Names(), ", "))
}

// FindRevision returns the version with a revision's name; false when there is none.
func FindRevision(revision string) (Version, bool) {
	for _, v := range all {
		if v.Revision() == revision {
			return v, true
		}
	}
	return Version{}, false
}

// Names of all versions as people write them, newest first.
func Names() []string {
	var names []string
	for _, v := range all {
		names = append(names, v.Version)
	}
	return names
}

var all = mustParse(table)

// mustParse panics on a table that a test of this package would reject.
func mustParse(document []byte) []Version {
	var versions []Version
	if err := yaml.UnmarshalStrict(document, &versions); err != nil {
		panic(fmt.Sprintf("parse versions.yaml: %v", err))
	}
	if len(versions) == 0 {
		panic("versions.yaml lists no version")
	}
	return versions
}
