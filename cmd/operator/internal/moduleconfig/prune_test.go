package moduleconfig

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestPrune(t *testing.T) {
	yes := true
	cases := map[string]struct {
		settings, want map[string]any
		removed        []string
	}{
		"leaves valid settings alone": {
			alliance(map[string]any{"inlet": "NodePort"}), alliance(map[string]any{"inlet": "NodePort"}), nil},
		"takes away each rejected setting and nothing else": {
			map[string]any{"bogus": map[string]any{"a": 1.0}, "alliance": map[string]any{"inlet": "NodePort", "port": "x"}},
			alliance(map[string]any{"inlet": "NodePort"}), []string{"alliance.port", "bogus.a"}},
		"takes away a whole list for one of its items": {
			alliance(map[string]any{"inlet": "NodePort", "advertise": []any{map[string]any{"address": "a"}, map[string]any{}}}),
			alliance(map[string]any{"inlet": "NodePort"}), []string{"alliance.advertise"}},
		"keeps a setting that needs one which comes back later": {
			map[string]any{"alliance": map[string]any{"advertise": "x", "port": 30443.0, "zone": "x", "inlet": "NodePort"}},
			alliance(map[string]any{"inlet": "NodePort", "port": 30443.0}), []string{"alliance.advertise", "alliance.zone"}},
		"resolves what rules forbid together": {
			alliance(map[string]any{"inlet": "LoadBalancer", "port": 30443.0}),
			alliance(map[string]any{"inlet": "LoadBalancer"}), []string{"alliance.port"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			schema := exampleSchema(g)
			for range 5 { // the order of a map must not show
				got, removed := schema.prune(Spec{Enabled: &yes, Version: 2, Settings: c.settings})
				g.Expect(got.Settings).To(Equal(c.want))
				g.Expect(got.Enabled).To(Equal(&yes))
				g.Expect(removed).To(Equal(c.removed))
				g.Expect(schema.Check(got, nil)).To(BeEmpty())
			}
		})
	}
}

func TestPruneKeepsTheModuleOnWhenNoSettingIsToBlame(t *testing.T) {
	g := NewWithT(t)
	schema, err := NewSchema([]byte("{type: object, required: [new], properties: {new: {type: string}, old: {type: string}}}"), nil)
	g.Expect(err).NotTo(HaveOccurred())
	yes := true
	got, removed := schema.prune(Spec{Enabled: &yes, Settings: map[string]any{"old": "x"}})
	g.Expect(got).To(Equal(Spec{Enabled: &yes}))
	g.Expect(removed).To(Equal([]string{"all of them"}))
}
