package watcher

import (
	"strings"
	"testing"
)

func TestADeletedPeerLeavesNoSeries(t *testing.T) {
	metrics := NewMetrics()
	for _, peer := range []string{"deleted", "stays"} {
		metrics.PeerConnected.WithLabelValues(peer, "public").Set(1)
		metrics.PeerPolls.WithLabelValues(peer, "public", "answered").Inc()
		metrics.PeerPokes.WithLabelValues(peer, "changed").Inc()
	}
	metrics.forgetPeer("deleted")
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	stays := 0
	for _, family := range families {
		text := family.String()
		if strings.Contains(text, `"deleted"`) {
			t.Errorf("still there: %s", text)
		}
		stays += strings.Count(text, `"stays"`)
	}
	if stays != 3 {
		t.Errorf("%d series of the peer that stays", stays)
	}
}
