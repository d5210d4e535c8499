package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

func TestTheSuitesAreThoseOfTheIstioThatTheLabRuns(t *testing.T) {
	g := NewWithT(t)
	pins, err := os.ReadFile(filepath.Join("..", "..", "tools", "conformance", "go.mod"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(pins)).To(ContainSubstring("istio.io/istio " + istioversion.Default().Module.Version + "\n"))
}
