package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// revoked is how long trust lasted after either side deleted its IstioFederation.
type revoked struct {
	Sides []revokedSide
	Load  string
}

// revokedSide has for each deletion the time to the first new connection that was
// rejected, and to the moment from which on all were.
type revokedSide struct {
	Side       string
	First, All []time.Duration
}

// measureRevocations deletes the IstioFederation of either side, again and again, while a client of the consumer opens connections.
func measureRevocations(ctx context.Context, clusters []*cluster, tries int) (*revoked, error) {
	if len(clusters) < 2 {
		return nil, errors.New("the lab has one cluster: this needs two, federated ones")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	x := &crossing{consumer: clusters[0], publisher: clusters[1], timeline: newTimeline()}
	x.host = fmt.Sprintf("%s.%s.svc.%s", demoService, demoNamespace, x.publisher.ClusterDomain)
	if err := startDemonstration(ctx, x.consumer, x.publisher, x.host); err != nil {
		return nil, err
	}
	if err := x.publish(ctx, true); err != nil {
		return nil, err
	}
	var err error
	if x.calls, err = startCalls(ctx, x.consumer, "http://"+x.host+"/", x.timeline); err != nil {
		return nil, err
	}
	defer x.calls.stop()
	row := &revoked{}
	for _, side := range []struct {
		name     string
		in, peer *cluster
	}{{"publisher", x.publisher, x.consumer}, {"caller", x.consumer, x.publisher}} {
		measured := revokedSide{Side: side.name}
		for try := range tries {
			first, all, err := x.revoke(ctx, side.in, side.peer.Name)
			if err != nil {
				return nil, fmt.Errorf("deletion %d at the %s: %w", try+1, side.name, err)
			}
			measured.First, measured.All = append(measured.First, first), append(measured.All, all)
			progress("deletion %d of %d at the %s: the first connection is rejected after %s, all after %s", try+1, tries, side.name, short(first), short(all))
		}
		row.Sides = append(row.Sides, measured)
	}
	row.Load, _, _ = strings.Cut(loadAverage(), " ")
	return row, nil
}

// revoke deletes the cluster's IstioFederation of that name, and makes it again.
func (x *crossing) revoke(ctx context.Context, in *cluster, name string) (first, all time.Duration, err error) {
	if _, _, err := x.calls.awaitOutcome(ctx, true, time.Time{}); err != nil {
		return 0, 0, err
	}
	if err := pause(ctx, rand.N(time.Second)); err != nil { //nolint:gosec // nobody gains by guessing it
		return 0, 0, err
	}
	resource, err := in.dynamic.Resource(federations).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return 0, 0, fmt.Errorf("read IstioFederation %s of %s: %w", name, in.Name, err)
	}
	begun := time.Now()
	if err := in.dynamic.Resource(federations).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return 0, 0, fmt.Errorf("delete IstioFederation %s of %s: %w", name, in.Name, err)
	}
	firstAt, allAt, err := x.calls.awaitOutcome(ctx, false, begun)
	again := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": resource.GetAPIVersion(), "kind": resource.GetKind(),
		"metadata": map[string]any{"name": name}, "spec": resource.Object["spec"],
	}}
	// Even when the benchmark was interrupted.
	_, createErr := in.dynamic.Resource(federations).Create(context.Background(), again, metav1.CreateOptions{})
	return firstAt.Sub(begun), allAt.Sub(begun), errors.Join(err, createErr)
}

func (r *revoked) print(out io.Writer) {
	if r == nil {
		return
	}
	fmt.Fprintf(out, "\nRevocation: from the deletion of an IstioFederation, while a client opens a connection every %s; load %s\n", callInterval, r.Load)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "deleted by the\ttimes\tfirst connection rejected: p50\tp99\tall rejected: p50\tp99")
	for _, side := range r.Sides {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", side.Side, len(side.First),
			short(percentile(side.First, 50)), short(percentile(side.First, 99)), short(percentile(side.All, 50)), short(percentile(side.All, 99)))
	}
	_ = table.Flush()
}
