// Package emptylist answers LIST and WATCH for resources that a peer asks for and
// may not see: the answer is valid, in the requested form, and has no content: a
// list without items, a watch without events.
package emptylist

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// resourceVersion of every answer. It is the smallest valid one.
const resourceVersion = "1"

// kinds by resource of the core group, version v1, which can look empty. A list without
// items, and an object without content, differ by nothing but the name of their kind, in
// JSON and in protobuf: those of metav1.PartialObjectMetadata stand for all.
var kinds = map[string]string{"secrets": "Secret", "configmaps": "ConfigMap"}

func core(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: "v1", Kind: kind} }

func meta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: metav1.SchemeGroupVersion.String(), Kind: kind}
}

func listMeta() metav1.ListMeta { return metav1.ListMeta{ResourceVersion: resourceVersion} }

// list is the empty list of a kind in the requested shape.
func list(kind string, shape shape) runtime.Object {
	of := core(kind + "List")
	switch shape {
	case table:
		return &metav1.Table{
			TypeMeta: meta("Table"), ListMeta: listMeta(), Rows: []metav1.TableRow{},
			ColumnDefinitions: []metav1.TableColumnDefinition{{Name: "Name", Type: "string", Format: "name"}},
		}
	case metadata:
		of = meta("PartialObjectMetadataList")
	}
	return &metav1.PartialObjectMetadataList{TypeMeta: of, ListMeta: listMeta(), Items: []metav1.PartialObjectMetadata{}}
}

// bookmark is the object of a bookmark: a kind and a version, no content.
func bookmark(kind string, shape shape, version string, endsInitialEvents bool) runtime.Object {
	object := &metav1.PartialObjectMetadata{TypeMeta: core(kind), ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}}
	if endsInitialEvents {
		object.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	}
	if shape == table || shape == metadata {
		object.TypeMeta = meta("PartialObjectMetadata")
	}
	if shape == table {
		row := metav1.TableRow{Cells: []any{}, Object: runtime.RawExtension{Object: object}}
		return &metav1.Table{TypeMeta: meta("Table"), ListMeta: metav1.ListMeta{ResourceVersion: version}, Rows: []metav1.TableRow{row}}
	}
	return object
}
