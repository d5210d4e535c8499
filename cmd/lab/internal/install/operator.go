package install

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/rollout"
	"github.com/deckhouse-mesh/istio/deploy/operator"
	"github.com/deckhouse-mesh/istio/lib/await"
)

// moduleConfigCRD is what the operator installs before all else.
const moduleConfigCRD = "moduleconfigs.deckhouse.io"

// Operator installs the operator's chart, or upgrades it, and waits until it works.
func (c *Cluster) Operator(ctx context.Context, note Note) error {
	err := c.installChart(ctx)
	if err == nil {
		err = c.awaitOperator(ctx, note)
	}
	if err != nil {
		return fmt.Errorf("install the operator: %w", err)
	}
	return nil
}

// installChart does what `helm upgrade --install --create-namespace` does.
func (c *Cluster) installChart(ctx context.Context) error {
	chart, err := operator.Chart()
	if err != nil {
		return err
	}
	values, err := c.values()
	if err != nil {
		return err
	}
	configuration := new(action.Configuration)
	if err := configuration.Init(kube.HelmClient(c.Clients.Config, operator.Namespace), operator.Namespace, "secret", func(string, ...any) {}); err != nil {
		return fmt.Errorf("set up Helm: %w", err)
	}
	history := action.NewHistory(configuration)
	history.Max = 1
	if _, err := history.Run(operator.Name); err == nil {
		upgrade := action.NewUpgrade(configuration)
		upgrade.Namespace = operator.Namespace
		_, err := upgrade.RunWithContext(ctx, operator.Name, chart, values)
		return err
	}
	install := action.NewInstall(configuration)
	install.ReleaseName, install.Namespace, install.CreateNamespace = operator.Name, operator.Namespace, true
	_, err = install.RunWithContext(ctx, chart, values)
	return err
}

// values of the chart that differ from cluster to cluster.
func (c *Cluster) values() (map[string]any, error) {
	image := map[string]any{}
	repository, digest, byDigest := strings.Cut(c.Image, "@")
	if byDigest {
		image["digest"] = digest
	} else if colon := strings.LastIndex(repository, ":"); colon > strings.LastIndex(repository, "/") {
		image["tag"], repository = repository[colon+1:], repository[:colon]
	}
	image["repository"] = repository
	values := map[string]any{"image": image, "module": c.module()}
	arguments := []any{}
	for _, argument := range c.Arguments {
		arguments = append(arguments, argument)
	}
	values["extraArgs"] = arguments
	if c.HooksAreProcesses {
		// Some of them at once, in the operator's container. Deckhouse has no limit of its own.
		values["resources"] = map[string]any{"limits": map[string]any{"memory": "3Gi"}}
	}
	if len(c.ImagesDigests) > 0 {
		digests := map[string]any{}
		if err := json.Unmarshal(c.ImagesDigests, &digests); err != nil {
			return nil, fmt.Errorf("read the digests of the module's images: %w", err)
		}
		values["imagesDigests"] = digests
	}
	return values, nil
}

func (c *Cluster) awaitOperator(ctx context.Context, note Note) error {
	if err := rollout.AwaitDeployment(ctx, c.Clients.Typed, operator.Namespace, operator.Name, stepTimeout, note); err != nil {
		return err
	}
	return await.Until(ctx, stepTimeout, func(ctx context.Context) (bool, string, error) { return c.established(ctx, moduleConfigCRD) })
}

// established says whether the API server serves the resource of a CRD.
func (c *Cluster) established(ctx context.Context, name string) (bool, string, error) {
	definition, err := c.Clients.Dynamic.Resource(kube.CRDs).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return await.NotYet(err)
	}
	condition, _ := kube.Condition(definition, "Established")
	return kube.String(condition, "status") == string(corev1.ConditionTrue), "CRD " + name + " is not established", nil
}
