package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
)

// source is a file or folder inside a Go module, and where a copy belongs.
type source struct {
	module   string // path of the Go module
	pinnedIn string // folder of the go.mod that says which version; empty: the root one
	from     string // path inside the module
	to       string // path inside this project
	skip     string // pattern of file names in a folder that are left out
}

// moduleDirs remembers where modules were unpacked: one call of the go command a module and go.mod.
type moduleDirs map[[2]string]string

// find returns the folder with the unpacked module, in the version that the
// go.mod in pinnedIn requires, downloading it when the module cache lacks it.
func (m moduleDirs) find(pinnedIn, module string) (string, error) {
	if dir, ok := m[[2]string{pinnedIn, module}]; ok {
		return dir, nil
	}
	command := exec.Command("go", "mod", "download", "-json", module)
	command.Dir = pinnedIn
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	runErr := command.Run()

	var download struct{ Dir, Error string }
	if err := json.Unmarshal(stdout.Bytes(), &download); err != nil || download.Dir == "" {
		return "", fmt.Errorf("go mod download %s in %s: %w: %s%s", module, pinnedIn, errors.Join(runErr, err), download.Error, stderr.String())
	}
	m[[2]string{pinnedIn, module}] = download.Dir
	return download.Dir, nil
}
