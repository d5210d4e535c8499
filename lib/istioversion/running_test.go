package istioversion

import "testing"

func TestTheRunningVersionsAreThoseOfTheImages(t *testing.T) {
	v := Version{Version: "1.29", Patch: 9}
	for name, test := range map[string]struct {
		images []string
		want   string
	}{
		"the table's patch when nothing else is stated": {nil, "1.29.9"},
		"another one that is stated for this minor":     {[]string{"1.31.0", "1.29.1"}, "1.29.1"},
		"not one that is stated for other minors":       {[]string{"1.31.0", "1.2.1"}, "1.29.9"},
	} {
		if got := Running(v, test.images); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestTheListOfImageVersionsIsChecked(t *testing.T) {
	full := Default().ModuleFull()
	for _, right := range [][]string{nil, {full}, {full, All()[1].Full()}} {
		if err := CheckImages(right); err != nil {
			t.Errorf("%v: %v", right, err)
		}
	}
	for _, wrong := range [][]string{{""}, {"1.31"}, {"v" + full}, {full + "-rc.1"}, {"1.4.0"}, {full, Default().Full()}, {"latest"}} {
		if err := CheckImages(wrong); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}

func TestTheRunningVersionDecidesOnRestartsForReplacedKubeconfigs(t *testing.T) {
	for full, want := range map[string]bool{
		"1.28.9": false, "1.29.0": true, "1.29.1": true, "1.29.2": true, "1.29.3": false, "1.29.9": false, "1.29.10": false,
		"1.30.0": true, "1.30.3": true, "1.30.4": false, "1.30.7": false, "1.31.0": false, "1.31.3": false, "1.32.0": false,
	} {
		if got, err := NeedsRestartOnReplacedKubeconfig(full); err != nil || got != want {
			t.Errorf("%s: %v, %v", full, got, err)
		}
	}
	if _, err := NeedsRestartOnReplacedKubeconfig("newest"); err == nil {
		t.Error("what is no version is no error")
	}
	for _, v := range All() {
		if needs, err := NeedsRestartOnReplacedKubeconfig(v.Full()); err != nil || needs {
			t.Errorf("Istio %s is run, and its istiod must be restarted for a replaced kubeconfig (%v)", v.Full(), err)
		}
	}
}
