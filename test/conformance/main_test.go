package main

import (
	"os"
	"testing"

	. "github.com/onsi/gomega"
)

func TestReadingWhatAPersonAskedFor(t *testing.T) {
	g := NewWithT(t)
	wanted, err := readOrder([]string{"--state-dir", "dir", "gateway-api-mesh istio-security", "istio-security-short"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(wanted).To(Equal(order{present: "dir", parts: []string{"gateway-api-mesh", "istio-security", "istio-security-short"}}))
	_, err = readOrder([]string{"istio-ambient"})
	g.Expect(err).To(MatchError(And(ContainSubstring("no part istio-ambient"), ContainSubstring("gateway-api-mesh"))))
	_, err = readOrder([]string{"--baseline", "gateway-api-mesh"})
	g.Expect(err).To(MatchError(ContainSubstring("has no baseline")))
}

func TestAllPartsRunUntilTheyHaveResults(t *testing.T) {
	g := NewWithT(t)
	t.Chdir(t.TempDir())
	g.Expect(missing(false)).To(ContainElements("gateway-api-mesh", "istio-security", "istio-reachability"))
	g.Expect(missing(false)).NotTo(ContainElement("istio-security-short"), "a selection of another part runs by its name alone")
	g.Expect(missing(true)).To(And(ContainElement("istio-security"), Not(ContainElement("gateway-api-mesh"))))
	writeResults(t, resultsFolder("gateway-api-mesh", false))
	g.Expect(missing(false)).To(And(ContainElement("istio-security"), Not(ContainElement("gateway-api-mesh"))))
}

func writeResults(t *testing.T, folder string) {
	t.Helper()
	NewWithT(t).Expect(os.MkdirAll(folder, 0o755)).To(Succeed())
	NewWithT(t).Expect(results{"TestA": pass}.write(folder)).To(Succeed())
}
