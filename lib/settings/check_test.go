package settings_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/settings"
)

func TestCheck(t *testing.T) {
	one, err := ca.Generate("cluster-a.local")
	if err != nil {
		t.Fatal(err)
	}
	other, err := ca.Generate("cluster-a.local")
	if err != nil {
		t.Fatal(err)
	}
	advertise := func(address string) map[string]any {
		return map[string]any{"alliance": map[string]any{"ingressGateway": map[string]any{
			"advertise": []any{map[string]any{"address": address, "port": 443}}}}}
	}
	for name, test := range map[string]struct {
		settings map[string]any
		want     string
	}{
		"no settings are fine":                   {nil, ""},
		"a sound CA is fine":                     {map[string]any{"ca": map[string]any{"cert": one.Cert, "key": one.Key}}, ""},
		"a CA whose key is another's is refused": {map[string]any{"ca": map[string]any{"cert": one.Cert, "key": other.Key}}, "ca.key: does not belong"},
		"a CA without a certificate is refused":  {map[string]any{"ca": map[string]any{"key": one.Key}}, "ca.cert:"},
		"a DNS name can be advertised":           {advertise("gw.example.com"), ""},
		"an address for nobody cannot":           {advertise("0.0.0.0"), "alliance.ingressGateway.advertise[0]: address 0.0.0.0"},
		"a node port without its inlet is refused": {map[string]any{"alliance": map[string]any{"ingressGateway": map[string]any{
			"nodePort": map[string]any{"port": 30443}}}}, "alliance.ingressGateway.nodePort.port: is 30443"},
		"settings of the wrong type are an error":   {map[string]any{"ca": "x"}, "decode settings"},
		"unknown settings are the schema's concern": {map[string]any{"unknown": true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := errors.Join(settings.Check(test.settings, nil, time.Now())...)
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestCheckOfAnExpiredCA(t *testing.T) {
	one, err := ca.Generate("cluster-a.local")
	if err != nil {
		t.Fatal(err)
	}
	other, err := ca.Generate("cluster-a.local")
	if err != nil {
		t.Fatal(err)
	}
	bundle := func(cert, key string) map[string]any {
		return map[string]any{"ca": map[string]any{"cert": cert, "key": key}}
	}
	accepted := bundle(one.Cert, one.Key)
	later := time.Now().AddDate(20, 0, 0)

	t.Run("is told from other problems", func(t *testing.T) {
		problems := settings.Check(accepted, nil, later)
		if len(problems) != 1 || !errors.As(problems[0], new(settings.Expired)) || !strings.Contains(problems[0].Error(), "ca.cert:") {
			t.Errorf("got %v, want one Expired of ca.cert", problems)
		}
		problems = settings.Check(bundle(one.Cert, other.Key), nil, later)
		if len(problems) != 1 || errors.As(problems[0], new(settings.Expired)) {
			t.Errorf("got %v, want a problem that is not only the time", problems)
		}
	})
	t.Run("does not stand in the way of another change", func(t *testing.T) {
		changed := bundle(one.Cert, one.Key)
		changed["tlsMode"] = "Mutual"
		if problems := settings.Check(changed, accepted, later); problems != nil {
			t.Errorf("got %v", problems)
		}
	})
	t.Run("is refused when it is new", func(t *testing.T) {
		if problems := settings.Check(bundle(other.Cert, other.Key), accepted, later); len(problems) != 1 {
			t.Errorf("got %v, want one problem", problems)
		}
	})
}
