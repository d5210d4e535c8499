//go:build e2e

package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/test/support/rbactest"
)

// TestEveryVersionOfIstioServes installs all of them side by side, and asks each
// for what an application needs of it.
func TestEveryVersionOfIstioServes(t *testing.T) {
	namespace := suite.b.namespace(t)
	suite.b.awaitMesh(t, defaultIstio())
	client := suite.b.runReady(t, newPod(namespace, "client", map[string]string{"istio.io/rev": defaultIstio().Revision()}, nil))
	own := suite.b.spiffe(t, namespace, "default")
	suite.b.installEveryVersion(t)
	for _, version := range istioversion.All() {
		t.Run(version.Version, func(t *testing.T) {
			revision := map[string]string{"istio.io/rev": version.Revision()}

			// A sidecar, and a certificate for it.
			app := newPod(namespace, "app-"+version.Revision(), revision, nil)
			suite.b.awaitRevision(t, app, version.Revision())
			certificate := suite.b.certify(t, version, namespace)
			if proven, err := certificate.Verify(suite.b.roots(t), time.Now()); err != nil || !slices.Equal(proven, []string{own}) {
				t.Errorf("its certificate proves %v (%v), want %s", proven, err, own)
			}

			// Requests, by a proxy of that version.
			app = suite.b.runReady(t, app)
			host := suite.b.serve(t, namespace, app.Name)
			suite.b.awaitAnswer(t, "its proxy takes requests", client, webURL(host), between(own, own, app.Name))
			suite.b.awaitAnswer(t, "its proxy sends requests", app, webURL(host), between(own, own, app.Name))

			// A check of what people write.
			object := "bad-" + version.Revision()
			err := suite.b.try(virtualServices, "VirtualService", namespace, object, revision, routeTo(everyHost))
			if err == nil || !strings.Contains(err.Error(), "admission webhook") || !strings.Contains(err.Error(), "wildcard host") {
				t.Errorf("the API server answers %v, want istiod's webhook to reject it", err)
			}

			for _, line := range suite.b.rejections(t, version) {
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

// rejections are the lines of the log of the version's istiod that report a request which the API server rejected, and
// still would: one that has just started rejects what it will allow as soon as it knows its roles, as after a kill.
func (c *cluster) rejections(t *testing.T, version istioversion.Version) (lines []string) {
	t.Helper()
	log := c.logs(t, istiodOf(version))
	if !strings.Contains(log, "Starting Istiod Server") {
		t.Fatalf("this is not the log of istiod: %.500s", log)
	}
	for line := range strings.Lines(log) {
		if !strings.Contains(strings.ToLower(line), "forbidden") {
			continue
		}
		if review, is := rbactest.Review(line); is && c.allows(t, review) {
			continue
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// allows is the API server's answer to the question.
func (c *cluster) allows(t *testing.T, review *authorizationv1.SubjectAccessReview) bool {
	t.Helper()
	review, err := c.typed.AuthorizationV1().SubjectAccessReviews().Create(context.Background(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}
