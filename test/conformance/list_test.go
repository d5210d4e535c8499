package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestEveryPartHasAListThatIsValid(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	for _, p := range parts {
		list, err := readList(p.listFile())
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(p.expected(list)).NotTo(BeEmpty())
	}
}

func TestEveryListBelongsToAPart(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("lists", "*.yaml"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	var lists []string
	for _, p := range parts {
		if p.partOf == "" {
			lists = append(lists, filepath.Join("lists", p.name+".yaml"))
		}
	}
	NewWithT(t).Expect(files).To(ConsistOf(lists))
}

func TestASelectionExpectsWhatTheListSaysOfItsTests(t *testing.T) {
	list := []entry{{Test: "TestA"}, {Test: "TestA/http"}, {Test: "TestAB"}, {Test: "TestB/http"}}
	NewWithT(t).Expect(part{tests: "^TestA$"}.expected(list)).To(Equal(list[:2]))
}

func TestAListIsRejected(t *testing.T) {
	for name, test := range map[string]struct{ list, problem string }{
		"when a test fails that Istio's own chart passes": {
			`tests: [{test: TestA, expect: fail, reason: ours, baseline: pass}]`, "may be expected to fail",
		},
		"when a failure was not compared with Istio's own chart": {
			`tests: [{test: TestA, expect: fail, reason: unknown}]`, "may be expected to fail",
		},
		"when it does not say why a test fails":               {`tests: [{test: TestA, expect: fail, baseline: fail}]`, "give the reason"},
		"when it does not say why a test is not applicable":   {`tests: [{test: TestA, expect: not applicable}]`, "give the reason"},
		"when it does not say why the suite skips tests":      {`tests: [{test: TestA, expect: pass, skipped: 2}]`, "why some are skipped"},
		"when it counts tests that are not applicable":        {`tests: [{test: TestA, expect: not applicable, reason: r, tests: 2}]`, "not counted"},
		"when it expects something else":                      {`tests: [{test: TestA, expect: passes}]`, "none of pass"},
		"when a test is in it twice":                          {`tests: [{test: TestA, expect: pass}, {test: TestA, expect: pass}]`, "twice"},
		"when it has a field that this program does not read": {`tests: [{test: TestA, expect: pass, since: 1.31}]`, "since"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "list.yaml")
			NewWithT(t).Expect(os.WriteFile(file, []byte(test.list), 0o600)).To(Succeed())
			_, err := readList(file)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.problem)))
		})
	}
}
