package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

const errandArgument = "errand"

// errand is what this program is to measure in the fabric of a lab, on its
// standard input. The result goes to its standard output, as JSON, too.
type errand struct {
	Part string
	// Services and Peers of the part import; Services of the part request.
	Services, Peers int
	Plan            plan
	// StateDir of the lab.
	StateDir string
}

func runErrand(ctx context.Context, in io.Reader, out io.Writer) error {
	var todo errand
	if err := json.NewDecoder(in).Decode(&todo); err != nil {
		return fmt.Errorf("read what to measure: %w", err)
	}
	result, err := todo.run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(result)
}

func (e errand) run(ctx context.Context) (any, error) {
	clusters, err := readClusters(e.StateDir)
	if err != nil {
		return nil, err
	}
	switch e.Part {
	case importPart:
		return measureImport(ctx, clusters[0], e.Services, e.Peers, e.Plan.Tries)
	case publishPart:
		return measureExporter(ctx, clusters[0], e.Plan)
	case requestPart:
		return measureRequests(ctx, clusters, e.Services, e.Plan.Requests)
	case callPart:
		return measureCalls(ctx, clusters)
	case revokePart:
		return measureRevocations(ctx, clusters, e.Plan.Tries)
	case hostilePart:
		return measureHostile(ctx, clusters, e.Plan.Tries)
	}
	return nil, fmt.Errorf("nothing of the part %q is measured in a fabric", e.Part)
}
