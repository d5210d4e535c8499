package main

import (
	"bytes"
	"os/exec"
	"testing"
)

// TestTheProgramHasNoClientsItDoesNotUse holds the program to the clients it
// needs: client-go's packages for every kind of Kubernetes cost 8 MiB of
// resident memory by being linked.
func TestTheProgramHasNoClientsItDoesNotUse(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("list what the program imports: %v", err)
	}
	listed := 0
	for line := range bytes.Lines(output) {
		listed++
		switch name := string(bytes.TrimSpace(line)); name {
		case "k8s.io/client-go/kubernetes", "k8s.io/client-go/kubernetes/scheme", "k8s.io/client-go/informers", "k8s.io/client-go/dynamic/dynamicinformer", "k8s.io/client-go/gentype":
			t.Errorf("%s is linked", name)
		}
	}
	if listed < 100 {
		t.Errorf("only %d packages are listed:\n%s", listed, output)
	}
}
