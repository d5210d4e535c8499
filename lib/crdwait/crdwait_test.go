package crdwait_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/deckhouse-mesh/istio/lib/crdwait"
)

// server answers for one name after the other, "" for an error.
func server(answers map[string][]apiextensionsv1.ConditionStatus) crdwait.Get {
	return func(_ context.Context, name string) (*apiextensionsv1.CustomResourceDefinition, error) {
		next := answers[name][0]
		if len(answers[name]) > 1 {
			answers[name] = answers[name][1:]
		}
		if next == "" {
			return nil, errors.New("the server is busy")
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		crd.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{Type: apiextensionsv1.Established, Status: next}}
		return crd, nil
	}
}

func TestEstablishedWaitsForAll(t *testing.T) {
	answers := map[string][]apiextensionsv1.ConditionStatus{"a": {"False", "True"}, "b": {"", "True"}, "c": {"True"}}
	if err := crdwait.Established(t.Context(), server(answers), time.Minute, "a", "b", "c"); err != nil {
		t.Error(err)
	}
}

func TestEstablishedNamesWhatIsMissingAndWhy(t *testing.T) {
	answers := map[string][]apiextensionsv1.ConditionStatus{"a": {"False"}, "b": {""}, "c": {"True"}}
	err := crdwait.Established(t.Context(), server(answers), 10*time.Millisecond, "a", "b", "c")
	if err == nil || !strings.Contains(err.Error(), "serves a, b: ") || !strings.Contains(err.Error(), "the server is busy") {
		t.Errorf("error %v", err)
	}
}
