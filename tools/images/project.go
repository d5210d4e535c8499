package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// project is where images come from.
type project struct {
	// root of the project: bin/, .cache/tools/, images/ and the module's folders are below it.
	root string
	// envoy is Envoy's program for all proxies; empty: a stock one of each revision's age.
	envoy string
	// programs is the folder of the project's own programs; empty: bin/ of the project.
	programs string
	// architecture that these are for; empty: this machine's.
	architecture string
	stamp        stamp
}

func (p project) path(parts ...string) string {
	return filepath.Join(append([]string{p.root}, parts...)...)
}

// bin is one of the project's own programs.
func (p project) bin(name string) string {
	if p.programs != "" {
		return filepath.Join(p.programs, name)
	}
	return p.path("bin", name)
}

// tool is a file that `make tools` has left.
func (p project) tool(parts ...string) string {
	return p.path(append([]string{".cache", "tools"}, parts...)...)
}

// envoyOf is Envoy's program for a revision's proxy.
func (p project) envoyOf(revision string) string {
	if p.envoy != "" {
		return p.envoy
	}
	return p.tool("envoy", revision, "envoy")
}

// version returns the version of a Go module that a go.mod below tools/ requires.
func (p project) version(tool, module string) (string, error) {
	file := p.path("tools", tool, "go.mod")
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(module) + ` (v\S+)`).FindSubmatch(raw)
	if found == nil {
		return "", fmt.Errorf("%s does not require %s", file, module)
	}
	return string(found[1]), nil
}

// istioExtension is the name of a filter that Istio's own builds of Envoy have and stock ones lack.
const istioExtension = "istio.alpn"

// hasIstioExtensions is true when Envoy's program is one of Istio's own builds.
func hasIstioExtensions(envoy string) (bool, error) {
	program, err := os.ReadFile(envoy)
	return bytes.Contains(program, []byte(istioExtension)), err
}
