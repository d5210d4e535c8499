// Package istiod is what the lab knows of istiod: how to run it beside others
// on one machine, and stable addresses at which tests and people reach it.
package istiod

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kubelet"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

const (
	// containerName, appLabel and RevisionLabel tell istiod's container from others.
	containerName = "discovery"
	appLabel      = "app"
	appName       = "istiod"
	// RevisionLabel of a Pod of istiod is its revision.
	RevisionLabel = "istio.io/rev"
	// Prefix of the names of a revision's process, Deployment and Service.
	Prefix = "istiod-"
	// Selector finds the Pods and Deployments of istiod of every revision.
	Selector = appLabel + "=" + appName
)

// Ports that istiod listens on, as in Istio's own chart.
const (
	debugPort      = 8080
	plainPort      = 15010
	tlsPort        = 15012
	monitoringPort = 15014
	webhookPort    = 15017
)

// Is tells whether the container is istiod.
func Is(pod *corev1.Pod, container *corev1.Container) bool {
	return container.Name == containerName && pod.Labels[appLabel] == appName
}

// Program runs istiod of the Pod's revision; file says where the program of a
// revision is.
func Program(pod *corev1.Pod, file func(revision string) string) (kubelet.Program, error) {
	revision := pod.Labels[RevisionLabel]
	if _, ok := istioversion.FindRevision(revision); !ok {
		return kubelet.Program{}, fmt.Errorf("the label %s of the Pod is %q, which is no revision of the module's", RevisionLabel, revision)
	}
	path := file(revision)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return kubelet.Program{}, fmt.Errorf("istiod of revision %s has not been built: run `make tools`", revision)
	}
	return kubelet.Program{Path: path, Process: Prefix + revision, Args: ownAddresses}, nil
}

// ownAddresses are the flags by which istiod keeps to its Pod. In a cluster the
// Pod has a network of its own, and istiod listens on every address of it; here
// all addresses are those of the machine. Behind the flags of the Deployment
// they win. That, the access to the API (in a cluster from the environment and
// a path that only a container has) and how long it waits for clients at its
// end are all that differs from a Pod.
func ownAddresses(place kubelet.Place) []string {
	at := func(port uint16) string { return netip.AddrPortFrom(place.Address, port).String() }
	return []string{
		"--httpAddr=" + at(debugPort),
		"--grpcAddr=" + at(plainPort),
		"--secureGRPCAddr=" + at(tlsPort),
		"--httpsAddr=" + at(webhookPort),
		"--monitoringAddr=" + at(monitoringPort),
		"--ctrlz_address=" + place.Address.String(),
		"--kubeconfig=" + place.Kubeconfig,
		"--shutdownDuration=1s",
	}
}

// revisionOf the Service of an istiod; the error says that it is another Service.
func revisionOf(service string) (string, error) {
	revision, ok := strings.CutPrefix(service, Prefix)
	if _, known := istioversion.FindRevision(revision); !ok || !known {
		return "", errors.New("it is no Service of istiod")
	}
	return revision, nil
}
