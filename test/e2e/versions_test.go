//go:build e2e

package e2e

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// TestEveryVersionOfIstioServes installs all of them side by side, and asks each
// for what an application needs of it.
func TestEveryVersionOfIstioServes(t *testing.T) {
	namespace := suite.b.namespace(t)
	suite.b.installEveryVersion(t)
	for _, version := range istioversion.All() {
		t.Run(version.Version, func(t *testing.T) {
			revision := map[string]string{"istio.io/rev": version.Revision()}

			// A sidecar, and a certificate for it.
			suite.b.awaitRevision(t, newPod(namespace, "app", revision, nil), version.Revision())
			certificate := suite.b.certify(t, version, namespace)
			own := suite.b.spiffe(t, namespace, "default")
			if proven, err := certificate.Verify(suite.b.roots(t), time.Now()); err != nil || !slices.Equal(proven, []string{own}) {
				t.Errorf("its certificate proves %v (%v), want %s", proven, err, own)
			}

			// A check of what people write.
			object := "bad-" + version.Revision()
			err := suite.b.try(virtualServices, "VirtualService", namespace, object, revision, routeTo(everyHost))
			if err == nil || !strings.Contains(err.Error(), "admission webhook") || !strings.Contains(err.Error(), "wildcard host") {
				t.Errorf("the API server answers %v, want the refusal of istiod's webhook", err)
			}

			for _, line := range suite.b.refusals(t, version) {
				t.Errorf("istiod lacks a right: %s", line)
			}
		})
	}
	t.Run("and none writes more into a namespace than the roots", func(t *testing.T) {
		eventually(t, prompt, "ConfigMaps are as documented", func() string {
			list, err := suite.b.typed.CoreV1().ConfigMaps(namespace).List(context.Background(), metav1.ListOptions{})
			if err != nil {
				return err.Error()
			}
			var names []string
			for _, config := range list.Items {
				names = append(names, config.Name)
			}
			slices.Sort(names)
			return want(names, nil)([]string{"istio-ca-root-cert", "kube-root-ca.crt"})
		})
	})
}

// refusals are the lines of the log of the version's istiod in which the API server refuses it something.
func (c *cluster) refusals(t *testing.T, version istioversion.Version) []string {
	t.Helper()
	processes := c.described(t).Processes
	for _, process := range processes {
		if process.Name != "istiod-"+version.Revision() {
			continue
		}
		log, err := os.ReadFile(process.Log)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(log), "Starting Istiod Server") {
			t.Fatalf("%s is not the log of istiod", process.Log)
		}
		var refused []string
		for line := range strings.Lines(string(log)) {
			if strings.Contains(strings.ToLower(line), "forbidden") {
				refused = append(refused, strings.TrimSpace(line))
			}
		}
		return refused
	}
	t.Fatalf("istiod %s is none of the processes %v", version.Revision(), processes)
	return nil
}
