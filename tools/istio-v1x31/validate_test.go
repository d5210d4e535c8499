package istio_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/config/validation"
)

// peers is how many random peers the objects are made from.
const peers = 400

// kinds that the module makes, and Istio's own validation of each: what its webhook asks.
var kinds = map[string]struct {
	kind     config.GroupVersionKind
	spec     func() proto.Message
	validate validation.ValidateFunc
}{
	"ServiceEntry":    {gvk.ServiceEntry, func() proto.Message { return &networking.ServiceEntry{} }, validation.ValidateServiceEntry},
	"DestinationRule": {gvk.DestinationRule, func() proto.Message { return &networking.DestinationRule{} }, validation.ValidateDestinationRule},
}

// TestIstioAcceptsWhatTheModuleMakesOfRandomPeers: ISTIO_CORPUS_SEED repeats a run that failed.
func TestIstioAcceptsWhatTheModuleMakesOfRandomPeers(t *testing.T) {
	seed := os.Getenv("ISTIO_CORPUS_SEED")
	if seed == "" {
		seed = strconv.FormatInt(time.Now().UnixNano(), 10)
	}
	t.Logf("ISTIO_CORPUS_SEED=%s", seed)
	command := exec.CommandContext(t.Context(), "go", "run", "./test/support/federationtest/corpus", "-seed", seed, "-peers", strconv.Itoa(peers))
	command.Dir = "../.."
	var complaints bytes.Buffer
	command.Stderr = &complaints
	corpus, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaints.String())
	}

	seen := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(corpus))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var object struct {
			metav1.TypeMeta   `json:",inline"`
			metav1.ObjectMeta `json:"metadata"`
			Spec              json.RawMessage `json:"spec"`
		}
		if err := json.Unmarshal(lines.Bytes(), &object); err != nil {
			t.Fatal(err)
		}
		known, ok := kinds[object.Kind]
		if !ok {
			t.Fatalf("Istio's validation of kind %q is not asked here", object.Kind)
		}
		seen[object.Kind]++
		spec := known.spec()
		if err := (protojson.UnmarshalOptions{}).Unmarshal(object.Spec, spec); err != nil {
			t.Errorf("%s %s: %v\n%s", object.Kind, object.Name, err, object.Spec)
			continue
		}
		warnings, err := known.validate(config.Config{
			Meta: config.Meta{GroupVersionKind: known.kind, Name: object.Name, Namespace: object.Namespace, Labels: object.Labels, Annotations: object.Annotations},
			Spec: spec,
		})
		if err != nil || warnings != nil {
			t.Errorf("%s %s: error %v, warnings %v\n%s", object.Kind, object.Name, err, warnings, object.Spec)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for kind := range kinds {
		if seen[kind] < 100 {
			t.Errorf("%d objects of kind %s are too few to mean anything", seen[kind], kind)
		}
	}
}
