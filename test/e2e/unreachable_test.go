//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

func TestAnUnreachablePeerLosesNothingIsNamedAndRecovers(t *testing.T) {
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	hostname := suite.b.publish(t, namespace, "web")
	suite.a.awaitSettled(t, hostname)
	before := suite.a.entriesOf(t, namespace)
	t.Cleanup(func() {
		suite.b.setReplicas(t, exporter, 1)
		awaitPeers(t)
	})
	suite.b.setReplicas(t, exporter, 0)
	eventually(t, 2*time.Minute, "the condition says that the peer is unreachable", func() string {
		status, reason, message := suite.a.condition(suite.b.name, "Ready")
		if status != "False" || !strings.HasPrefix(reason, "Peer") || message == "" {
			return fmt.Sprintf("Ready=%s %s: %s", status, reason, message)
		}
		return ""
	})
	if after := suite.a.entriesOf(t, namespace); !maps.Equal(before, after) {
		t.Errorf("ServiceEntries changed while the peer was away: %v became %v", before, after)
	}
	suite.b.setReplicas(t, exporter, 1)
	suite.a.awaitReady(t, suite.b.name, scheduled)
	if after := suite.a.entriesOf(t, namespace); !maps.Equal(before, after) {
		t.Errorf("ServiceEntries changed when the peer came back: %v became %v", before, after)
	}
	other := suite.b.publish(t, namespace, "other")
	suite.a.awaitImported(t, other, scheduled)
}

func TestKilledProcessesOfTheModuleAreRestartedAndNothingIsLost(t *testing.T) {
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	hostname := suite.b.publish(t, namespace, "web")
	suite.a.awaitSettled(t, hostname)
	before := suite.a.entriesOf(t, namespace)
	for _, victim := range []struct {
		cluster   *cluster
		component component
	}{{suite.b, exporter}, {suite.a, watcher}, {suite.a, exporter}, {suite.a, operator}} {
		t.Run(victim.component.name+" of "+victim.cluster.name, func(t *testing.T) {
			awaitAnother := victim.cluster.killWithoutWaiting(t, victim.component)
			// What is published before the program runs again may be late, and is not lost.
			meanwhile := suite.b.publish(t, namespace, "meanwhile-"+victim.component.name+"-"+victim.cluster.name)
			awaitAnother()
			suite.a.awaitImported(t, meanwhile, scheduled)
		})
	}
	name := "later"
	later := suite.b.publish(t, namespace, name)
	suite.a.awaitImported(t, later, scheduled)
	awaitPeers(t)
	after := suite.a.entriesOf(t, namespace)
	for key, version := range before {
		if after[key] != version {
			t.Errorf("ServiceEntry %s was %s and is %q", key, version, after[key])
		}
	}
}
