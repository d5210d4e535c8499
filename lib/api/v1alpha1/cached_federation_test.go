package v1alpha1_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func cacheOf(services int) v1alpha1.CachedFederation {
	cache := v1alpha1.CachedFederation{Federation: metadata.Federation{
		IngressGateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}}, PublicServices: []metadata.PublicService{},
	}}
	for index := range services {
		cache.PublicServices = append(cache.PublicServices, metadata.PublicService{
			Hostname:        fmt.Sprintf("api-%d.shop.svc.cluster-b.local", index),
			Ports:           []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}},
			ServiceAccounts: []string{"shop/api"},
		})
	}
	return cache
}

func TestAListOfOrdinarySizeIsWrittenAsTheContractHasIt(t *testing.T) {
	encoded, err := json.Marshal(v1alpha1.FederationCache{Private: &v1alpha1.CachedFederation{Federation: cacheOf(1).Federation}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"private":{"ingressGateways":[{"address":"192.0.2.1","port":15443}],"publicServices":[{"hostname":"api-0.shop.svc.cluster-b.local",` +
		`"ports":[{"name":"http","port":80,"protocol":"HTTP"}],"serviceAccounts":["shop/api"]}]}}`; string(encoded) != want {
		t.Errorf("got  %s\nwant %s", encoded, want)
	}
}

func TestAListOfAnySizeComesBackAsItWas(t *testing.T) {
	for _, services := range []int{0, 1, 1000, 10_000, 20_000} {
		t.Run(fmt.Sprint(services, " services"), func(t *testing.T) {
			cache := cacheOf(services)
			plain, err := json.Marshal(cache.PublicServices)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := json.Marshal(cache)
			if err != nil {
				t.Fatal(err)
			}
			if compressed := strings.Contains(string(encoded), "publicServicesBlocks"); compressed != (len(plain) > v1alpha1.MaxPlainServices) {
				t.Errorf("%d bytes are compressed: %v", len(plain), compressed)
			}
			if len(encoded) > 1<<20 {
				t.Errorf("%d bytes do not fit into a status", len(encoded))
			}
			var decoded v1alpha1.CachedFederation
			if err := json.Unmarshal(encoded, &decoded); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(cache, decoded) {
				t.Error("the list came back changed")
			}
		})
	}
}

func TestOneMoreServiceChangesOneBlock(t *testing.T) {
	blocks := func(cache v1alpha1.CachedFederation) (all []string) {
		t.Helper()
		encoded, err := json.Marshal(cache)
		if err != nil {
			t.Fatal(err)
		}
		var decoded struct{ PublicServicesBlocks []string }
		if err := json.Unmarshal(encoded, &decoded); err != nil {
			t.Fatal(err)
		}
		if len(decoded.PublicServicesBlocks) < 10 {
			t.Fatalf("%d blocks", len(decoded.PublicServicesBlocks))
		}
		return decoded.PublicServicesBlocks
	}
	before := cacheOf(10_000)
	for _, position := range []int{0, 1, 4999, 9999, 10_000} {
		after := before
		after.PublicServices = slices.Insert(slices.Clone(before.PublicServices), position, metadata.PublicService{Hostname: "new.shop.svc.cluster-b.local"})
		changed := 0
		old := blocks(before)
		for _, each := range blocks(after) {
			if !slices.Contains(old, each) {
				changed++
			}
		}
		// Two where the new service begins a block of its own.
		if changed != 1 && changed != 2 {
			t.Errorf("a service at %d changes %d blocks", position, changed)
		}
	}
}

func TestWhatIsRememberedIsNotTakenForAnother(t *testing.T) {
	service := func(change func(*metadata.PublicService)) v1alpha1.CachedFederation {
		cache := cacheOf(1)
		change(&cache.PublicServices[0])
		return cache
	}
	for name, change := range map[string]func(*metadata.PublicService){
		"as it was":        func(*metadata.PublicService) {},
		"another port":     func(s *metadata.PublicService) { s.Ports[0].Port = 81 },
		"another protocol": func(s *metadata.PublicService) { s.Ports[0].Protocol = "TCP" },

		"ports unsaid":                 func(s *metadata.PublicService) { s.Ports = nil },
		"another service account":      func(s *metadata.PublicService) { s.ServiceAccounts = []string{"shop/other"} },
		"no service accounts":          func(s *metadata.PublicService) { s.ServiceAccounts = []string{} },
		"service accounts unsaid":      func(s *metadata.PublicService) { s.ServiceAccounts = nil },
		"accounts that read as one":    func(s *metadata.PublicService) { s.ServiceAccounts = []string{"sho", "p/api"} },
		"accounts in another hostname": func(s *metadata.PublicService) { s.Hostname += "shop/api"; s.ServiceAccounts = []string{} },
	} {
		t.Run(name, func(t *testing.T) {
			cache := service(change)
			for range 2 {
				encoded, err := json.Marshal(cache)
				if err != nil {
					t.Fatal(err)
				}
				plain, err := json.Marshal(cache.PublicServices)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(string(encoded), string(plain)) {
					t.Errorf("got %s, want in it %s", encoded, plain)
				}
			}
		})
	}
}

func TestACompressedListThatIsBrokenIsAnError(t *testing.T) {
	var bomb bytes.Buffer
	writer := gzip.NewWriter(&bomb)
	for range 65 {
		if _, err := writer.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	for name, compressed := range map[string][]byte{"not gzip": []byte("rubbish"), "a bomb": bomb.Bytes(), "cut off": bomb.Bytes()[:100]} {
		t.Run(name, func(t *testing.T) {
			document, err := json.Marshal(map[string]any{"publicServicesBlocks": [][]byte{compressed}})
			if err != nil {
				t.Fatal(err)
			}
			var decoded v1alpha1.CachedFederation
			if err := json.Unmarshal(document, &decoded); err == nil {
				t.Errorf("decoded as %d services", len(decoded.PublicServices))
			}
		})
	}
}
