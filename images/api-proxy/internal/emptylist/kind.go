// Package emptylist answers LIST and WATCH for resources that a peer asks for and
// may not see: the answer is valid, in the requested form, and has no content: a
// list without items, a watch without events.
package emptylist

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// resourceVersion of every answer. It is the smallest valid one.
const resourceVersion = "1"

// kind is a resource that can look empty.
type kind struct {
	name string
	list func() runtime.Object
	one  func(metav1.ObjectMeta) runtime.Object
}

// kinds by resource of the core group, version v1.
var kinds = map[string]kind{
	"secrets": {
		name: "Secret",
		list: func() runtime.Object {
			return &corev1.SecretList{TypeMeta: core("SecretList"), ListMeta: listMeta(), Items: []corev1.Secret{}}
		},
		one: func(meta metav1.ObjectMeta) runtime.Object {
			return &corev1.Secret{TypeMeta: core("Secret"), ObjectMeta: meta}
		},
	},
	"configmaps": {
		name: "ConfigMap",
		list: func() runtime.Object {
			return &corev1.ConfigMapList{TypeMeta: core("ConfigMapList"), ListMeta: listMeta(), Items: []corev1.ConfigMap{}}
		},
		one: func(meta metav1.ObjectMeta) runtime.Object {
			return &corev1.ConfigMap{TypeMeta: core("ConfigMap"), ObjectMeta: meta}
		},
	},
}

func core(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: kind} }

func meta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: metav1.SchemeGroupVersion.String(), Kind: kind}
}

func listMeta() metav1.ListMeta { return metav1.ListMeta{ResourceVersion: resourceVersion} }

// listAs is the empty list in the requested shape.
func (k kind) listAs(shape shape) runtime.Object {
	switch shape {
	case table:
		return &metav1.Table{
			TypeMeta: meta("Table"), ListMeta: listMeta(), Rows: []metav1.TableRow{},
			ColumnDefinitions: []metav1.TableColumnDefinition{{Name: "Name", Type: "string", Format: "name"}},
		}
	case metadata:
		return &metav1.PartialObjectMetadataList{
			TypeMeta: meta("PartialObjectMetadataList"), ListMeta: listMeta(), Items: []metav1.PartialObjectMetadata{},
		}
	default:
		return k.list()
	}
}

// bookmarkAs is the object of a bookmark: a kind and a version, no content.
func (k kind) bookmarkAs(shape shape, version string, endsInitialEvents bool) runtime.Object {
	of := metav1.ObjectMeta{ResourceVersion: version}
	if endsInitialEvents {
		of.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	}
	switch shape {
	case table:
		list := &metav1.Table{TypeMeta: meta("Table"), ListMeta: metav1.ListMeta{ResourceVersion: version}, Rows: []metav1.TableRow{}}
		row := &metav1.PartialObjectMetadata{TypeMeta: meta("PartialObjectMetadata"), ObjectMeta: of}
		list.Rows = append(list.Rows, metav1.TableRow{Cells: []any{}, Object: runtime.RawExtension{Object: row}})
		return list
	case metadata:
		return &metav1.PartialObjectMetadata{TypeMeta: meta("PartialObjectMetadata"), ObjectMeta: of}
	default:
		return k.one(of)
	}
}
