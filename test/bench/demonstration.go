package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"golang.org/x/sync/errgroup"
)

// The demonstration's Service, in the one cluster, and its client in the other.
const (
	demoNamespace = "demo"
	demoService   = "web"
	demoPort      = 80
	// rolloutTimeout of a Deployment, for kubectl.
	rolloutTimeout = "--timeout=5m"
)

// demoManifests are the demonstration's own, so that what it shows is what is measured.
var demoManifests = filepath.Join("cmd", "lab", "internal", "demo", "manifests")

// startDemonstration runs the Pods of the demonstration, and waits until they are ready.
func startDemonstration(ctx context.Context, consumer, publisher *cluster, host string) error {
	progress("starting the demonstration's Pods")
	group, ctx := errgroup.WithContext(ctx)
	for name, in := range map[string]*cluster{"client": consumer, "web": publisher} {
		group.Go(func() error {
			manifest, err := renderDemonstration(demoManifests, name, in.Name, host)
			if err != nil {
				return err
			}
			if err := in.kubectl(ctx, manifest, "apply", "-f", "-"); err != nil {
				return err
			}
			return in.kubectl(ctx, "", "-n", demoNamespace, "rollout", "status", "deployment/"+name, rolloutTimeout)
		})
	}
	return group.Wait()
}

// renderDemonstration is the manifest of that name in the folder, for a cluster that calls, or is called as, the host.
func renderDemonstration(folder, name, cluster, host string) (string, error) {
	text, err := os.ReadFile(filepath.Join(folder, name+".yaml"))
	if err != nil {
		return "", fmt.Errorf("read the demonstration's manifests: %w", err)
	}
	parsed, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return "", fmt.Errorf("read the demonstration's manifest %s: %w", name, err)
	}
	var rendered bytes.Buffer
	if err := parsed.Execute(&rendered, map[string]string{"Name": cluster, "Host": host}); err != nil {
		return "", fmt.Errorf("render the demonstration's manifest %s: %w", name, err)
	}
	return rendered.String(), nil
}
