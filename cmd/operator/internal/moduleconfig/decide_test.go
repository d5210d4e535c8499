package moduleconfig

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"
)

func TestDecide(t *testing.T) {
	yes, no := true, false
	good := Spec{Enabled: &yes, Version: 2, Settings: alliance(map[string]any{"inlet": "NodePort"})}
	bad := Spec{Enabled: &yes, Settings: alliance(map[string]any{"inlet": "Foo"})}
	badAndOff := Spec{Enabled: &no, Settings: bad.Settings}
	goodButOff := Spec{Enabled: &no, Version: 2, Settings: good.Settings}
	offSettings := Spec{Enabled: &no, Version: 2}
	newer := Spec{Enabled: &yes, Version: 3, Settings: map[string]any{"alliance": good.Settings["alliance"], "bogus": map[string]any{"deep": true}}}
	const problem = "spec.settings.alliance.inlet: should be one of [LoadBalancer NodePort]"

	cases := map[string]struct {
		wanted    *Spec
		readError error
		lastGood  *Spec
		want      verdict
	}{
		"a ModuleConfig that does not exist means the defaults and forgets the past": {
			nil, nil, &good, verdict{}},
		"valid settings take effect and are remembered": {
			&good, nil, nil, verdict{effective: good, lastGood: &good, status: status{Version: "2"}}},
		"valid settings replace the last good ones": {
			&offSettings, nil, &good, verdict{effective: offSettings, lastGood: &offSettings, status: status{Version: "2"}}},
		"invalid settings leave the last good ones in force": {
			&bad, nil, &good, verdict{effective: good, lastGood: &good, status: status{Version: "2", Message: "Invalid, the previous settings stay in force: " + problem}}},
		"invalid settings do not switch on a module that was off": {
			&bad, nil, &offSettings, verdict{effective: offSettings, lastGood: &offSettings, status: status{Version: "2", Message: "Invalid, the previous settings stay in force: " + problem}}},
		"invalid settings that nothing precedes have no effect": {
			&bad, nil, nil, verdict{status: status{Message: "Invalid, nothing of it is in force until it is corrected: " + problem}}},
		"switching off is obeyed even with invalid settings": {
			&badAndOff, nil, &good, verdict{effective: goodButOff, lastGood: &good, status: status{Version: "2", Message: "Invalid, the module is off: " + problem}}},
		"last good settings that an update of the module made invalid are left out, and the module stays on": {
			&bad, nil, &bad, verdict{effective: Spec{Enabled: &yes}, lastGood: &bad, status: status{Version: "2",
				Message: "Invalid, the previous settings stay in force, without those that this version of the module rejects (alliance.inlet): " + problem}}},
		"last good settings of a newer version of the module survive a rollback, as far as they are known": {
			&newer, nil, &newer, verdict{effective: Spec{Enabled: &yes, Settings: good.Settings}, lastGood: &newer, status: status{Version: "2",
				Message: "Invalid, the previous settings stay in force, without those that this version of the module rejects (bogus.deep): " +
					"spec.version: 3 is newer than 2, the newest version this module knows: update the module or lower the version"}}},
		"switching off is obeyed with last good settings that are invalid, too": {
			&badAndOff, nil, &bad, verdict{effective: Spec{Enabled: &no}, lastGood: &bad, status: status{Version: "2", Message: "Invalid, the module is off: " + problem}}},
		"a ModuleConfig that cannot be read leaves the last good settings in force": {
			nil, errors.New("spec.version is no number"), &good, verdict{effective: good, lastGood: &good, status: status{Version: "2", Message: "Invalid, the previous settings stay in force: spec.version is no number"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(decide(exampleSchema(g), c.wanted, c.readError, c.lastGood)).To(Equal(c.want))
		})
	}
}

func TestDecideWritesProblemsOnOneLine(t *testing.T) {
	g := NewWithT(t)
	spec := Spec{Settings: map[string]any{"a": 1.0, "b": 2.0}}
	g.Expect(decide(exampleSchema(g), &spec, nil, nil).status.Message).To(HaveSuffix(
		"spec.settings.a: there is no such setting; spec.settings.b: there is no such setting"))
}

func TestDecideAsksForSenseOnlyWhenSettingsAreNew(t *testing.T) {
	yes := true
	spec := Spec{Enabled: &yes, Version: 2, Settings: alliance(map[string]any{"inlet": "NodePort"})}
	other := Spec{Enabled: &yes, Version: 2, Settings: alliance(map[string]any{"inlet": "LoadBalancer"})}
	withSense := func(g *WithT) *Schema {
		schema := exampleSchema(g)
		schema.Sense = func(_, previous map[string]any) error {
			if previous != nil && previous["unrelated"] != nil {
				return errors.New("previous: " + previous["unrelated"].(string))
			}
			return errors.Join(errors.New("ca.cert: expired"), errors.New("ca.key: is another's"))
		}
		return schema
	}

	t.Run("new settings without sense leave the last good ones in force", func(t *testing.T) {
		g := NewWithT(t)
		got := decide(withSense(g), &spec, nil, &other)
		g.Expect(got.effective).To(Equal(other))
		g.Expect(got.status.Message).To(Equal(
			"Invalid, the previous settings stay in force: spec.settings.ca.cert: expired; spec.settings.ca.key: is another's"))
	})
	t.Run("sense gets the settings accepted before", func(t *testing.T) {
		g := NewWithT(t)
		before := Spec{Enabled: &yes, Settings: map[string]any{"unrelated": "x"}} // as an older schema accepted it
		g.Expect(decide(withSense(g), &spec, nil, &before).status.Message).To(ContainSubstring("previous: x"))
	})
	t.Run("settings that were accepted once stay in force whatever time has done to them", func(t *testing.T) {
		g := NewWithT(t)
		got := decide(withSense(g), &spec, nil, &spec)
		g.Expect(got.effective).To(Equal(spec))
		g.Expect(got.status.Message).To(BeEmpty())
	})
}
