package guarded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// Namespace of the control plane, where the proxy looks for its peers.
	Namespace = names.Namespace
	// Shop is a namespace with something to read.
	Shop = "shop"
	// UUID of the cluster, the audience of its peer's tokens.
	UUID = "11111111-1111-4111-8111-111111111111"
)

// Cluster is an API server with the CRDs that peers may read of, and its etcd.
type Cluster struct {
	// Admin may do everything.
	Admin  *rest.Config
	Client kubernetes.Interface

	dir         string
	environment *envtest.Environment
}

// StartCluster starts an API server; root is the project's root folder. The
// caller stops it.
func StartCluster(ctx context.Context, root string) (_ *Cluster, err error) {
	dir, err := os.MkdirTemp("", "istio-guarded-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the API server: %w", err)
	}
	c := &Cluster{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	policy := filepath.Join(dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, fmt.Errorf("write the audit policy: %w", err)
	}
	assets := filepath.Join(root, ".cache", "tools", "kube")
	c.environment = &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(root, "crds"), filepath.Join(root, "crds", "istio")},
		ErrorIfCRDPathMissing: true,
		CRDs:                  foreignDefinitions(),
		// On a loaded machine a start takes longer than envtest expects.
		ControlPlaneStartTimeout: 2 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
		CRDInstallOptions:        envtest.CRDInstallOptions{MaxTime: time.Minute},
	}
	c.environment.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(assets, "etcd")}
	c.environment.ControlPlane.APIServer = &envtest.APIServer{Path: filepath.Join(assets, "kube-apiserver")}
	c.environment.ControlPlane.APIServer.Configure().
		Set("audit-policy-file", policy).
		Set("audit-log-path", c.auditLog())
	log.SetLogger(klog.Background()) // else it complains, with a stack, that it has none
	if c.Admin, err = c.environment.Start(); err != nil {
		return nil, fmt.Errorf("start an API server from %s (`make tools` builds it): %w", assets, err)
	}
	c.Admin.QPS = -1
	if c.Client, err = kubernetes.NewForConfig(c.Admin); err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	for _, name := range []string{Namespace, Shop} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := c.Client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
			return nil, fmt.Errorf("create namespace %s: %w", name, err)
		}
	}
	return c, nil
}

// Stop ends the API server and removes what it left.
func (c *Cluster) Stop() error {
	var problem error
	if c.environment != nil {
		if err := c.environment.Stop(); err != nil {
			problem = fmt.Errorf("stop the API server: %w", err)
		}
	}
	return errors.Join(problem, os.RemoveAll(c.dir))
}
