package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// kubectlProgram is what `make tools` builds with the nodes' programs.
var kubectlProgram = filepath.Join(".cache", "tools", "kube", "kubectl")

// inputGrace is how long a command may go on whose input has ended.
const inputGrace = 2 * time.Second

func (c *cluster) kubectlCommand(ctx context.Context, args []string) *exec.Cmd {
	return exec.CommandContext(ctx, kubectlProgram, append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
}

// kubectl runs a command in the cluster to its end.
func (c *cluster) kubectl(ctx context.Context, input string, args ...string) error {
	command := c.kubectlCommand(ctx, args)
	command.Stdin = strings.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s in %s: %w: %s", strings.Join(args, " "), c.Name, err, strings.TrimSpace(string(output)))
	}
	return nil
}

// running is a kubectl that goes on until it is stopped.
type running struct {
	output *bufio.Scanner
	// stop it and return why it ended, and what it complained of.
	stop func() error
}

// startKubectl starts a command whose input stays open until it is stopped.
func (c *cluster) startKubectl(ctx context.Context, args ...string) (*running, error) {
	what := "kubectl " + strings.Join(args, " ")
	command := c.kubectlCommand(ctx, args)
	var complaints strings.Builder
	command.Stderr = &complaints
	input, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", what, err)
	}
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", what, err)
	}
	stop := sync.OnceValue(func() error {
		_ = input.Close()
		end := time.AfterFunc(inputGrace, func() { _ = command.Process.Signal(syscall.SIGTERM) })
		defer end.Stop()
		return fmt.Errorf("%s in %s has ended: %v: %s", what, c.Name, command.Wait(), strings.TrimSpace(complaints.String())) //nolint:errorlint // nil, mostly
	})
	return &running{output: bufio.NewScanner(output), stop: stop}, nil
}

// forward a port of the program's Pod, and return the address that leads there.
func (p *program) forward(ctx context.Context, port string) (address string, stop func(), err error) {
	forwarding, err := p.cluster.startKubectl(ctx, "-n", p.namespace, "port-forward", "pod/"+p.pod.Name, ":"+port)
	if err != nil {
		return "", nil, err
	}
	// Forwarding from 127.0.0.1:40000 -> 15010
	if !forwarding.output.Scan() {
		return "", nil, forwarding.stop()
	}
	line := forwarding.output.Text()
	fields := strings.Fields(line)
	if len(fields) < 3 || fields[0] != "Forwarding" {
		return "", nil, fmt.Errorf("kubectl says %q instead of where it forwards from: %w", line, forwarding.stop())
	}
	go func() {
		for forwarding.output.Scan() { // a line for each connection
		}
	}()
	return fields[2], func() { _ = forwarding.stop() }, nil
}
