package oci

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/gomega"
)

func TestAnImageThatIsTooLargeIsRejected(t *testing.T) {
	g := NewWithT(t)
	g.Expect(CheckSize("operator", &v1.Manifest{Layers: []v1.Descriptor{{Size: 44_000_000}, {Size: 1_000_000}}})).To(Succeed())
	g.Expect(CheckSize("operator", &v1.Manifest{Layers: []v1.Descriptor{{Size: 44_000_000}, {Size: 1_000_001}}})).To(
		MatchError(ContainSubstring("operator has 45.0 MB")))
}
