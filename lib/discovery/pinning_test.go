package discovery_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func newRootPEM(tb testing.TB) string {
	tb.Helper()
	authority, err := ca.Generate("cluster-b.local")
	if err != nil {
		tb.Fatal(err)
	}
	return authority.Root
}

// identityChange is a way for a peer to show another identity.
type identityChange struct {
	change func(testing.TB, *metadata.Public)
	says   string
}

var identityChanges = map[string]identityChange{
	"another clusterUUID": {func(_ testing.TB, public *metadata.Public) { public.ClusterUUID = "uuid-x" }, "clusterUUID uuid-x instead of uuid-b"},
	"another root":        {func(tb testing.TB, public *metadata.Public) { tb.Helper(); public.RootCA = newRootPEM(tb) }, "missing from rootCA"},
	"a further root":      {func(tb testing.TB, public *metadata.Public) { tb.Helper(); public.RootCA += newRootPEM(tb) }, "new in rootCA"},
	"another key for tokens": {func(tb testing.TB, public *metadata.Public) {
		tb.Helper()
		keypair, err := authn.GenerateKeypair()
		if err != nil {
			tb.Fatal(err)
		}
		public.AuthnKeyPub = keypair.Pub
	}, "authnKeyPub"},
}

func (w *world) changePublic(resource v1alpha1.IstioFederation, change func(testing.TB, *metadata.Public)) {
	public := w.peerOf(resource).public.(metadata.Public)
	change(w.TB, &public)
	w.peerOf(resource).public = public
}

func TestWithoutVerifiedTLSAnotherIdentityIsRejectedUntilAPersonConfirmsIt(t *testing.T) {
	for name, test := range identityChanges {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.addPeer("b", "api.shop.svc.cluster-b.local")
			b.Spec.Metadata.InsecureSkipVerify = true
			b = w.poll(b)[0]
			w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")

			w.changePublic(b, test.change)
			private := w.peerOf(b).private.(metadata.Federation)
			private.PublicServices = nil
			w.peerOf(b).private = private
			changed := w.poll(b)[0]
			w.wantCondition(changed, v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonIdentityChanged, test.says)
			if !reflect.DeepEqual(changed.Status.MetadataCache, b.Status.MetadataCache) {
				t.Error("what was learned before did not stay")
			}
			if again := w.poll(changed)[0]; !reflect.DeepEqual(again.Status, changed.Status) {
				t.Error("the second look at it changes the status")
			}

			changed.Annotations = map[string]string{v1alpha1.AcceptIdentityAnnotation: "of-another-identity"}
			w.wantCondition(w.poll(changed)[0], v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonIdentityChanged, "")

			// As the message says.
			message := meta.FindStatusCondition(changed.Status.Conditions, v1alpha1.ConditionReady).Message
			command, setting, found := strings.Cut(message, "kubectl annotate istiofederation b --overwrite ")
			key, fingerprint, _ := strings.Cut(setting, "=")
			if !found || len(fingerprint) != 64 {
				t.Fatalf("the message does not end in the command: %s", command)
			}
			changed.Annotations = map[string]string{key: fingerprint}
			confirmed := w.poll(changed)[0]
			w.wantCondition(confirmed, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "imported: 0")

			// The confirmation is for this identity, not for the next one.
			w.changePublic(confirmed, func(tb testing.TB, public *metadata.Public) { tb.Helper(); public.RootCA = newRootPEM(tb) })
			w.wantCondition(w.poll(confirmed)[0], v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonIdentityChanged, "")
		})
	}
}

func TestOverVerifiedTLSAnotherIdentityIsAccepted(t *testing.T) {
	for name, test := range identityChanges {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.poll(w.addPeer("b"))[0]
			w.changePublic(b, test.change)
			b = w.poll(b)[0]
			w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
			if got, want := b.Status.MetadataCache.Public.ClusterUUID, w.peerOf(b).public.(metadata.Public).ClusterUUID; got != want {
				t.Errorf("clusterUUID %s, want %s", got, want)
			}
		})
	}
}

func TestAnEquivalentIdentityNeedsNoConfirmation(t *testing.T) {
	for name, change := range map[string]func(testing.TB, *metadata.Public){
		"the UUID in capitals":                        func(_ testing.TB, public *metadata.Public) { public.ClusterUUID = strings.ToUpper(public.ClusterUUID) },
		"roots with text around them":                 func(_ testing.TB, public *metadata.Public) { public.RootCA = "\n" + public.RootCA + "\n" },
		"a root twice":                                func(_ testing.TB, public *metadata.Public) { public.RootCA += public.RootCA },
		"a trust domain where there was none":         func(_ testing.TB, public *metadata.Public) { public.TrustDomain = "" },
		"nothing but another order of the same roots": reverseRoots,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.addPeer("b")
			b.Spec.Metadata.InsecureSkipVerify = true
			w.changePublic(b, func(tb testing.TB, public *metadata.Public) { tb.Helper(); public.RootCA += newRootPEM(tb) })
			b = w.poll(b)[0]
			w.changePublic(b, change)
			w.wantCondition(w.poll(b)[0], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
		})
	}
}

func reverseRoots(tb testing.TB, public *metadata.Public) {
	tb.Helper()
	const end = "-----END CERTIFICATE-----\n"
	first, second, ok := strings.Cut(public.RootCA, end)
	if !ok {
		tb.Fatal("there are not two roots")
	}
	public.RootCA = second + first + end
}

func TestAnExpiredRootIsNoChangeOfIdentity(t *testing.T) {
	w := newWorld(t)
	b := w.addPeer("b")
	b.Spec.Metadata.InsecureSkipVerify = true
	w.changePublic(b, func(tb testing.TB, public *metadata.Public) {
		tb.Helper()
		public.RootCA += shortRoot(tb, start.Add(time.Hour))
	})
	b = w.poll(b)[0]
	w.now = start.Add(2 * time.Hour)
	// Some other field, so that the document is judged again; the roots are the same, apart from time.
	w.changePublic(b, func(_ testing.TB, public *metadata.Public) { public.TrustDomain = "" })
	w.wantCondition(w.poll(b)[0], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
}

func TestTheFirstIdentityUnderAnotherTrustDomainIsAccepted(t *testing.T) {
	w := newWorld(t)
	b := w.addPeer("b")
	b.Spec.Metadata.InsecureSkipVerify = true
	b = w.poll(b)[0]
	b.Spec.TrustDomain, b.Generation = "cluster-x.local", 2
	w.changePublic(b, func(tb testing.TB, public *metadata.Public) {
		tb.Helper()
		public.TrustDomain, public.ClusterUUID, public.RootCA = "cluster-x.local", "uuid-x", newRootPEM(tb)
	})
	w.wantCondition(w.poll(b)[0], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
}

func TestAPeerWithoutUsableRootsIsRejectedWithTheReason(t *testing.T) {
	w := newWorld(t)
	b := w.poll(w.addPeer("b"))[0]
	future := w.poll(w.addPeer("c"))[0]
	w.changePublic(b, func(tb testing.TB, public *metadata.Public) {
		tb.Helper()
		public.RootCA = constrainedRoot(tb, "cluster-x.local")
	})
	w.changePublic(future, func(tb testing.TB, public *metadata.Public) {
		tb.Helper()
		public.RootCA += constrainedRoot(tb, "cluster-x.local")
	})
	polled := w.poll(b, future)
	w.wantCondition(polled[0], v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonRootsNotHonoured, "name constraints")
	if !reflect.DeepEqual(polled[0].Status.MetadataCache, b.Status.MetadataCache) {
		t.Error("what was learned before did not stay")
	}
	w.wantCondition(polled[1], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
	w.wantCondition(polled[1], v1alpha1.ConditionPublicMetadata, metav1.ConditionTrue, discovery.ReasonFetched, "name constraints")
}
