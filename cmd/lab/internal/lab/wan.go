package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/loopback"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/serviceproxy"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/wan"
)

// cutInterval is how often the lab looks whether somebody wants a link cut.
const cutInterval = 100 * time.Millisecond

// startWAN opens what the other clusters reach this one by, and what its
// programs reach the others by when those have names.
func (c *cluster) startWAN() error {
	front, err := c.listenFront(frontHost)
	if err != nil {
		return err
	}
	api, err := c.listenFront(apiFrontHost)
	if err != nil {
		return err
	}
	c.front, c.apiFront = front, newAPIFront(api)
	c.inBackground(c.followCut)
	if !c.isCalledByName() {
		return nil
	}
	c.names.Set(c.plan.publicHost(), front.Address())
	// By name, the ingress controller tells what is for the API proxy.
	c.names.Set(c.plan.apiHost(), front.Address())
	if c.wan, err = wan.Listen(netip.AddrPortFrom(c.block.Address(wanHost), 0), c.names, c.link); err != nil {
		return err
	}
	c.inBackground(c.wan.Serve)
	return nil
}

// isCalledByName tells whether the clusters call each other by their public
// names: one mesh needs them, since neighbours are told the API proxy's name.
func (c *cluster) isCalledByName() bool { return c.mode != Federation }

// abroad is what programs of the cluster need in their environment to reach the others.
func (c *cluster) abroad() []string {
	if c.wan == nil {
		return nil
	}
	return c.wan.Environment()
}

func (c *cluster) listenFront(host byte) (*serviceproxy.Front, error) {
	address := c.block.Address(host)
	port, err := loopback.Port(address, frontPort)
	if err != nil {
		return nil, err
	}
	return serviceproxy.ListenBehind(c.link, netip.AddrPortFrom(address, uint16(port)))
}

// fronts are the addresses at which the cluster is reached.
func (c *cluster) fronts() []netip.Addr {
	return []netip.Addr{c.block.Address(frontHost), c.block.Address(apiFrontHost)}
}

// metadataAddress is what anybody can call: an address in the place of the
// public name, for there is no DNS that would know the name.
func (c *cluster) metadataAddress() string {
	return "https://" + c.front.Address().String() + metadataPath
}

// metadataEndpoint is what the other clusters call.
func (c *cluster) metadataEndpoint() string {
	if c.isCalledByName() {
		return "https://" + c.plan.publicHost() + metadataPath
	}
	return c.metadataAddress()
}

// apiAddress is what anybody can call in the place of the API proxy's public
// name; empty when there is none.
func (c *cluster) apiAddress() string {
	if !c.isOn(Multicluster) {
		return ""
	}
	return "https://" + c.apiFront.Address().String()
}

// followCut keeps the link as the file that asks to cut it says.
func (c *cluster) followCut(ctx context.Context) error {
	ticker := time.NewTicker(cutInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		_, err := os.Stat(filepath.Join(c.dir, cutName))
		if wanted := err == nil; wanted == c.link.IsCut() {
			continue
		} else if wanted {
			c.link.Cut()
		} else {
			c.link.Restore()
		}
		c.changed()
	}
}

// cutName is the file in a cluster's folder that asks to cut its link.
const cutName = "network-cut"

// cutTimeout bounds the wait until the lab has done what it is asked.
const cutTimeout = 10 * time.Second

// SetCut cuts a cluster of the lab in dir off from the others, or ends that, and
// returns when it is so.
func SetCut(ctx context.Context, dir, cluster string, cut bool) error {
	described, err := state.Read(dir)
	if err != nil {
		return err
	}
	if _, found := findCluster(described, cluster); !found {
		return fmt.Errorf("the lab in %s has no cluster %q", dir, cluster)
	}
	file := filepath.Join(dir, cluster, cutName)
	if cut {
		err = os.WriteFile(file, nil, 0o644)
	} else if err = os.Remove(file); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("ask the lab for the network of %s: %w", cluster, err)
	}
	return poll(ctx, cutTimeout, func(context.Context) (bool, string, error) {
		described, err := state.Read(dir)
		if err != nil {
			return false, "", err
		}
		found, _ := findCluster(described, cluster)
		return found.NetworkCut == cut, "the lab has not done it: does it run?", nil
	})
}

func findCluster(described *state.Lab, name string) (state.Cluster, bool) {
	index := slices.IndexFunc(described.Clusters, func(c state.Cluster) bool { return c.Name == name })
	if index < 0 {
		return state.Cluster{}, false
	}
	return described.Clusters[index], true
}
