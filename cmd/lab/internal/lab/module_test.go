package lab

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
)

// clusterThatSays has a ModuleConfig istio with the message, and nothing installed.
func clusterThatSays(message string) *cluster {
	config := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "deckhouse.io/v1alpha1", "kind": "ModuleConfig",
		"metadata": map[string]any{"name": "istio"}, "status": map[string]any{"message": message},
	}}
	c := clusterWith()
	c.clients.Dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{kube.ModuleConfigs: "ModuleConfigList"}, config)
	c.operator = &operator{log: "operator.log"}
	c.reporter = progress.NewReporter(io.Discard)
	return c
}

func TestRefusedSettingsEndTheWaitForWhatTheyWouldHaveBrought(t *testing.T) {
	const message = "Invalid, nothing of it is in force until it is corrected: spec.settings.globalVersion: there is no Istio 1.26"
	for name, wait := range map[string]func(context.Context, *cluster) error{
		"the module": func(ctx context.Context, c *cluster) error { return c.awaitModule(ctx, nil) },
		"istiod":     func(ctx context.Context, c *cluster) error { return c.awaitMesh(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			err := wait(t.Context(), clusterThatSays(message))
			if err == nil || !strings.Contains(err.Error(), message) {
				t.Errorf("got %v, want the ModuleConfig's message", err)
			}
			var step *progress.StepError
			if !errors.As(err, &step) || step.Log != "" {
				t.Errorf("a log is shown that does not explain it: %+v", step)
			}
		})
	}
}

func TestAMessageOfWhatIsTriedAgainDoesNotEndTheWait(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("the test has seen enough")
	c := clusterThatSays("Not applied, it is tried again: the API server is busy")
	c.reporter = progress.NewReporter(writer(func(text string) {
		if strings.Contains(text, "the API server is busy") {
			cancel(over)
		}
	}))
	if err := c.awaitModule(ctx, nil); !errors.Is(err, over) {
		t.Errorf("got %v, want the wait to go on until it is cancelled", err)
	}
}

type writer func(text string)

func (w writer) Write(text []byte) (int, error) {
	w(string(text))
	return len(text), nil
}
