package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestNoHookOfTheModuleIsLinkedIn(t *testing.T) {
	output, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(output))
	if len(linked) == 0 {
		t.Fatal("`go list` lists nothing")
	}
	for _, name := range linked {
		if strings.HasPrefix(name, "github.com/deckhouse-mesh/istio/hooks") || strings.HasPrefix(name, "github.com/deckhouse-mesh/istio/modules") {
			t.Errorf("%s is linked in", name)
		}
	}
}
