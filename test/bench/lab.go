package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long the program in the fabric may take to end.
const stopGrace = 20 * time.Second

// recipe of a lab.
type recipe struct {
	clusters int
	flags    []string
	// present is the state dir of a lab that runs, to use instead of a new one.
	present string
}

var (
	// alone: one cluster that nothing was ever done with. This program reaches its Pods by their addresses.
	alone = recipe{clusters: 1, flags: []string{"--network", "flat"}}
	// federated: two sovereign clusters.
	federated = recipe{clusters: 2}
)

// inLab has this program run an errand in the fabric of a lab, and reads its result.
func inLab(ctx context.Context, wanted recipe, todo errand, result any) error {
	dir, stop, err := openLab(ctx, wanted, todo.Plan.Bundle)
	if err != nil {
		return err
	}
	todo.StateDir = dir
	err = send(ctx, todo, result)
	return errors.Join(err, stop(err != nil && ctx.Err() == nil))
}

// openLab starts a lab, unless the recipe names one. What it returns stops what was started here.
func openLab(ctx context.Context, wanted recipe, bundle bool) (dir string, stop func(failed bool) error, err error) {
	if wanted.present != "" {
		dir, err = filepath.Abs(wanted.present)
		return dir, func(bool) error { return nil }, err
	}
	if dir, err = os.MkdirTemp("", "istio-bench-"); err != nil {
		return "", nil, fmt.Errorf("make a folder for the lab: %w", err)
	}
	progress("starting a lab of %d clusters in %s", wanted.clusters, dir)
	args := []string{"up", "--clusters", strconv.Itoa(wanted.clusters), "--nodes", "1", "--state-dir", dir, "--detach"}
	if bundle {
		args = append(args, "--bundle")
	}
	if _, err := lab(ctx, append(args, wanted.flags...)...); err != nil {
		return "", nil, errors.Join(err, stopLab(dir, false))
	}
	return dir, func(failed bool) error { return stopLab(dir, failed) }, nil
}

// stopLab and remove its folder, unless that is to explain a failure.
func stopLab(dir string, failed bool) error {
	// Even when the benchmark was interrupted.
	ctx := context.Background()
	if failed {
		folder, err := lab(ctx, "collect", "--state-dir", dir)
		if err != nil {
			folder = err.Error()
		}
		progress("what may explain the failure: %s", folder)
	}
	if _, err := lab(ctx, "down", "--state-dir", dir); err != nil || failed {
		return err
	}
	return os.RemoveAll(dir)
}

func labProgram() string { return filepath.Join("bin", "lab") }

// lab runs bin/lab and returns what it reports.
func lab(ctx context.Context, args ...string) (string, error) {
	output, err := exec.CommandContext(ctx, labProgram(), args...).CombinedOutput()
	text := strings.TrimSpace(string(output))
	if err != nil {
		return text, fmt.Errorf("bin/lab %s: %w (was it built? `make images`): %s", args[0], err, text)
	}
	return text, nil
}

// send this program on an errand in the fabric of the lab.
func send(ctx context.Context, todo errand, result any) error {
	order, err := json.Marshal(todo)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	command := exec.CommandContext(ctx, labProgram(), "exec", "--state-dir", todo.StateDir, "--", self, errandArgument)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopGrace
	command.Stdin, command.Stderr = bytes.NewReader(order), os.Stderr
	output, err := command.Output()
	if err != nil {
		return fmt.Errorf("the part %s in the fabric of the lab in %s: %w", todo.Part, todo.StateDir, err)
	}
	if err := json.Unmarshal(output, result); err != nil {
		return fmt.Errorf("read the result of the part %s: %w", todo.Part, err)
	}
	return nil
}
