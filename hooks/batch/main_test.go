package main

import (
	"errors"
	"testing"
	"time"

	patchablevalues "github.com/deckhouse/module-sdk/pkg/patchable-values"
	"github.com/deckhouse/module-sdk/pkg/settingscheck"
	"github.com/deckhouse/module-sdk/pkg/utils"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/settings"
)

func TestJudge(t *testing.T) {
	g := NewWithT(t)
	bundle, err := ca.Generate("cluster-a.local")
	g.Expect(err).NotTo(HaveOccurred())
	expired := settings.Check(map[string]any{"ca": map[string]any{"cert": bundle.Cert, "key": bundle.Key}}, nil, time.Now().AddDate(20, 0, 0))

	g.Expect(judge(nil).Valid).To(BeTrue())

	warned := judge(expired)
	g.Expect(warned.Valid).To(BeTrue(), "an expired CA does not prevent other changes")
	g.Expect(warned.Warnings).To(ConsistOf(ContainSubstring("expired")))

	rejected := judge(append(expired, errors.New("alliance: wrong")))
	g.Expect(rejected.Valid).To(BeFalse())
	g.Expect(rejected.Message).To(Equal("alliance: wrong"))
}

func TestCheckSettings(t *testing.T) {
	g := NewWithT(t)
	check := func(document string) settingscheck.Result {
		values, err := utils.NewValuesFromBytes([]byte(document))
		g.Expect(err).NotTo(HaveOccurred())
		wanted, err := patchablevalues.NewPatchableValues(values)
		g.Expect(err).NotTo(HaveOccurred())
		return checkSettings(t.Context(), settingscheck.Input{Settings: wanted})
	}
	g.Expect(check("{}").Warnings).To(BeEmpty())

	dropped := check(`{"globalVersion": "1.25"}`)
	g.Expect(dropped.Valid).To(BeTrue(), "a version that a release of the module dropped changes nothing of what is installed")
	g.Expect(dropped.Warnings).To(ConsistOf(ContainSubstring("choose 1.31")))
	g.Expect(check(`{"globalVersion": "99.0"}`).Valid).To(BeFalse())

	ztunnel := check(`{"dataPlane": {"ztunnel": {"resourcesManagement": {}}}}`)
	g.Expect(ztunnel.Valid).To(BeTrue())
	g.Expect(check(`{"sidecar": {"resourcesManagement": {"static": {"limits": null}}}}`).Warnings).To(ConsistOf(ContainSubstring("write 0")))
	g.Expect(ztunnel.Warnings).To(ConsistOf(HavePrefix("dataPlane.ztunnel is without effect")))
}
