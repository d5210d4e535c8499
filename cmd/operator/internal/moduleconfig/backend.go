package moduleconfig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/flant/addon-operator/pkg/kube_config_manager/backend"
	"github.com/flant/addon-operator/pkg/kube_config_manager/config"
	"github.com/flant/addon-operator/pkg/utils"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

const (
	// resync is how often every ModuleConfig is judged again although it did not change.
	resync = 10 * time.Minute
	// reasonInvalid is the reason of the Warning Event on a ModuleConfig that is rejected.
	reasonInvalid = "InvalidSettings"
)

var _ backend.ConfigHandler = (*Backend)(nil)

// Options are what a Backend works with; all are required.
type Options struct {
	Dynamic    dynamic.Interface
	Kubernetes kubernetes.Interface
	// Namespace of the Secret with the last good settings.
	Namespace string
	// Schemas by name of the ModuleConfig; ModuleConfigs of other names are ignored.
	Schemas map[string]*Schema
	Events  record.EventRecorder
	// SetInvalid reports for metrics whether ModuleConfig name is rejected.
	SetInvalid func(name string, invalid bool)
	// InForce returns the settings that a module runs with, and false while it does not run.
	InForce func(name string) (settings utils.Values, running bool)
	// LatestRun returns how a module that runs fares; the zero value while that is unknown.
	LatestRun func(name string) Run
	// TurnedOff returns why a module is off that its ModuleConfig switches on, as the module itself says; else nothing.
	TurnedOff func(name string) string
	// RemindInterval is how often settings in force are compared with those announced, and their outcome is looked at.
	RemindInterval time.Duration
	Logger         *slog.Logger
}

// Backend is addon-operator's source of settings. Its level-triggered loop
// judges a ModuleConfig, sends addon-operator the changes, and then writes the
// last good settings and the status, each only when it differs.
type Backend struct {
	Options

	// mu serialises judging, which happens in LoadConfig and in the loop.
	mu       sync.Mutex
	lastGood *lastGoodStore
	// announced is the effective spec that addon-operator has.
	announced map[string]Spec
	// overdue is true for a module that ran with other settings than those at the last look.
	overdue map[string]bool
	// reminded counts the reminders for a module.
	reminded map[string]int
	outcomes map[string]outcome
}

// New returns a Backend; addon-operator starts it.
func New(options Options) *Backend {
	return &Backend{
		Options:   options,
		lastGood:  &lastGoodStore{client: options.Kubernetes, namespace: options.Namespace},
		announced: map[string]Spec{},
		overdue:   map[string]bool{},
		reminded:  map[string]int{},
		outcomes:  map[string]outcome{},
	}
}

// LoadConfig returns the settings in force, of all modules or of those named.
func (b *Backend) LoadConfig(ctx context.Context, moduleNames ...string) (*config.KubeConfig, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	list, err := b.Dynamic.Resource(Resource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list ModuleConfigs: %w", err)
	}
	objects := map[string]*unstructured.Unstructured{}
	for i := range list.Items {
		objects[list.Items[i].GetName()] = &list.Items[i]
	}

	out := config.NewConfig()
	for name := range b.Schemas {
		if len(moduleNames) > 0 && !slices.Contains(moduleNames, name) {
			continue
		}
		judged, _, err := b.judge(ctx, name, objects[name])
		if err != nil {
			return nil, err
		}
		b.announced[name] = judged.effective
		b.fill(out, name, judged.effective)
	}
	return out, nil
}

// StartInformer watches ModuleConfigs and sends what changes to events, until
// ctx ends. It returns at once.
func (b *Backend) StartInformer(ctx context.Context, events chan config.Event) {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](200*time.Millisecond, time.Minute))
	factory := dynamicinformer.NewDynamicSharedInformerFactory(b.Dynamic, resync)
	informer := factory.ForResource(Resource).Informer()
	enqueue := func(object any) {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
		if _, known := b.Schemas[key]; err == nil && known {
			queue.Add(key)
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, object any) { enqueue(object) },
		DeleteFunc: enqueue,
	})
	if err != nil {
		events <- config.Event{Err: fmt.Errorf("watch ModuleConfigs: %w", err)}
		return
	}

	// addon-operator takes the first event with the checksum that it loaded for
	// an echo of its own write and drops it. Send that one now, lest it drops a
	// person's return to these settings later.
	b.mu.Lock()
	b.announce(ctx, events, GlobalName)
	b.mu.Unlock()

	go informer.Run(ctx.Done())
	context.AfterFunc(ctx, queue.ShutDown)
	go func() {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return
		}
		// Whatever was deleted between LoadConfig and now has no event.
		for name := range b.Schemas {
			queue.Add(name)
		}
		go b.remind(ctx, events, queue.Add)
		for b.next(ctx, queue, informer.GetStore(), events) {
		}
	}()
}

func (b *Backend) next(ctx context.Context, queue workqueue.TypedRateLimitingInterface[string], store cache.Store, events chan config.Event) bool {
	name, shutdown := queue.Get()
	if shutdown {
		return false
	}
	defer queue.Done(name)

	var object *unstructured.Unstructured
	if cached, found, err := store.GetByKey(name); err == nil && found {
		object, _ = cached.(*unstructured.Unstructured) // a dynamic informer stores nothing else
	}
	if err := b.reconcile(ctx, name, object, events); err != nil {
		b.Logger.Error("apply ModuleConfig, will try again", slog.String("name", name), slog.Any("error", err))
		queue.AddRateLimited(name)
		return true
	}
	queue.Forget(name)
	return true
}

// reconcile applies one ModuleConfig and writes its status; object is nil
// when there is none.
func (b *Backend) reconcile(ctx context.Context, name string, object *unstructured.Unstructured, events chan config.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()

	judged, current, err := b.judge(ctx, name, object)
	if err != nil {
		return err
	}
	if former, announced := b.announced[name]; !announced || fingerprint(former) != fingerprint(judged.effective) {
		b.announced[name] = judged.effective
		b.announce(ctx, events, name)
	}
	reason := reasonInvalid
	b.SetInvalid(name, judged.status.Message != "")
	if judged.status.Message == "" {
		reason = reasonNotApplied
		judged.status.Message = b.unapplied(name, judged.effective, current.Message)
	}
	inForce := judged.status.Message == ""
	if inForce && object != nil {
		judged.status.Message = b.Schemas[name].warning(judged.effective, judged.advice)
	}

	errs := []error{b.retain(ctx, name, judged.lastGood)}
	if object != nil && judged.status != current {
		if !inForce && judged.status.Message != current.Message {
			b.Events.Event(object, corev1.EventTypeWarning, reason, judged.status.Message)
			b.Logger.Warn("ModuleConfig not in force", slog.String("name", name), slog.String("message", judged.status.Message))
		}
		errs = append(errs, b.writeStatus(ctx, name, judged.status))
	}
	return errors.Join(errs...)
}

// retain stores the settings to fall back to, if they may be stored already.
func (b *Backend) retain(ctx context.Context, name string, spec *Spec) error {
	stored, err := b.lastGood.get(ctx, name)
	if err != nil || !b.mayRetain(name, spec, stored) {
		return err
	}
	return b.lastGood.put(ctx, name, spec)
}

func (b *Backend) judge(ctx context.Context, name string, object *unstructured.Unstructured) (verdict, status, error) {
	lastGood, err := b.lastGood.get(ctx, name)
	if err != nil {
		return verdict{}, status{}, err
	}
	if object == nil || object.GetDeletionTimestamp() != nil {
		return decide(b.Schemas[name], nil, nil, lastGood), status{}, nil
	}
	wanted, current, err := parse(object)
	if err != nil {
		return decide(b.Schemas[name], nil, err, lastGood), status{}, nil
	}
	return decide(b.Schemas[name], &wanted, nil, lastGood), current, nil
}

// announce sends the announced spec of name. A ModuleConfig that is gone is sent
// as an update to the defaults: for addon-operator both are the same, but a
// deletion of the global one would leave its values in place.
func (b *Backend) announce(ctx context.Context, events chan config.Event, name string) {
	changed := config.NewConfig()
	b.fill(changed, name, b.announced[name])
	select {
	case events <- config.Event{Key: name, Op: config.EventUpdate, Config: changed}:
	case <-ctx.Done():
	}
}

// fill puts the spec of name where addon-operator looks for it.
func (b *Backend) fill(out *config.KubeConfig, name string, effective Spec) {
	if name == GlobalName {
		values := effective.values(utils.GlobalValuesKey)
		out.Global = &config.GlobalKubeConfig{Values: values, Checksum: values.Checksum()}
		return
	}
	// addon-operator forgets a module's settings when it is switched off, and
	// applies them again only when the checksum has changed: so the checksum
	// covers the switch, too, and how often it had to be reminded.
	out.Modules[name] = &config.ModuleKubeConfig{
		ModuleConfig: effective.moduleConfig(name),
		Checksum:     fmt.Sprintf("%s/%d", fingerprint(effective), b.reminded[name]),
	}
}

func (b *Backend) writeStatus(ctx context.Context, name string, wanted status) error {
	patch, err := json.Marshal(map[string]any{"status": wanted})
	if err == nil {
		_, err = b.Dynamic.Resource(Resource).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	}
	if err != nil {
		return fmt.Errorf("write the status of ModuleConfig %q: %w", name, err)
	}
	return nil
}

// SaveConfigValues fails: settings are a person's, hooks do not write them.
func (b *Backend) SaveConfigValues(_ context.Context, key string, _ utils.Values) (string, error) {
	return "", fmt.Errorf("save settings of %q: ModuleConfigs are written by people, not by hooks", key)
}

// fingerprint identifies a spec; the encoding of maps is sorted.
func fingerprint(spec Spec) string {
	raw, err := json.Marshal(spec)
	if err != nil {
		panic(fmt.Sprintf("encode a spec that was decoded from JSON: %v", err))
	}
	return string(raw)
}
