package istioversion

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// Running returns the full version of v that is run: the one of images (full
// versions) that is of v's minor, else the table's. images are those that the
// images in use contain when they were not built from the table's patches.
func Running(v Version, images []string) string {
	for _, full := range images {
		if minor(full) == v.Version {
			return full
		}
	}
	return v.Full()
}

// CheckImages returns what is wrong with a list for Running.
func CheckImages(images []string) error {
	seen := map[string]bool{}
	for _, full := range images {
		parsed, err := version.ParseSemantic(full)
		if err != nil || parsed.String() != full {
			return fmt.Errorf("%q is no full version of Istio such as %s", full, Default().Full())
		}
		if _, err := Find(minor(full)); err != nil {
			return fmt.Errorf("%s: %w", full, err)
		}
		if seen[minor(full)] {
			return fmt.Errorf("%s: there is another version of the same minor", full)
		}
		seen[minor(full)] = true
	}
	return nil
}

// minor of a full version: "1.31" of "1.31.3".
func minor(full string) string {
	if end := strings.LastIndex(full, "."); end >= 0 {
		return full[:end]
	}
	return full
}

// deadlocks are the releases whose istiod does not survive that the Secret with
// a remote cluster's kubeconfig is replaced, by minor: before first and from
// mended on it does.
//
//   - 1.29: it stops reading remote clusters for good (istio/istio#59875).
//   - 1.30: the new cluster never syncs (#60612), or endpoints that did not
//     change are lost (#61043).
var deadlocks = []struct{ first, mended string }{
	{"1.29.0", "1.29.3"},
	{"1.30.0", "1.30.4"},
}

// NeedsRestartOnReplacedKubeconfig is true when an istiod of that full version
// must be restarted when the kubeconfig of a remote cluster is replaced. It is
// an error when full is no version.
func NeedsRestartOnReplacedKubeconfig(full string) (bool, error) {
	release, err := version.ParseSemantic(full)
	if err != nil {
		return false, fmt.Errorf("read the version of Istio that is run: %w", err)
	}
	for _, affected := range deadlocks {
		if release.AtLeast(version.MustParseSemantic(affected.first)) && release.LessThan(version.MustParseSemantic(affected.mended)) {
			return true, nil
		}
	}
	return false, nil
}
