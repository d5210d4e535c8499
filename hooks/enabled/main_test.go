package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/deckhouse/deckhouse/pkg/log"
	metricsstorage "github.com/deckhouse/deckhouse/pkg/metrics-storage"
	"github.com/flant/addon-operator/pkg/module_manager/models/hooks"
	"github.com/flant/addon-operator/pkg/module_manager/models/modules"
	"github.com/flant/addon-operator/pkg/utils"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/embedded"
)

// asModule makes the test's own program answer for the module of this name.
const asModule = "TEST_ANSWER_AS_MODULE"

func TestMain(m *testing.M) {
	if module := os.Getenv(asModule); module != "" {
		if err := answer(module, os.Getenv); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type noValues struct{}

func (noValues) GetValues(bool) utils.Values       { return utils.Values{} }
func (noValues) GetConfigValues(bool) utils.Values { return utils.Values{} }

// TestAddonOperatorTakesTheAnswer has addon-operator ask, as Deckhouse does.
func TestAddonOperatorTakesTheAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		before []string
		on     bool
	}{
		"while the embedded istio is on":    {[]string{"cert-manager", "istio"}, false},
		"while it is off":                   {[]string{"cert-manager"}, true},
		"while no other module is on":       {[]string{}, true},
		"while no list of modules is known": {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			folder := t.TempDir()
			self, err := os.Executable()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(os.Symlink(self, filepath.Join(folder, "enabled"))).To(Succeed())
			t.Setenv(asModule, "istio-alliance")

			module, err := modules.NewBasicModule("istio-alliance", folder, 900, utils.Values{}, nil, nil, modules.WithLogger(log.NewNop()))
			g.Expect(err).NotTo(HaveOccurred())
			storage := metricsstorage.NewMetricStorage()
			module.WithDependencies(&hooks.HookExecutionDependencyContainer{HookMetricsStorage: storage, MetricStorage: storage, GlobalValuesGetter: noValues{}})
			on, err := module.RunEnabledScript(t.Context(), t.TempDir(), test.before, map[string]string{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(on).To(Equal(test.on))
			if test.on {
				g.Expect(module.GetEnabledScriptReason()).To(BeNil())
			} else {
				g.Expect(*module.GetEnabledScriptReason()).To(Equal(embedded.Reason("istio-alliance")))
			}
		})
	}
}

func TestWithoutTheValuesThereIsNoAnswer(t *testing.T) {
	for name, content := range map[string]string{"no JSON": "values", "no list of modules": `{"global": {}}`, "another list": `{"global": {"enabledModules": {}}}`} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			folder := t.TempDir()
			file := func(name string) string { return filepath.Join(folder, name) }
			g.Expect(os.WriteFile(file("VALUES_PATH"), []byte(content), 0o600)).To(Succeed())
			g.Expect(answer("istio-alliance", file)).NotTo(Succeed())
			g.Expect(file("MODULE_ENABLED_RESULT")).NotTo(BeAnExistingFile())
		})
	}
}
