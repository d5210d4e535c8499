package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/version"
)

// minor is a line of releases: 1.31.
type minor struct{ major, number int }

func (m minor) String() string { return fmt.Sprintf("%d.%d", m.major, m.number) }

// compare is for sorting, oldest first, by number: 1.10 comes after 1.9.
func (m minor) compare(other minor) int {
	return cmp.Or(cmp.Compare(m.major, other.major), cmp.Compare(m.number, other.number))
}

func newestFirst(a, b minor) int { return b.compare(a) }

// release is one version that Istio's makers published: 1.31.3.
type release struct {
	minor
	patch int
}

func (r release) String() string { return fmt.Sprintf("%s.%d", r.minor, r.patch) }

// parseRelease reads a tag or a version; false when it is none or a pre-release. Istio's
// tags are bare versions. Nobody is to run a pre-release, such as 1.32.0-rc.1.
func parseRelease(tag string) (release, bool) {
	parsed, err := version.ParseSemantic(tag)
	if err != nil {
		return release{}, false
	}
	read := release{minor{int(parsed.Major()), int(parsed.Minor())}, int(parsed.Patch())}
	return read, read.String() == tag
}

// releases holds the releases of each minor, oldest first.
type releases map[minor][]release

// releasesOf sorts tags by minor and leaves out those that are no releases.
func releasesOf(tags []string) releases {
	out := releases{}
	for _, tag := range tags {
		if r, ok := parseRelease(tag); ok {
			out[r.minor] = append(out[r.minor], r)
		}
	}
	for _, line := range out {
		slices.SortFunc(line, func(a, b release) int { return a.patch - b.patch })
	}
	return out
}

// newest release of a minor; false when there is none.
func (r releases) newest(m minor) (release, bool) {
	line := r[m]
	if len(line) == 0 {
		return release{}, false
	}
	return line[len(line)-1], true
}

// after lists the releases of the same minor that are newer than this one, oldest first.
func (r releases) after(ours release) []release {
	return slices.DeleteFunc(slices.Clone(r[ours.minor]), func(r release) bool { return r.patch <= ours.patch })
}

// minorsNewerThan lists the minors that are newer than this one, newest first.
func (r releases) minorsNewerThan(m minor) []minor {
	var out []minor
	for candidate := range maps.Keys(r) {
		if candidate.compare(m) > 0 {
			out = append(out, candidate)
		}
	}
	slices.SortFunc(out, newestFirst)
	return out
}
