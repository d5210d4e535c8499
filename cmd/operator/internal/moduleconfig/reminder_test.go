package moduleconfig

import (
	"context"
	"testing"
	"time"

	"github.com/flant/addon-operator/pkg/kube_config_manager/config"
	"github.com/flant/addon-operator/pkg/utils"
	. "github.com/onsi/gomega"
)

func TestAModuleThatLostItsSettingsGetsThemAgain(t *testing.T) {
	g := NewWithT(t)
	c := newCluster()
	c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("NodePort")})
	loaded, events := start(t, g, c.backend(g))

	c.runsWith(utils.Values{})
	var reminder config.Event
	g.Eventually(events).Should(Receive(&reminder))
	g.Expect(module(reminder).GetValues()).To(Equal(loaded.Modules["istio"].GetValues()))
	g.Expect(module(reminder).Checksum).NotTo(Equal(loaded.Modules["istio"].Checksum), "addon-operator ignores what it thinks it has")

	c.runsWith(loaded.Modules["istio"].GetValues())
	// Reminders can be under way from before that.
	g.Eventually(func() bool {
		select {
		case <-events:
			return false
		case <-time.After(100 * time.Millisecond):
			return true
		}
	}).Should(BeTrue(), "reminders end when the settings are in force")
}

func TestAModuleThatDoesNotRunIsNotReminded(t *testing.T) {
	g := NewWithT(t)
	c := newCluster()
	c.apply(g, "istio", map[string]any{"enabled": false, "settings": inlet("NodePort")})
	_, events := start(t, g, c.backend(g))
	g.Consistently(events, "100ms").ShouldNot(Receive())
}

func TestTheSwitchIsPartOfTheChecksum(t *testing.T) {
	g := NewWithT(t)
	c := newCluster()
	c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("NodePort")})
	on, err := c.backend(g).LoadConfig(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	c.apply(g, "istio", map[string]any{"enabled": false, "settings": inlet("NodePort")})
	off, err := c.backend(g).LoadConfig(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(off.Modules["istio"].Checksum).NotTo(Equal(on.Modules["istio"].Checksum))
}
