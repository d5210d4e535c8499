package syncer_test

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/federation/syncer"
)

func anObject(name, host string) federation.Object {
	return federation.Object{
		Kind: federation.ServiceEntryKind, Name: name, State: federation.State{Peer: "b", Managed: true},
		Spec: map[string]any{"hosts": []any{host}},
	}
}

func onceClient(objects ...runtime.Object) *dynamicfake.FakeDynamicClient {
	return dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		serviceEntries: "ServiceEntryList", destinationRules: "DestinationRuleList",
	}, objects...)
}

func TestOnceWritesAllChanges(t *testing.T) {
	g := NewWithT(t)
	edited, unwanted := anObject("edited.b", "evil.example.com"), anObject("unwanted.b", "unwanted.svc.b.local")
	client := onceClient(edited.Unstructured(), unwanted.Unstructured())
	g.Expect(syncer.Once(t.Context(), client, []federation.Change{
		{Step: federation.Create, Wanted: anObject("new.b", "new.svc.b.local")},
		{Step: federation.Update, Wanted: anObject("edited.b", "edited.svc.b.local"), Found: edited},
		{Step: federation.Delete, Found: unwanted},
	})).To(BeEmpty())
	list, err := client.Resource(serviceEntries).List(t.Context(), metav1.ListOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	hosts := map[string]any{}
	for _, item := range list.Items {
		hosts[item.GetName()] = item.Object["spec"].(map[string]any)["hosts"]
	}
	g.Expect(hosts).To(Equal(map[string]any{"new.b": []any{"new.svc.b.local"}, "edited.b": []any{"edited.svc.b.local"}}))
}

func TestOnceLeavesToTheNextRunWhatHasChangedMeanwhile(t *testing.T) {
	g := NewWithT(t)
	existing := anObject("new.b", "new.svc.b.local")
	client := onceClient(existing.Unstructured())
	g.Expect(syncer.Once(t.Context(), client, []federation.Change{
		{Step: federation.Create, Wanted: existing},
		{Step: federation.Update, Wanted: anObject("gone.b", "gone.svc.b.local"), Found: anObject("gone.b", "other")},
		{Step: federation.Delete, Found: anObject("gone-too.b", "")},
	})).To(BeEmpty())
}

func TestANamespaceThatIsBeingDeletedIsNoFailureOfItsObjects(t *testing.T) {
	g := NewWithT(t)
	client := onceClient()
	client.PrependReactor("create", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
		err := apierrors.NewForbidden(serviceEntries.GroupResource(), "new.b", nil)
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
		return true, nil, err
	})
	g.Expect(syncer.Once(t.Context(), client, []federation.Change{{Step: federation.Create, Wanted: anObject("new.b", "new.svc.b.local")}})).To(BeEmpty())
}
