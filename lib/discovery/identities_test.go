package discovery_test

import (
	"crypto/x509"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

func rootPEM(tb testing.TB, change func(*x509.Certificate)) string {
	tb.Helper()
	return certtest.NewRoot("root", start, change).PEM()
}

func shortRoot(tb testing.TB, until time.Time) string {
	tb.Helper()
	return rootPEM(tb, func(template *x509.Certificate) { template.NotAfter = until })
}

func constrainedRoot(tb testing.TB, domain string) string {
	tb.Helper()
	return rootPEM(tb, func(template *x509.Certificate) { template.PermittedURIDomains = []string{domain} })
}

func TestServiceAccountsAreRetainedWhileAServiceHasNoEndpoints(t *testing.T) {
	w := newWorld(t)
	b := w.addPeer("b", "api.shop.svc.cluster-b.local")
	publish := func(accounts []string) []string {
		t.Helper()
		private := w.peerOf(b).private.(metadata.Federation)
		service := private.PublicServices[0]
		service.ServiceAccounts = accounts
		private.PublicServices = []metadata.PublicService{service}
		w.peerOf(b).private = private
		b = w.poll(b)[0]
		return b.Status.MetadataCache.Private.PublicServices[0].ServiceAccounts
	}
	for _, step := range []struct {
		name            string
		published, want []string
	}{
		{"no endpoints yet", []string{}, nil},
		{"the first endpoints", []string{"shop/web", "shop/api", "shop/api"}, []string{"shop/api", "shop/web"}},
		{"other endpoints", []string{"shop/api"}, []string{"shop/api"}},
		{"scaled to zero", []string{}, []string{"shop/api"}},
		{"still at zero", []string{}, []string{"shop/api"}},
		{"back with another identity", []string{"shop/new"}, []string{"shop/new"}},
		{"an exporter that does not say", nil, nil},
	} {
		if got := publish(step.published); !reflect.DeepEqual(got, step.want) {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
	if got := publish([]string{"shop/api", "spiffe://cluster-a.local/ns/bank/sa/ledger"}); !reflect.DeepEqual(got, []string{"shop/api"}) {
		t.Errorf("an identity of another domain: %v", got)
	}
	w.wantCondition(b, v1alpha1.ConditionServices, metav1.ConditionFalse, discovery.ReasonSomeRejected, "cluster-a.local/ns/bank")
	if len(b.Status.RejectedServices) != 1 || b.Status.RejectedServices[0].Reason != federation.ReasonInvalidServiceAccounts {
		t.Errorf("rejected %+v", b.Status.RejectedServices)
	}
}
