package hookruntime

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// widget is a kind that client-go does not know.
type widget struct{ corev1.ConfigMap }

var (
	widgetVersion = schema.GroupVersion{Group: "example.com", Version: "v1"}
	widgetScheme  = runtime.SchemeBuilder{func(scheme *runtime.Scheme) error {
		scheme.AddKnownTypeWithName(widgetVersion.WithKind("Widget"), &widget{})
		return nil
	}}
)
