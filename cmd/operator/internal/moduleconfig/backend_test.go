package moduleconfig

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/flant/addon-operator/pkg/kube_config_manager/config"
	"github.com/flant/addon-operator/pkg/utils"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
)

// cluster is a fake one; a backend can be made for it more than once, as when
// the operator restarts.
type cluster struct {
	objects *dynamicfake.FakeDynamicClient
	core    *fake.Clientset
	events  *record.FakeRecorder

	mu      sync.Mutex
	invalid map[string]bool
	inForce utils.Values
	run     Run
	off     string
}

func newCluster() *cluster {
	scheme := runtime.NewScheme()
	return &cluster{
		objects: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(scheme, map[schema.GroupVersionResource]string{Resource: "ModuleConfigList"}),
		core:    fake.NewClientset(),
		events:  record.NewFakeRecorder(10),
		invalid: map[string]bool{},
	}
}

func (c *cluster) backend(g Gomega) *Backend {
	global, err := NewSchema([]byte("{type: object, additionalProperties: false, properties: {highAvailability: {type: boolean}}}"), nil)
	g.Expect(err).NotTo(HaveOccurred())
	return New(Options{
		Dynamic: c.objects, Kubernetes: c.core, Namespace: "d8-system",
		Schemas: map[string]*Schema{"istio": exampleSchema(g), GlobalName: global},
		Events:  c.events,
		SetInvalid: func(name string, invalid bool) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.invalid[name] = invalid
		},
		InForce:        c.settingsInForce,
		LatestRun:      c.latestRun,
		TurnedOff:      c.turnedOff,
		RemindInterval: 10 * time.Millisecond,
		Logger:         slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// settingsInForce is what addon-operator runs the module with; nil when it does not run.
func (c *cluster) settingsInForce(string) (utils.Values, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inForce, c.inForce != nil
}

// latestRun is how addon-operator fares with the module.
func (c *cluster) latestRun(string) Run {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.run
}

// turnedOff is what the module says of itself.
func (c *cluster) turnedOff(string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.off
}

// says has the module say why it is off.
func (c *cluster) says(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = reason
}

// fares says which settings addon-operator runs the module with, and how that goes.
func (c *cluster) fares(settings utils.Values, run Run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inForce, c.run = settings, run
}

// runsWith says which settings addon-operator runs the module with.
func (c *cluster) runsWith(settings utils.Values) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inForce = settings
}

func (c *cluster) isInvalid(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.invalid[name]
}

// apply creates or replaces the spec of a ModuleConfig.
func (c *cluster) apply(g Gomega, name string, spec map[string]any) {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "deckhouse.io/v1alpha1", "kind": "ModuleConfig", "metadata": map[string]any{"name": name}, "spec": spec,
	}}
	configs := c.objects.Resource(Resource)
	current, err := configs.Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = configs.Create(context.Background(), object, metav1.CreateOptions{})
	} else if err == nil {
		current.Object["spec"] = spec
		_, err = configs.Update(context.Background(), current, metav1.UpdateOptions{})
	}
	g.Expect(err).NotTo(HaveOccurred())
}

func (c *cluster) status(g Gomega, name string) status {
	object, err := c.objects.Resource(Resource).Get(context.Background(), name, metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	_, current, err := parse(object)
	g.Expect(err).NotTo(HaveOccurred())
	return current
}

func (c *cluster) statusWrites() int {
	writes := 0
	for _, action := range c.objects.Actions() {
		if action.GetVerb() == "patch" && action.GetSubresource() == "status" {
			writes++
		}
	}
	return writes
}

// start loads and starts a backend as addon-operator does, and returns the
// channel of its events.
func start(t *testing.T, g Gomega, backend *Backend) (*config.KubeConfig, chan config.Event) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	loaded, err := backend.LoadConfig(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	events := make(chan config.Event, 100)
	backend.StartInformer(ctx, events)
	var echo config.Event
	g.Eventually(events).Should(Receive(&echo))
	g.Expect(echo.Key).To(Equal(GlobalName))
	g.Expect(echo.Config.Global.Checksum).To(Equal(loaded.Global.Checksum), "the first event consumes the checksum that was loaded")
	return loaded, events
}

func module(event config.Event) *config.ModuleKubeConfig { return event.Config.Modules["istio"] }

func inlet(name string) map[string]any {
	return map[string]any{"alliance": map[string]any{"inlet": name}}
}

var deadline = 5 * time.Second

func TestSettingsTravelFromModuleConfigToAddonOperator(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(deadline)
	c := newCluster()
	c.apply(g, "istio", map[string]any{"enabled": true, "version": int64(2), "settings": inlet("NodePort")})
	loaded, events := start(t, g, c.backend(g))
	g.Expect(loaded.Modules["istio"].GetEnabled()).To(Equal("true"))
	g.Expect(loaded.Modules["istio"].GetValues()).To(Equal(utils.Values(inlet("NodePort"))))
	g.Expect(loaded.Global.GetValues()).To(BeEmpty())
	g.Eventually(func() status { return c.status(g, "istio") }).Should(Equal(status{Version: "2"}))

	c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("LoadBalancer"), "maintenance": "NoResourceReconciliation"})
	var event config.Event
	g.Eventually(events).Should(Receive(&event))
	g.Expect(event.Key).To(Equal("istio"))
	g.Expect(module(event).GetValues()).To(Equal(utils.Values(inlet("LoadBalancer"))))
	g.Expect(module(event).GetMaintenanceState()).To(Equal(utils.NoResourceReconciliation))

	c.apply(g, GlobalName, map[string]any{"settings": map[string]any{"highAvailability": true}})
	g.Eventually(events).Should(Receive(&event))
	g.Expect(event.Key).To(Equal(GlobalName))
	g.Expect(event.Config.Global.GetValues()).To(Equal(utils.Values{"highAvailability": true}))

	g.Expect(c.objects.Resource(Resource).Delete(context.Background(), "istio", metav1.DeleteOptions{})).To(Succeed())
	g.Eventually(events).Should(Receive(&event))
	g.Expect(module(event).GetEnabled()).To(Equal("n/d"))
	g.Expect(module(event).GetValues()).To(BeEmpty())
	g.Expect(module(event).GetMaintenanceState()).To(Equal(utils.Managed))
}

func TestInvalidSettingsAreExplainedAndDoNotTakeEffect(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(deadline)
	c := newCluster()
	c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("NodePort")})
	_, events := start(t, g, c.backend(g))
	g.Eventually(func() status { return c.status(g, "istio") }).Should(Equal(status{Version: "2"}))

	c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("Foo")})
	g.Eventually(func() string { return c.status(g, "istio").Message }).Should(ContainSubstring("spec.settings.alliance.inlet: should be one of"))
	g.Eventually(c.events.Events).Should(Receive(And(HavePrefix("Warning InvalidSettings"), ContainSubstring("alliance.inlet"))))
	g.Eventually(func() bool { return c.isInvalid("istio") }).Should(BeTrue())
	g.Expect(events).NotTo(Receive())

	t.Run("and a restart changes nothing of that", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(deadline)
		writes := c.statusWrites()
		again := c.backend(g)
		loaded, restarted := start(t, g, again)
		g.Expect(loaded.Modules["istio"].GetEnabled()).To(Equal("true"))
		g.Expect(loaded.Modules["istio"].GetValues()).To(Equal(utils.Values(inlet("NodePort"))))
		object, err := c.objects.Resource(Resource).Get(context.Background(), "istio", metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(again.reconcile(context.Background(), "istio", object, restarted)).To(Succeed())
		g.Expect(restarted).NotTo(Receive())
		g.Expect(c.statusWrites()).To(Equal(writes), "the status says it already")
		g.Expect(c.events.Events).NotTo(Receive(), "the Event was sent already")
	})

	t.Run("but switching off is obeyed", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(deadline)
		c.apply(g, "istio", map[string]any{"enabled": false, "settings": inlet("Foo")})
		var event config.Event
		g.Eventually(events).Should(Receive(&event))
		g.Expect(module(event).GetEnabled()).To(Equal("false"))
		g.Expect(module(event).GetValues()).To(Equal(utils.Values(inlet("NodePort"))))
	})

	t.Run("and correct settings clear the message", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(deadline)
		c.apply(g, "istio", map[string]any{"enabled": true, "settings": inlet("LoadBalancer")})
		var event config.Event
		g.Eventually(events).Should(Receive(&event))
		g.Expect(module(event).GetValues()).To(Equal(utils.Values(inlet("LoadBalancer"))))
		g.Eventually(func() status { return c.status(g, "istio") }).Should(Equal(status{Version: "2"}))
		g.Eventually(func() bool { return c.isInvalid("istio") }).Should(BeFalse())
	})
}

func TestAWarningAboutSettingsInForceIsOnlyInTheStatus(t *testing.T) {
	g := NewWithT(t)
	c := newCluster()
	c.apply(g, "istio", map[string]any{"enabled": true, "version": 2.0, "settings": inlet("NodePort")})
	c.runsWith(inlet("NodePort"))
	backend := c.backend(g)
	backend.Schemas["istio"].Warn = func(settings map[string]any) []string {
		if !reflect.DeepEqual(settings, inlet("NodePort")) {
			return nil
		}
		return []string{"node ports are old", "and few"}
	}
	start(t, g, backend)
	says := func() string { return c.status(g, "istio").Message }
	g.Eventually(says, deadline).Should(Equal("Warning: node ports are old; and few"))
	g.Consistently(c.isInvalid).WithArguments("istio").Should(BeFalse())
	g.Expect(c.events.Events).NotTo(Receive(), "hook istio_versions makes the Event")

	c.apply(g, "istio", map[string]any{"enabled": true, "version": 2.0, "settings": inlet("LoadBalancer")})
	g.Eventually(says, deadline).Should(BeEmpty())
	c.apply(g, "istio", map[string]any{"enabled": false, "version": 2.0, "settings": inlet("NodePort")})
	g.Consistently(says).Should(BeEmpty(), "what is off needs no warning")
}

func TestReturningToTheFirstSettingsIsNotMistakenForAnEcho(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(deadline)
	c := newCluster()
	first := map[string]any{"settings": map[string]any{"highAvailability": true}}
	c.apply(g, GlobalName, first)
	loaded, events := start(t, g, c.backend(g))

	var event config.Event
	c.apply(g, GlobalName, map[string]any{"settings": map[string]any{"highAvailability": false}})
	g.Eventually(events).Should(Receive(&event))
	g.Expect(event.Config.Global.Checksum).NotTo(Equal(loaded.Global.Checksum))
	c.apply(g, GlobalName, first)
	g.Eventually(events).Should(Receive(&event))
	g.Expect(event.Config.Global.Checksum).To(Equal(loaded.Global.Checksum))
}

func TestDeletingTheGlobalModuleConfigResetsItsValues(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(deadline)
	c := newCluster()
	c.apply(g, GlobalName, map[string]any{"settings": map[string]any{"highAvailability": true}})
	_, events := start(t, g, c.backend(g))
	g.Expect(c.objects.Resource(Resource).Delete(context.Background(), GlobalName, metav1.DeleteOptions{})).To(Succeed())
	var event config.Event
	g.Eventually(events).Should(Receive(&event))
	g.Expect(event.Config.Global).NotTo(BeNil(), "addon-operator keeps the old values without a section")
	g.Expect(event.Config.Global.GetValues()).To(BeEmpty())
}

func TestModuleConfigsOfOthersAreLeftAlone(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(deadline)
	c := newCluster()
	c.apply(g, "prometheus", map[string]any{"enabled": true, "settings": map[string]any{"bogus": true}})
	loaded, events := start(t, g, c.backend(g))
	g.Expect(loaded.Modules).NotTo(HaveKey("prometheus"))
	c.apply(g, "prometheus", map[string]any{"enabled": false})
	// What comes after it has been handled, so it has been passed over.
	c.apply(g, "istio", map[string]any{"enabled": true})
	var event config.Event
	g.Eventually(events).Should(Receive(&event))
	g.Expect(event.Key).To(Equal("istio"))
	g.Expect(c.status(g, "prometheus")).To(Equal(status{}))
}

func TestAFailedStatusWriteIsRepeated(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(deadline)
	c := newCluster()
	var once sync.Once
	c.objects.PrependReactor("patch", "moduleconfigs", func(k8stesting.Action) (handled bool, result runtime.Object, err error) {
		once.Do(func() { handled, err = true, errors.New("the API server is busy") })
		return handled, nil, err
	})
	c.apply(g, "istio", map[string]any{"enabled": true})
	start(t, g, c.backend(g))
	g.Eventually(func() status { return c.status(g, "istio") }).Should(Equal(status{Version: "2"}))
}

func TestLoadingOneModuleLeavesOutTheOthers(t *testing.T) {
	g := NewWithT(t)
	c := newCluster()
	c.apply(g, "istio", map[string]any{"enabled": true})
	loaded, err := c.backend(g).LoadConfig(context.Background(), "istio")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(loaded.Modules).To(HaveKey("istio"))
	g.Expect(loaded.Global).To(BeNil())
}

func TestHooksCannotWriteSettings(t *testing.T) {
	g := NewWithT(t)
	_, err := newCluster().backend(g).SaveConfigValues(context.Background(), "istio", utils.Values{})
	g.Expect(err).To(MatchError(ContainSubstring("written by people")))
}

func TestLastGoodSettingsAreASecretThatIsWrittenOnChangeOnly(t *testing.T) {
	g := NewWithT(t)
	c := newCluster()
	yes := true
	spec := &Spec{Enabled: &yes, Settings: inlet("NodePort")}
	store := &lastGoodStore{client: c.core, namespace: "d8-system"}
	writes := func() (count int) {
		for _, action := range c.core.Actions() {
			if verb := action.GetVerb(); verb == "create" || verb == "update" {
				count++
			}
		}
		return count
	}

	g.Expect(store.put(context.Background(), "istio", nil)).To(Succeed())
	g.Expect(writes()).To(Equal(0))
	g.Expect(store.put(context.Background(), "istio", spec)).To(Succeed())
	g.Expect(store.put(context.Background(), "istio", spec)).To(Succeed())
	g.Expect(writes()).To(Equal(1))

	restarted := &lastGoodStore{client: c.core, namespace: "d8-system"}
	g.Expect(restarted.get(context.Background(), "istio")).To(Equal(spec))
	g.Expect(restarted.put(context.Background(), "istio", spec)).To(Succeed())
	g.Expect(writes()).To(Equal(1))

	g.Expect(restarted.put(context.Background(), "istio", nil)).To(Succeed())
	g.Expect(writes()).To(Equal(2))
	secret, err := c.core.CoreV1().Secrets("d8-system").Get(context.Background(), lastGoodSecret, metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(secret.Data).To(BeEmpty())
}

func TestAnUnreadableLastGoodSecretIsReplaced(t *testing.T) {
	g := NewWithT(t)
	c := newCluster()
	_, err := c.core.CoreV1().Secrets("d8-system").Create(context.Background(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: lastGoodSecret, Namespace: "d8-system"},
		Data:       map[string][]byte{"istio": []byte("{")},
	}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	store := &lastGoodStore{client: c.core, namespace: "d8-system"}
	g.Expect(store.get(context.Background(), "istio")).To(BeNil())
	g.Expect(store.put(context.Background(), "istio", &Spec{Version: 2})).To(Succeed())
	g.Expect((&lastGoodStore{client: c.core, namespace: "d8-system"}).get(context.Background(), "istio")).To(Equal(&Spec{Version: 2}))
}
