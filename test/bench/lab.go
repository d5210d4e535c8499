package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/deckhouse-mesh/istio/test/support/labtest"
)

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
	// reachable: two sovereign clusters whose Pods this program reaches.
	reachable = recipe{clusters: 2, flags: []string{"--network", "flat"}}
)

// inLab has this program run an errand in the fabric of a lab, and reads its result.
func inLab(ctx context.Context, wanted recipe, todo errand, result any) error {
	lab, err := openLab(ctx, wanted, todo.Plan.Bundle)
	if err != nil {
		return err
	}
	todo.StateDir = lab.StateDir
	err = send(ctx, lab, todo, result)
	return errors.Join(err, lab.Stop(err != nil && ctx.Err() == nil))
}

// openLab starts a lab, unless the recipe names one.
func openLab(ctx context.Context, wanted recipe, bundle bool) (*labtest.Lab, error) {
	if wanted.present != "" {
		return labtest.Use(wanted.present, labtest.Recipe{})
	}
	progress("starting a lab of %d clusters", wanted.clusters)
	flags := wanted.flags
	if bundle {
		flags = append(slices.Clone(flags), "--bundle")
	}
	return labtest.Start(ctx, "istio-bench-", labtest.Recipe{Clusters: wanted.clusters, Flags: flags})
}

// send this program on an errand in the fabric of the lab.
func send(ctx context.Context, lab *labtest.Lab, todo errand, result any) error {
	order, err := json.Marshal(todo)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	command := lab.Exec(ctx, self, errandArgument)
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
