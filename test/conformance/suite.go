package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// partLimit is how long a part may take, its lab included.
	partLimit = 40 * time.Minute
	// suiteLimit leaves time to start a lab and to end it.
	suiteLimit = 36 * time.Minute
	// outputFile has all that the suite prints.
	outputFile = "output.log"
)

// measure runs the part on its lab, and leaves what it finds in the part's folder.
func measure(ctx context.Context, p part, wanted order) (found results, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, partLimit, fmt.Errorf("not within %s", partLimit))
	defer cancel()
	folder := resultsFolder(p.name, wanted.baseline)
	if err := os.RemoveAll(folder); err != nil {
		return nil, fmt.Errorf("remove the former results: %w", err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("make a folder for the results: %w", err)
	}
	// Every part applies the CRDs of Gateway API, which come with its suite.
	if err := buildSuites(ctx, p.suite, gatewayAPIMesh.suite); err != nil {
		return nil, err
	}
	opened, err := openLab(ctx, p, wanted)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Stop(err != nil && ctx.Err() == nil)) }()
	if !wanted.baseline {
		if err := prepare(ctx, p, opened, folder); err != nil {
			return nil, err
		}
	}
	output := filepath.Join(folder, outputFile)
	progress("part %s: running the suite; its output is in %s", p.name, output)
	if err := runSuite(ctx, p, opened, wanted.baseline, output); err != nil {
		return nil, err
	}
	if found, err = parseFile(output); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("the suite ran no test: see the end of %s", output)
	}
	return found, found.write(folder)
}

// prepare the lab's clusters for the suite, and describe them in the folder.
func prepare(ctx context.Context, p part, on *runningLab, folder string) error {
	if len(on.clusters) > 1 {
		if err := on.writeTopology(ctx, folder); err != nil {
			return err
		}
	}
	for _, manifests := range p.manifests {
		if err := on.kubectl(ctx, "apply", "--server-side", "-f", manifests); err != nil {
			return err
		}
	}
	if !p.withoutOperator {
		return nil
	}
	const namespace, operator = "--namespace=d8-system", "istio-operator"
	if err := on.kubectl(ctx, "scale", namespace, "deployment/"+operator, "--replicas=0"); err != nil {
		return err
	}
	return on.kubectl(ctx, "wait", namespace, "pod", "--selector=app="+operator, "--for=delete", "--timeout=2m")
}

// buildSuites unless they were built already.
func buildSuites(ctx context.Context, names ...string) error {
	link, err := filepath.Abs(filepath.Join(".cache", "tools", "conformance"))
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, filepath.Join("tools", "conformance", "build.sh"), append([]string{link}, names...)...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("build %s: %w", strings.Join(names, " and "), err)
	}
	return nil
}

// runSuite to its end in the lab's fabric. That tests failed is no error.
func runSuite(ctx context.Context, p part, on *runningLab, baseline bool, output string) error {
	file, err := os.Create(output)
	if err != nil {
		return fmt.Errorf("write the suite's output: %w", err)
	}
	defer func() { _ = file.Close() }()
	folder, err := filepath.Abs(filepath.Join(".cache", "tools", "conformance", p.suite))
	if err != nil {
		return err
	}
	results, err := filepath.Abs(filepath.Dir(output))
	if err != nil {
		return err
	}
	args := append([]string{filepath.Join(folder, "suite.test"),
		"-test.v=test2json", "-test.timeout=" + suiteLimit.String(), "-test.run=" + p.tests, "-test.skip=" + p.skip}, p.flags(on, results, baseline)...)
	command := on.Exec(ctx, args...)
	command.Stdout, command.Stderr = file, file
	command.Env = append(os.Environ(), "KUBECONFIG="+on.kubeconfig(on.clusters[0]))
	command.Dir = sourceOf(folder)
	err = command.Run()
	var exited *exec.ExitError
	if ctx.Err() != nil {
		return fmt.Errorf("run the suite: %w", context.Cause(ctx))
	}
	if err != nil && !errors.As(err, &exited) {
		return fmt.Errorf("run the suite %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// sourceOf is the folder in which the suite is to run: that of its source where it reads files, else its own.
func sourceOf(folder string) string {
	source := filepath.Join(folder, "source")
	if _, err := os.Stat(source); err != nil {
		return folder
	}
	return source
}

func parseFile(output string) (results, error) {
	file, err := os.Open(output)
	if err != nil {
		return nil, fmt.Errorf("read the suite's output: %w", err)
	}
	defer func() { _ = file.Close() }()
	return parse(file)
}
