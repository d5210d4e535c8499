//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/lib/await"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

// TestTheModuleIsInstalledAndRemovedAsThePageSays follows docs/INSTALL.md in clusters
// that have never seen the module: its commands are run and its YAML is applied
// as they stand there, but for names of clusters.
func TestTheModuleIsInstalledAndRemovedAsThePageSays(t *testing.T) {
	begun := time.Now()
	by := newInstallation(t)
	t.Run("installed", func(t *testing.T) {
		by.install(t)
		t.Logf("the mesh runs after %s", time.Since(begun).Round(time.Second))
	})
	t.Run("federated", func(t *testing.T) {
		by.federate(t)
		crossing := newCrossing(t)
		crossing.publish(t)
		t.Logf("a request is answered after %s", time.Since(begun).Round(time.Second))
	})
	// `make soak` has it go on for minutes.
	t.Run("GitOps", func(t *testing.T) { by.remainsWhenAppliedAgain(t, 5, 0) })
	t.Run("upgraded and rolled back", func(t *testing.T) {
		onEach(t, func(c *cluster) error { return c.shell("", by.page.commands("Upgrade and rollback", 0), "") })
		awaitPeers(t)
	})
	t.Run("removed", func(t *testing.T) {
		onEach(t, func(c *cluster) error {
			if err := c.shell("", by.page.commands("Uninstall", 0), ""); err != nil {
				return err
			}
			if _, err := c.typed.CoreV1().Secrets("d8-system").Get(t.Context(), "istio-ca", metav1.GetOptions{}); err != nil {
				return fmt.Errorf("the mesh's identity is to stay until a person deletes it: %w", err)
			}
			return c.shell("", by.page.commands("Uninstall", 1), "")
		})
		for _, c := range suite.clusters {
			c.awaitNothingLeft(t)
		}
	})
}

// installation of the module as the documentation says.
type installation struct {
	page page
	// peer is the README's IstioFederation.
	peer string
	// authority has issued what the clusters show the world.
	authority certtest.Authority
}

func newInstallation(t *testing.T) installation {
	t.Helper()
	return installation{
		page: readPage(t, "docs/INSTALL.md"), peer: readPage(t, "README.md").yaml("Use it", "IstioFederation"),
		authority: certtest.NewRoot("public", time.Now()),
	}
}

// install the operator and the mesh in all clusters, and wait until they work.
func (i installation) install(t *testing.T) {
	t.Helper()
	onEach(t, func(c *cluster) error {
		folder := t.TempDir()
		if err := certtest.WritePair(folder, i.authority.Server(time.Now(), "*."+c.publicDomain())); err != nil {
			return err
		}
		for _, part := range []string{i.page.commands("1. The chart", 0), i.page.commands("2. The mesh", 0)} {
			if err := c.shell(folder, part, ""); err != nil {
				return err
			}
		}
		if err := c.shell(folder, "kubectl apply --filename -", i.settings(c)); err != nil {
			return err
		}
		return c.adaptToStockEnvoy()
	})
	for _, c := range suite.clusters {
		eventually(t, 5*time.Minute, "the first istiod of "+c.name+" is ready", func() string { return c.installed(defaultIstio()) })
		c.awaitMesh(t, defaultIstio())
	}
}

// federate names each of the two clusters to the other.
func (i installation) federate(t *testing.T) {
	t.Helper()
	for of, peer := range pairs() {
		if err := of.shell("", "kubectl apply --filename -", asPeer(t, i.peer, peer, i.authority)); err != nil {
			t.Fatal(err)
		}
	}
	for of, peer := range pairs() {
		of.awaitReady(t, peer.name, 3*time.Minute) // two rounds of the schedule
	}
}

// pairs are each of the two clusters with its peer.
func pairs() map[*cluster]*cluster {
	return map[*cluster]*cluster{suite.a: suite.b, suite.b: suite.a}
}

// settings are the page's ModuleConfigs for the cluster.
func (i installation) settings(of *cluster) string {
	return strings.ReplaceAll(i.page.yaml("2. The mesh"), "cluster-a.example.com", of.publicDomain())
}

// remainsWhenAppliedAgain has another field manager apply what a repository holds
// in both clusters, again and again with a pause between, as GitOps does.
func (i installation) remainsWhenAppliedAgain(t *testing.T, times int, pause time.Duration) {
	t.Helper()
	held, before := map[*cluster]string{}, map[*cluster]map[string]int64{}
	for of, peer := range pairs() {
		held[of], before[of] = i.settings(of)+"---\n"+asPeer(t, i.peer, peer, i.authority), of.generations(t)
	}
	const apply = "kubectl apply --server-side --force-conflicts --field-manager=gitops --filename "
	for range times {
		onEach(t, func(c *cluster) error {
			return errors.Join(c.shell("", apply+".cache/chart/install.yaml", ""), c.shell("", apply+"-", held[c]))
		})
		<-time.After(pause) // as a reconciliation's interval is
	}
	awaitPeers(t)
	for of := range held {
		for object, generation := range of.generations(t) {
			if before[of][object] != generation {
				t.Errorf("%s of %s had generation %d and has %d", object, of.name, before[of][object], generation)
			}
		}
	}
}

// generations of what GitOps and the operator both know.
func (c *cluster) generations(t *testing.T) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	add := func(list *unstructured.UnstructuredList, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range list.Items {
			found[object.GetKind()+" "+object.GetName()] = object.GetGeneration()
		}
	}
	add(c.dynamic.Resource(moduleConfigs).List(t.Context(), metav1.ListOptions{}))
	add(c.dynamic.Resource(federations).List(t.Context(), metav1.ListOptions{}))
	add(c.dynamic.Resource(deployments).Namespace("d8-system").List(t.Context(), metav1.ListOptions{}))
	add(c.dynamic.Resource(deployments).Namespace(moduleNamespace).List(t.Context(), metav1.ListOptions{}))
	return found
}

// onEach runs it in all clusters at the same time.
func onEach(t *testing.T, run func(c *cluster) error) {
	t.Helper()
	var group errgroup.Group
	for _, c := range suite.clusters {
		group.Go(func() error {
			if err := run(c); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// publicDomain is below which the lab's DNS leads all names to the cluster's ingress controller.
func (c *cluster) publicDomain() string { return c.name + ".lab" }

// shell runs commands as a person does, in the folder that is named or in the repository.
// What the repository has is found from everywhere.
func (c *cluster) shell(folder, commands, input string) error {
	repository, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	if folder == "" {
		folder = repository
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", strings.ReplaceAll(commands, " .cache/", " "+repository+"/.cache/"))
	command.Dir = folder
	tools := filepath.Join(repository, ".cache", "tools")
	command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(c.stateDir, c.name, "kubeconfig"),
		"PATH="+filepath.Join(tools, "kube")+":"+filepath.Join(tools, "helm")+":"+os.Getenv("PATH"))
	command.Stdin = strings.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w of:\n%s\n%s", err, commands, output)
	}
	return nil
}

// adaptToStockEnvoy does what `lab up` does for its proxies, once the module's namespace and Istio's CRDs exist.
func (c *cluster) adaptToStockEnvoy() error {
	return await.Until(context.Background(), restarted, func(context.Context) (bool, string, error) {
		if err := c.shell("", "kubectl apply --filename cmd/lab/internal/install/stockenvoy.yaml", ""); err != nil {
			return await.NotYet(err)
		}
		return true, "", nil
	})
}

// asPeer is the README's IstioFederation for that cluster, whose certificates the authority has issued.
func asPeer(t *testing.T, manifest string, of *cluster, authority certtest.Authority) string {
	t.Helper()
	named := strings.NewReplacer("name: cluster-b", "name: "+of.name, "cluster-b.local", of.name+".local", "b.example.com", of.publicDomain()).Replace(manifest)
	encoded, err := json.Marshal(authority.PEM())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(named, "\n") + "\n  metadata:\n    ca: " + string(encoded) + "\n"
}

// awaitNothingLeft of the module in the cluster.
func (c *cluster) awaitNothingLeft(t *testing.T) {
	t.Helper()
	eventually(t, restarted, "nothing of the module is left in "+c.name, func() string {
		for _, namespace := range []string{moduleNamespace, "d8-system"} {
			if _, err := c.typed.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Sprintf("namespace %s: %v", namespace, err)
			}
		}
		hooks, err := c.typed.AdmissionregistrationV1().MutatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{})
		if err != nil || len(hooks.Items) > 0 {
			return fmt.Sprintf("%d mutating webhooks, %v", len(hooks.Items), err)
		}
		checks, err := c.typed.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{})
		if err != nil || len(checks.Items) > 0 {
			return fmt.Sprintf("%d validating webhooks, %v", len(checks.Items), err)
		}
		definitions, err := c.dynamic.Resource(crds).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for _, definition := range definitions.Items {
			if strings.HasSuffix(definition.GetName(), ".istio.io") || strings.HasSuffix(definition.GetName(), ".deckhouse.io") {
				return "CRD " + definition.GetName()
			}
		}
		roles, err := c.typed.RbacV1().ClusterRoles().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for _, role := range roles.Items {
			if strings.Contains(role.Name, "istio") {
				return "ClusterRole " + role.Name
			}
		}
		return ""
	})
}
