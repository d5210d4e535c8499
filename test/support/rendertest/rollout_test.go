package rendertest

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// A Pod that ends at once costs requests which nodes and load balancers still send it.
func TestProgramsThatPeersReachAnswerForAMomentAfterTheirEndWasDecided(t *testing.T) {
	objects := load(t).render(t, "federation: {enabled: true}\nmulticluster: {enabled: true}", nil)
	for _, name := range []string{"api-proxy", "metadata-exporter"} {
		pod := mustDecode[*appsv1.Deployment](t, objects, "Deployment/"+name).Spec.Template.Spec
		lifecycle := pod.Containers[0].Lifecycle
		if lifecycle == nil || lifecycle.PreStop == nil || lifecycle.PreStop.Sleep == nil {
			t.Errorf("%s ends at once", name)
			continue
		}
		// What it answers at that time must have time to finish.
		if seconds := lifecycle.PreStop.Sleep.Seconds; seconds < 3 || seconds > *pod.TerminationGracePeriodSeconds/2 {
			t.Errorf("%s ends after %d seconds, of %d that it has", name, seconds, *pod.TerminationGracePeriodSeconds)
		}
	}
}
