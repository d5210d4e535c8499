package controlplane

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
)

func TestAProgramThatEndsAtOnceFailsTheStepWithItsLog(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "etcd")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho no space left; exit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	reporter := progress.NewReporter(&out)
	_, err := Start(context.Background(), Options{
		Name: "cluster-a", Dir: filepath.Join(dir, "cluster-a"), Address: netip.MustParseAddr("127.0.0.1"),
		Programs:      Programs{Etcd: broken, APIServer: broken, ControllerManager: broken},
		ServiceSubnet: netip.MustParsePrefix("10.200.0.0/16"), ClusterDomain: "cluster-a.local",
		Group: process.NewGroup(dir), Reporter: reporter,
	})
	if err == nil {
		t.Fatal("a control plane without etcd started")
	}
	reporter.Failure(err)
	for _, want := range []string{"cluster-a: not etcd ready", "exit code 3", "  | no space left"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
	if leftovers, err := process.Leftovers(dir); err != nil || len(leftovers) != 0 {
		t.Errorf("processes %v are left (%v)", leftovers, err)
	}
}

func TestTheAPIServerIsToldHowToReachPods(t *testing.T) {
	for name, test := range map[string]struct {
		selector string
		want     bool
	}{
		"through the proxy when there is one": {"/lab/selector.yaml", true},
		"directly otherwise":                  {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			plane := &Plane{options: Options{EgressSelector: test.selector}}
			args := plane.apiServer().Args
			for _, arg := range []string{"--egress-selector-config-file=" + test.selector, "--enable-aggregator-routing=true"} {
				if slices.Contains(args, arg) != test.want {
					t.Errorf("%s: want %v; the arguments are %v", arg, test.want, args)
				}
			}
		})
	}
}
