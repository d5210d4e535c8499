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

// Status tells how long a version has left.
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
	// Version as people write it in the settings: "1.29".
	Version string `json:"version"`
	// Patch completes it: 1 of 1.29.1.
	Patch int `json:"patch"`
	// Module is the version of the Go module istio.io/istio.
	Module string `json:"module"`
	// Kubernetes is the range of releases that Istio's makers support it on.
	Kubernetes KubernetesRange `json:"kubernetes"`
	Status     Status          `json:"status"`
}

// KubernetesRange is a range of minor releases such as "1.31", both ends included.
type KubernetesRange struct {
	Min string `json:"min"`
	Max string `json:"max"`
}

// Full version: "1.29.1".
func (v Version) Full() string { return fmt.Sprintf("%s.%d", v.Version, v.Patch) }

// Revision is the name under which Istio, namespaces and Pods know the version: "v1x29".
func (v Version) Revision() string { return Revision(v.Version) }

// ImageSuffix ends the names of the version's images in camelCase: "V1x29x1" of "pilotV1x29x1".
func (v Version) ImageSuffix() string {
	return "V" + strings.ReplaceAll(v.Full(), ".", "x")
}

// RunsOn tells whether Istio's makers support the version on a release of
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

// Revision is the name of the revision of a version: "1.29" becomes "v1x29".
func Revision(version string) string { return "v" + strings.ReplaceAll(version, ".", "x") }

// All versions, newest first; the first is the default.
func All() []Version { return all }

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

// mustParse panics on a table that a test of this package would refuse.
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
