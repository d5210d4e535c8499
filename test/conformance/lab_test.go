package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/test/support/labtest"
)

func TestAPartGetsAsManyClustersOfALabAsItWants(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	described := `{"clusters":[{"name":"cluster-a"},{"name":"cluster-b"}]}`
	g.Expect(os.WriteFile(filepath.Join(dir, "lab.json"), []byte(described), 0o600)).To(Succeed())

	one, err := describeLab(&labtest.Lab{StateDir: dir}, part{clusters: 1})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(one.clusters).To(Equal([]string{"cluster-a"}))
	_, err = describeLab(&labtest.Lab{StateDir: dir}, part{name: "istio-multicluster", clusters: 3})
	g.Expect(err).To(MatchError(And(ContainSubstring("has 2 clusters"), ContainSubstring("istio-multicluster needs 3"))))
}

func TestTheSuiteGetsSeveralClustersByTheModulesNames(t *testing.T) {
	g := NewWithT(t)
	one := &runningLab{Lab: &labtest.Lab{StateDir: "lab"}, clusters: []string{"cluster-a"}}
	several := &runningLab{Lab: &labtest.Lab{StateDir: "lab"}, clusters: []string{"cluster-a", "cluster-b"}}
	g.Expect(one.clusterFlag("results", false)).To(Equal("--istio.test.kube.config=lab/cluster-a/kubeconfig"))
	g.Expect(several.clusterFlag("results", false)).To(Equal("--istio.test.kube.topology=results/topology.json"))
	g.Expect(several.clusterFlag("results", true)).To(
		Equal("--istio.test.kube.config=lab/cluster-a/kubeconfig,lab/cluster-b/kubeconfig"), "the suite names the clusters that it installs")
}
