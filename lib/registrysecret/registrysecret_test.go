package registrysecret_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/registrysecret"
)

const dockerConfigJSON = "kubernetes.io/dockerconfigjson"

func TestChanges(t *testing.T) {
	ours := registrysecret.Secret{Namespace: "shop", Managed: true, Type: dockerConfigJSON, Config: "e30="}
	other := ours
	other.Config = "b2xk"
	opaque := ours
	opaque.Type = "Opaque"
	theirs := ours
	theirs.Managed = false
	for name, test := range map[string]struct {
		config     string
		namespaces []string
		found      []registrysecret.Secret
		want       map[string]registrysecret.Action
	}{
		"it is created":                               {"e30=", []string{"shop", "bank"}, nil, map[string]registrysecret.Action{"shop": "Create", "bank": "Create"}},
		"it is there":                                 {"e30=", []string{"shop"}, []registrysecret.Secret{ours}, nil},
		"the module's namespace has its own":          {"e30=", []string{"d8-istio"}, nil, nil},
		"the password has changed":                    {"e30=", []string{"shop"}, []registrysecret.Secret{other}, map[string]registrysecret.Action{"shop": "Update"}},
		"a tenant's own is in the way":                {"e30=", []string{"shop", "bank"}, []registrysecret.Secret{theirs}, map[string]registrysecret.Action{"shop": "Taken", "bank": "Create"}},
		"one of another type that says it is ours":    {"e30=", []string{"shop"}, []registrysecret.Secret{opaque}, map[string]registrysecret.Action{"shop": "Taken"}},
		"the namespace has no sidecars any more":      {"e30=", nil, []registrysecret.Secret{ours}, map[string]registrysecret.Action{"shop": "Delete"}},
		"the registry has no password any more":       {"", []string{"shop"}, []registrysecret.Secret{ours}, map[string]registrysecret.Action{"shop": "Delete"}},
		"a tenant's own stays where it is not needed": {"", nil, []registrysecret.Secret{theirs}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]registrysecret.Action{}
			for _, change := range registrysecret.Changes(test.config, test.namespaces, test.found) {
				got[change.Namespace] = change.Action
			}
			if len(got) != len(test.want) {
				t.Fatalf("got %v, want %v", got, test.want)
			}
			for namespace, action := range test.want {
				if got[namespace] != action {
					t.Errorf("namespace %s: %s, want %s", namespace, got[namespace], action)
				}
			}
		})
	}
}

func TestWhatFailsIsTriedAgainLaterEachTime(t *testing.T) {
	var retry registrysecret.Retry
	change := registrysecret.Changes("e30=", []string{"shop"}, nil)[0]
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var delays []time.Duration
	for range 7 {
		if !retry.Due(change, now) {
			t.Fatal("not due")
		}
		retry.Failed(change, now)
		delay := time.Duration(0)
		for !retry.Due(change, now.Add(delay)) {
			delay += 30 * time.Second
		}
		delays = append(delays, delay)
		now = now.Add(delay)
	}
	if want := []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute}; !slices.Equal(delays, want) {
		t.Errorf("delays %v, want %v", delays, want)
	}
	retry.Failed(change, now)
	if other := registrysecret.Changes("bmV3", []string{"shop"}, nil)[0]; !retry.Due(other, now) {
		t.Error("another change has to wait")
	}
	if retry.Forget("shop"); !retry.Due(change, now) {
		t.Error("what succeeded has to wait")
	}
}

// Events and Helm wake the hook in two queues at a time; without a lock the runtime ends the process at once.
func TestTwoRunsMayRetryAtATime(t *testing.T) {
	var retry registrysecret.Retry
	var runs sync.WaitGroup
	for run := range 2 {
		runs.Go(func() {
			for number := range 2000 {
				change := registrysecret.Change{Namespace: fmt.Sprint("of run ", run, " ", number), Action: registrysecret.Update}
				retry.Failed(change, time.Now())
				if retry.Due(change, time.Now()) {
					t.Error("a change that has just failed is due again")
				}
				retry.Forget(change.Namespace)
			}
		})
	}
	runs.Wait()
}
