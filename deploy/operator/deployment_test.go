package operator_test

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestTheOperatorIsTheSameInTheLeaseAfterARestart: of one Pod at a time, and of every container that runs in it.
func TestTheOperatorIsTheSameInTheLeaseAfterARestart(t *testing.T) {
	container := operatorContainer(t)
	const identity = "--leader-identity=$(POD_NAME)_$(POD_UID)"
	if !slices.Contains(container.Args, identity) {
		t.Errorf("%q is not among the arguments %q", identity, container.Args)
	}
	fields := map[string]string{}
	for _, variable := range container.Env {
		if variable.ValueFrom != nil && variable.ValueFrom.FieldRef != nil {
			fields[variable.Name] = variable.ValueFrom.FieldRef.FieldPath
		}
	}
	if fields["POD_NAME"] != "metadata.name" || fields["POD_UID"] != "metadata.uid" {
		t.Errorf("it is made of %v", fields)
	}
}

func operatorContainer(t *testing.T) corev1.Container {
	t.Helper()
	for _, object := range objects(t, nil) {
		if object.GetKind() != "Deployment" {
			continue
		}
		var deployment appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &deployment); err != nil {
			t.Fatal(err)
		}
		return deployment.Spec.Template.Spec.Containers[0]
	}
	t.Fatal("the chart has no Deployment")
	return corev1.Container{}
}
