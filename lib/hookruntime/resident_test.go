package hookruntime

import (
	"context"
	"testing"

	"github.com/deckhouse/module-sdk/pkg"
	. "github.com/onsi/gomega"
)

func TestResidentFormTakesThePlaceOfConfigAndRun(t *testing.T) {
	g := NewWithT(t)
	ran := ""
	named := func(name string) func(context.Context, *pkg.HookInput) error {
		return func(context.Context, *pkg.HookInput) error { ran = name; return nil }
	}
	hook := Hook{Name: "services", Config: pkg.HookConfig{Queue: "/one-run"}, Run: named("one run")}
	g.Expect(hook.resident().Config.Queue).To(Equal("/one-run"), "a hook without one is as it is")

	hook.Resident = &Resident{Config: pkg.HookConfig{Queue: "/lives-on"}, Run: named("lives on")}
	g.Expect(hook.resident().Name).To(Equal("services"))
	g.Expect(hook.resident().Config.Queue).To(Equal("/lives-on"))
	g.Expect(hook.resident().Run(context.Background(), nil)).To(Succeed())
	g.Expect(ran).To(Equal("lives on"))
}
