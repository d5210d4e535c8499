package attestation

import (
	"debug/buildinfo"
	"runtime/debug"
	"testing"

	. "github.com/onsi/gomega"
)

func TestModulesAreListedOnceAsTheyWereLinked(t *testing.T) {
	g := NewWithT(t)
	info := &buildinfo.BuildInfo{GoVersion: "go1.26.11", Deps: []*debug.Module{
		{Path: "example.com/a", Version: "v1.0.0"},
		{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork-of-b", Version: "v2.0.0"}},
	}}
	var document spdxDocument
	document.addBuild("metadata-exporter", "v1.2.3", info)
	document.addBuild("metadata-watcher", "v1.2.3", info)
	found := map[string]string{}
	for _, each := range document.Packages {
		g.Expect(found).NotTo(HaveKey(each.Name))
		found[each.Name] = each.VersionInfo
	}
	g.Expect(found).To(Equal(map[string]string{
		"metadata-exporter": "v1.2.3", "metadata-watcher": "v1.2.3", "stdlib": "1.26.11", "example.com/a": "v1.0.0", "example.com/fork-of-b": "v2.0.0",
	}))
	g.Expect(document.Relationships).To(HaveLen(2+2*3), "each program contains all of them")
}
