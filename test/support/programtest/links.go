package programtest

import (
	"bytes"
	"os/exec"
	"slices"
	"testing"
)

// ManyClients are client-go's packages for every kind of Kubernetes: they cost 8 MiB
// of resident memory by being linked.
func ManyClients() []string {
	return []string{
		"k8s.io/client-go/kubernetes", "k8s.io/client-go/kubernetes/scheme", "k8s.io/client-go/informers",
		"k8s.io/client-go/dynamic/dynamicinformer", "k8s.io/client-go/gentype",
	}
}

// LinksNone checks that none of these packages is linked into the program of the test's folder.
func LinksNone(t *testing.T, packages ...string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("list what the program imports: %v", err)
	}
	listed := 0
	for line := range bytes.Lines(output) {
		listed++
		if name := string(bytes.TrimSpace(line)); slices.Contains(packages, name) {
			t.Errorf("%s is linked", name)
		}
	}
	if listed < 100 {
		t.Errorf("only %d packages are listed:\n%s", listed, output)
	}
}
