package v1alpha1_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// fill sets everything that a value reaches to something that is not zero; times, which are values, are not entered.
func fill(value reflect.Value) {
	switch value.Kind() {
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(value.Elem())
	case reflect.Struct:
		if value.Type() == reflect.TypeFor[metav1.Time]() {
			value.Set(reflect.ValueOf(metav1.NewTime(time.Unix(1, 0))))
			return
		}
		for index := range value.NumField() {
			if value.Type().Field(index).IsExported() {
				fill(value.Field(index))
			}
		}
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 1, 1))
		fill(value.Index(0))
	case reflect.Map:
		key, element := reflect.New(value.Type().Key()).Elem(), reflect.New(value.Type().Elem()).Elem()
		fill(key)
		fill(element)
		value.Set(reflect.MakeMap(value.Type()))
		value.SetMapIndex(key, element)
	case reflect.String:
		value.SetString("x")
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		value.SetInt(1)
	case reflect.Uint8:
		value.SetUint(1)
	default:
		panic(value.Type().String())
	}
}

// shared returns the paths of what two values have in common in memory.
func shared(path string, a, b reflect.Value) (paths []string) {
	switch a.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if a.Pointer() == b.Pointer() {
			return []string{path}
		}
	default:
	}
	switch a.Kind() {
	case reflect.Pointer:
		return shared(path, a.Elem(), b.Elem())
	case reflect.Struct:
		if a.Type() == reflect.TypeFor[metav1.Time]() {
			return nil
		}
		for index := range a.NumField() {
			paths = append(paths, shared(path+"."+a.Type().Field(index).Name, a.Field(index), b.Field(index))...)
		}
	case reflect.Slice:
		for index := range a.Len() {
			paths = append(paths, shared(path+"[]", a.Index(index), b.Index(index))...)
		}
	default:
	}
	return paths
}

// TestADeepCopyIsEqualAndSharesNothing fails when a type has changed and `make deepcopy` was not run.
func TestADeepCopyIsEqualAndSharesNothing(t *testing.T) {
	for _, object := range []runtime.Object{
		&v1alpha1.IstioFederation{}, &v1alpha1.IstioMulticluster{},
	} {
		fill(reflect.ValueOf(object).Elem())
		copied := object.DeepCopyObject()
		if !reflect.DeepEqual(object, copied) {
			t.Errorf("a copy differs:\n%+v\n%+v", object, copied)
		}
		if paths := shared(reflect.TypeOf(object).Elem().Name(), reflect.ValueOf(object), reflect.ValueOf(copied)); len(paths) > 0 {
			t.Errorf("a copy shares %v: run `make deepcopy`", paths)
		}
	}
}

func TestDecodingTouchesNothingButTheValue(t *testing.T) {
	for text, want := range map[string]string{
		`{"ingressGateways":[],"publicServices":[],"digest":"0123"}`:     `{"ingressGateways":[],"publicServices":[],"digest":"0123"}`,
		`{"ingressGateways":null}`:                                       `{"ingressGateways":null}`,
		`{"ingressGateways":[],"publicServicesBlocks":["eA=="]}`:         `{"ingressGateways":[],"publicServicesBlocks":["eA=="]}`,
		`{"ingressGateways":[],"publicServices":[{"hostname":"a.b.c"}]}`: `{"ingressGateways":[],"publicServices":[{"hostname":"a.b.c","ports":null}]}`,
	} {
		var list v1alpha1.CachedFederation
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(list); err != nil || string(got) != want {
			t.Errorf("%s came back as %s, %v", text, got, err)
		}
	}
}
