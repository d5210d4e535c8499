package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
)

// controllers that make sense on one node that never fails, without clouds and
// volumes: those that workloads, Services, namespaces and ServiceAccounts need.
var controllers = []string{
	"clusterrole-aggregation-controller",
	"cronjob-controller",
	"daemonset-controller",
	"deployment-controller",
	"disruption-controller",
	"endpointslice-controller",
	"garbage-collector-controller",
	"job-controller",
	"namespace-controller",
	"pod-garbage-collector-controller",
	"replicaset-controller",
	"root-ca-certificate-publisher-controller",
	"serviceaccount-controller",
	"serviceaccount-token-controller",
	"statefulset-controller",
	"ttl-after-finished-controller",
}

func (p *Plane) etcd() process.Command {
	client := fmt.Sprintf("http://%s:%d", p.options.Address, p.ports.etcd)
	return p.command(p.options.Programs.Etcd, etcdName, []string{
		"--name=" + p.options.Name,
		"--data-dir=" + filepath.Join(p.options.Dir, "etcd"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		// A single member speaks to no peer: any free port will do.
		"--listen-peer-urls=http://" + p.options.Address.String() + ":0",
		// Its data is thrown away with the lab: durability would only cost time.
		"--unsafe-no-fsync",
		"--log-level=warn",
	})
}

func (p *Plane) apiServer() process.Command {
	args := []string{
		fmt.Sprintf("--etcd-servers=http://%s:%d", p.options.Address, p.ports.etcd),
		fmt.Sprintf("--secure-port=%d", p.ports.apiServer),
		"--bind-address=" + p.options.Address.String(),
		"--advertise-address=" + p.options.Address.String(),
		// The Endpoints of Service "kubernetes" would hold a loopback address, which validation refuses.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=" + p.options.ServiceSubnet.String(),
		"--client-ca-file=" + p.files.ca,
		"--tls-cert-file=" + p.files.server.certificate,
		"--tls-private-key-file=" + p.files.server.key,
		"--service-account-issuer=https://kubernetes.default.svc." + p.options.ClusterDomain,
		"--service-account-key-file=" + p.files.serviceAccountPublic,
		"--service-account-signing-key-file=" + p.files.serviceAccountPrivate,
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--profiling=false",
	}
	if p.options.EgressSelector != "" {
		args = append(args,
			"--egress-selector-config-file="+p.options.EgressSelector,
			// The API server itself picks a ready Pod of a webhook's Service: there is no kube-proxy behind cluster IPs.
			"--enable-aggregator-routing=true")
	}
	return p.command(p.options.Programs.APIServer, apiServerName, args)
}

func (p *Plane) controllerManager() process.Command {
	return p.command(p.options.Programs.ControllerManager, controllerManagerName, []string{
		"--kubeconfig=" + p.files.controllerManager,
		"--authentication-kubeconfig=" + p.files.controllerManager,
		"--authorization-kubeconfig=" + p.files.controllerManager,
		"--bind-address=" + p.options.Address.String(),
		fmt.Sprintf("--secure-port=%d", p.ports.controllerManager),
		"--tls-cert-file=" + p.files.server.certificate,
		"--tls-private-key-file=" + p.files.server.key,
		"--root-ca-file=" + p.files.ca,
		"--service-account-private-key-file=" + p.files.serviceAccountPrivate,
		"--use-service-account-credentials=true",
		"--controllers=" + strings.Join(controllers, ","),
		"--leader-elect=false",
		"--kube-api-qps=200",
		"--kube-api-burst=400",
		"--profiling=false",
	})
}

func (p *Plane) command(path, name string, args []string) process.Command {
	return process.Command{
		Path: path,
		Args: args,
		Env:  []string{"HOME=" + p.options.Dir, "PATH=" + os.Getenv("PATH")},
		Dir:  p.options.Dir,
		Log:  p.log(name),
	}
}
