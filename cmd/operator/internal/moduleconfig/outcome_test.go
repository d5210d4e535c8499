package moduleconfig

import (
	"context"
	"errors"
	"testing"

	"github.com/flant/addon-operator/pkg/kube_config_manager/config"
	. "github.com/onsi/gomega"
)

// lastGood are the settings to fall back to, after a restart.
func (c *cluster) lastGood(g Gomega) map[string]any {
	spec, err := (&lastGoodStore{client: c.core, namespace: "d8-system"}).get(context.Background(), "istio")
	g.Expect(err).NotTo(HaveOccurred())
	if spec == nil {
		return nil
	}
	return spec.Settings
}

var (
	succeeds  = Run{Settled: true}
	errHelm   = errors.New("run helm install: helm upgrade failed: DaemonSet is invalid\n\tnodeSelector: a b")
	failsOnce = Run{Err: errHelm, Failures: 1}
)

const helmSentence = "helm upgrade failed: DaemonSet is invalid; \tnodeSelector: a b"

// installed is a cluster that runs with inlet NodePort, which has been proven.
func installed(t *testing.T, g Gomega) (*cluster, *Backend, chan config.Event) {
	t.Helper()
	c := newCluster()
	c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("NodePort")})
	c.fares(inlet("NodePort"), succeeds)
	b := c.backend(g)
	_, events := start(t, g, b)
	g.Eventually(func() status { return c.status(g, "istio") }).Should(Equal(status{Version: "2"}))
	g.Eventually(func() map[string]any { return c.lastGood(g) }).Should(Equal(inlet("NodePort")))
	return c, b, events
}

func TestSettingsThatCannotBeAppliedAreReportedUntilTheyAre(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(deadline)
	c, _, events := installed(t, g)

	c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("LoadBalancer")})
	g.Eventually(events).Should(Receive())
	c.fares(inlet("LoadBalancer"), failsOnce)
	g.Eventually(func() string { return c.status(g, "istio").Message }).Should(Equal(notApplied + helmSentence))
	g.Eventually(c.events.Events).Should(Receive(And(HavePrefix("Warning SettingsNotApplied"), ContainSubstring(helmSentence))))
	g.Expect(c.isInvalid("istio")).To(BeFalse(), "they are accepted")
	g.Expect(c.lastGood(g)).To(Equal(inlet("NodePort")), "what fails is nothing to fall back to")

	// The same error again is nothing new, nor is a run that has not ended yet.
	writes := c.statusWrites()
	c.fares(inlet("LoadBalancer"), Run{})
	g.Consistently(c.events.Events, "200ms").ShouldNot(Receive())
	c.fares(inlet("LoadBalancer"), Run{Err: errHelm, Failures: 2})
	g.Consistently(c.events.Events, "200ms").ShouldNot(Receive())
	g.Expect(c.statusWrites()).To(Equal(writes))

	// A restarted operator knows nothing at first: the message stays, without another Event.
	c.fares(nil, Run{})
	restarted := c.backend(g)
	_, again := start(t, g, restarted)
	c.fares(inlet("LoadBalancer"), failsOnce)
	g.Consistently(c.events.Events, "200ms").ShouldNot(Receive())

	c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("Foo")})
	g.Eventually(again).Should(Receive(WithTransform(func(e config.Event) map[string]any { return module(e).GetValues() },
		BeEquivalentTo(inlet("NodePort")))), "the settings before those that fail are in force")

	c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("LoadBalancer")})
	c.fares(inlet("LoadBalancer"), succeeds)
	g.Eventually(func() status { return c.status(g, "istio") }).Should(Equal(status{Version: "2"}))
	g.Eventually(func() map[string]any { return c.lastGood(g) }).Should(Equal(inlet("LoadBalancer")))
}

func TestLook(t *testing.T) {
	g := NewWithT(t)
	c := newCluster()
	b := c.backend(g)
	spec := Spec{Settings: inlet("NodePort")}
	b.announced["istio"] = spec
	looks := func(count int) (changes int) {
		for range count {
			if b.look("istio") {
				changes++
			}
		}
		return changes
	}

	c.fares(inlet("LoadBalancer"), succeeds)
	g.Expect(looks(3)).To(Equal(0), "a run with other settings proves nothing")
	c.fares(inlet("NodePort"), succeeds)
	g.Expect(looks(1)).To(Equal(0), "one look may have caught the run before")
	g.Expect(looks(3)).To(Equal(1))
	g.Expect(b.outcomes["istio"].proven).To(Equal(fingerprint(spec)))
	c.fares(inlet("NodePort"), failsOnce)
	g.Expect(looks(3)).To(Equal(1))
	g.Expect(b.unapplied("istio", spec, "")).To(Equal(notApplied + helmSentence))
	repaired := Spec{Settings: inlet("LoadBalancer")}
	b.announced["istio"] = repaired
	c.fares(inlet("LoadBalancer"), failsOnce)
	g.Expect(looks(3)).To(Equal(0), "the error is that of the run before")
	g.Expect(b.unapplied("istio", repaired, "")).To(BeEmpty())
	g.Expect(b.unapplied("istio", repaired, notApplied+"x")).To(Equal(notApplied+"x"), "what the status says stays until there is a run")
	off := false
	g.Expect(b.unapplied("istio", Spec{Enabled: &off}, notApplied+"x")).To(BeEmpty(), "a module that is off needs nothing applied")
	c.fares(nil, Run{})
	g.Expect(looks(3)).To(Equal(1), "a module that does not run does not fail")
	g.Expect(b.outcomes["istio"].failure).To(BeEmpty())
}

func TestAModuleThatStaysOffSaysWhy(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(deadline)
	c := newCluster()
	c.says("another module has its place")
	c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("NodePort")})
	b := c.backend(g)
	start(t, g, b)
	g.Eventually(func() string { return c.status(g, "istio").Message }).Should(Equal("Off: another module has its place"))
	g.Eventually(c.events.Events).Should(Receive(ContainSubstring("another module has its place")))
	g.Expect(c.isInvalid("istio")).To(BeFalse(), "the settings are accepted")

	c.apply(g, "istio", map[string]any{"enabled": false})
	g.Eventually(func() string { return c.status(g, "istio").Message }).Should(BeEmpty())
	c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("NodePort")})
	g.Eventually(func() string { return c.status(g, "istio").Message }).Should(HavePrefix("Off: "))
	c.says("")
	c.fares(inlet("NodePort"), succeeds)
	g.Eventually(func() status { return c.status(g, "istio") }).Should(Equal(status{Version: "2"}))
}
