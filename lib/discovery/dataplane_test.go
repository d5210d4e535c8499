package discovery_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func TestTheConditionOfTheWayToThePeer(t *testing.T) {
	now := time.Date(2030, 11, 22, 12, 0, 0, 0, time.UTC)
	published := metadata.PublicService{Hostname: "alliance-healthcheck-uuid-b.d8-istio.svc.cluster-b.local"}
	peer := func(change func(*v1alpha1.IstioFederation)) *v1alpha1.IstioFederation {
		resource := &v1alpha1.IstioFederation{}
		resource.Name, resource.Spec.TrustDomain = "b", "cluster-b.local"
		cache := &resource.Status.MetadataCache
		cache.TrustDomain, cache.Public = "cluster-b.local", &metadata.Public{ClusterUUID: "uuid-b"}
		cache.Private = &v1alpha1.CachedFederation{
			IngressGateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}}, PublicServices: []metadata.PublicService{published},
		}
		if change != nil {
			change(resource)
		}
		return resource
	}
	for name, test := range map[string]struct {
		change func(*v1alpha1.IstioFederation)
		found  string
		status metav1.ConditionStatus
		reason string
	}{
		"the peer answers":            {nil, healthcheck.ReasonAnswers, metav1.ConditionTrue, healthcheck.ReasonAnswers},
		"the peer cannot be reached":  {nil, healthcheck.ReasonGatewayUnreachable, metav1.ConditionFalse, healthcheck.ReasonGatewayUnreachable},
		"the mesh knows no such name": {nil, healthcheck.ReasonNameUnknown, metav1.ConditionFalse, healthcheck.ReasonNameUnknown},
		"the own proxy is not ready":  {nil, healthcheck.ReasonProxyNotReady, metav1.ConditionUnknown, healthcheck.ReasonProxyNotReady},
		"a reason of another release": {nil, "Invented", metav1.ConditionUnknown, "Invented"},
		"nothing is reported":         {nil, "", metav1.ConditionUnknown, discovery.ReasonNotChecked},
		"the peer is not known": {func(f *v1alpha1.IstioFederation) { f.Status.MetadataCache.Public = nil },
			healthcheck.ReasonAnswers, metav1.ConditionUnknown, discovery.ReasonNotChecked},
		"its services are not known": {func(f *v1alpha1.IstioFederation) { f.Status.MetadataCache.Private = nil },
			healthcheck.ReasonAnswers, metav1.ConditionUnknown, discovery.ReasonNotChecked},
		"the resource is not accepted": {func(f *v1alpha1.IstioFederation) {
			f.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse}}
		}, healthcheck.ReasonAnswers, metav1.ConditionUnknown, discovery.ReasonNotChecked},
		"the peer publishes other services": {func(f *v1alpha1.IstioFederation) { f.Status.MetadataCache.Private.PublicServices[0].Hostname = "x" },
			healthcheck.ReasonNameUnknown, metav1.ConditionUnknown, discovery.ReasonNotPublished},
		"the peer has a UUID that no Service can have": {func(f *v1alpha1.IstioFederation) { f.Status.MetadataCache.Public.ClusterUUID = "A.B" },
			"", metav1.ConditionUnknown, discovery.ReasonNotPublished},
		"a person does not import it": {func(f *v1alpha1.IstioFederation) { f.Spec.Import = []string{"*.shop"} },
			healthcheck.ReasonNameUnknown, metav1.ConditionUnknown, discovery.ReasonNotImported},
		"a person imports it among others": {func(f *v1alpha1.IstioFederation) {
			f.Spec.Import = []string{"*.shop", "alliance-healthcheck-*.d8-istio"}
		},
			healthcheck.ReasonAnswers, metav1.ConditionTrue, healthcheck.ReasonAnswers},
		"the peer has no gateway": {func(f *v1alpha1.IstioFederation) { f.Status.MetadataCache.Private.IngressGateways = nil },
			healthcheck.ReasonNameUnknown, metav1.ConditionFalse, healthcheck.ReasonGatewayUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			judge := discovery.Dataplane{Enabled: true, Self: discovery.Self{TrustDomain: "cluster-a.local"}, Now: now}
			if test.found != "" {
				judge.Reports = []healthcheck.Report{{Time: now, Results: map[string]healthcheck.Result{
					"IstioFederation/b": {ClusterUUID: "uuid-b", Reason: test.found, Message: "what happened"},
				}}}
			}
			before := peer(test.change)
			after := judge.Apply(before)
			condition := meta.FindStatusCondition(after.PeerStatus().Conditions, v1alpha1.ConditionDataplane)
			if condition == nil || condition.Status != test.status || condition.Reason != test.reason || condition.Message == "" {
				t.Errorf("the condition is %+v", condition)
			}
			if meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionDataplane) != nil {
				t.Error("the given resource was changed")
			}
			if again := judge.Apply(after); again != after {
				t.Error("an equal condition makes another resource")
			}
		})
	}
}

func TestAResourceOnWhichNothingActsHasNoWayToItsPeer(t *testing.T) {
	now := time.Now()
	resource := &v1alpha1.IstioMulticluster{}
	if disabled := discovery.Disabled(resource, "Off", "It is off.", now); meta.FindStatusCondition(disabled.PeerStatus().Conditions, v1alpha1.ConditionDataplane) != nil {
		t.Error("a condition that was never there is written")
	}
	resource.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionDataplane, Status: metav1.ConditionTrue, Reason: healthcheck.ReasonAnswers}}
	disabled := discovery.Disabled(resource, "Off", "It is off.", now)
	if condition := meta.FindStatusCondition(disabled.PeerStatus().Conditions, v1alpha1.ConditionDataplane); condition.Status != metav1.ConditionUnknown || condition.Reason != "Off" {
		t.Errorf("the condition is %+v", condition)
	}
}
