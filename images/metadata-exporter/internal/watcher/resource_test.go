package watcher

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/peer"
)

func manifest(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	object := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: object}
}

func TestTheWatcherReadsEndpointUUIDAndBlame(t *testing.T) {
	object := manifest(t, `
apiVersion: deckhouse.io/v1alpha1
kind: IstioFederation
metadata:
  name: b
  resourceVersion: "7"
  annotations: {note: mine}
  managedFields: [{manager: kubectl}]
spec:
  trustDomain: cluster-b.local
  metadataEndpoint: https://istio.b.example.com/metadata/
  metadata: {ca: PEM, insecureSkipVerify: true}
status:
  metadataCache:
    public: {clusterUUID: uuid-b}
    private: {publicServices: [{hostname: web.shop.svc.cluster-b.local}]}
  conditions:
  - {type: PublicMetadata, status: "True", reason: Fetched}
  - {type: Ready, status: "False", reason: PeerUnreachable}
`)
	read, err := readResource(object)
	cached, ok := read.(*resource)
	if err != nil || !ok {
		t.Fatalf("read a %T, %v", read, err)
	}
	wantTo := connection{
		target:      peer.Target{URL: "https://istio.b.example.com/metadata/", CA: "PEM", InsecureSkipVerify: true},
		clusterUUID: "uuid-b",
	}
	if cached.connection != wantTo {
		t.Errorf("connection = %+v, want %+v", cached.connection, wantTo)
	}
	if !cached.blamesPeer {
		t.Error("the peer is not blamed")
	}
	if meta := cached.GetObjectMeta(); meta.GetName() != "b" || meta.GetResourceVersion() != "7" {
		t.Errorf("the informer sees %+v", meta)
	}
}

func TestAResourceBlamesItsPeerForReasonsOfThePeer(t *testing.T) {
	for name, test := range map[string]struct {
		status string
		want   bool
	}{
		"no status":                        {"{}", false},
		"no conditions":                    {"{conditions: []}", false},
		"ready":                            {`{conditions: [{type: Ready, status: "True", reason: PeerFine}]}`, false},
		"the peer is unreachable":          {`{conditions: [{type: Ready, status: "False", reason: PeerUnreachable}]}`, true},
		"the peer rejects this cluster":    {`{conditions: [{type: Ready, status: "False", reason: PeerRefusesThisCluster}]}`, true},
		"it is not known whether":          {`{conditions: [{type: Ready, status: Unknown, reason: PeerUnreachable}]}`, true},
		"this cluster's own fault":         {`{conditions: [{type: Ready, status: "False", reason: OwnTrustDomain}]}`, false},
		"another condition blames it":      {`{conditions: [{type: Other, status: "False", reason: PeerUnreachable}]}`, false},
		"conditions that are no list":      {`{conditions: {type: Ready}}`, false},
		"a condition that is no condition": {`{conditions: [text]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			read, err := readResource(manifest(t, "status: "+test.status))
			cached, ok := read.(*resource)
			if err != nil || !ok {
				t.Fatalf("read a %T, %v", read, err)
			}
			if cached.blamesPeer != test.want {
				t.Errorf("blamesPeer = %v", cached.blamesPeer)
			}
		})
	}
}
