package v1alpha1_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
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

func TestWhatCannotBeReadIsNotKnown(t *testing.T) {
	sealed := cacheOf(3)
	if err := sealed.Seal(); err != nil {
		t.Fatal(err)
	}
	var bomb bytes.Buffer
	writer := gzip.NewWriter(&bomb)
	if _, err := writer.Write(make([]byte, 65<<20)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	blocks := func(all ...[]byte) func(map[string]any) {
		return func(private map[string]any) {
			delete(private, "publicServices")
			private["publicServicesBlocks"] = all
		}
	}
	for name, test := range map[string]struct {
		change func(private map[string]any)
		known  bool
	}{
		"as it was written":                   {func(map[string]any) {}, true},
		"as Deckhouse's own module writes it": {func(private map[string]any) { delete(private, "digest") }, true},
		"a digest of something else":          {func(private map[string]any) { private["digest"] = "0123" }, false},
		"one service less": {func(private map[string]any) {
			private["publicServices"] = private["publicServices"].([]any)[1:]
		}, false},
		"another order": {func(private map[string]any) {
			slices.Reverse(private["publicServices"].([]any))
		}, false},
		"another gateway":       {func(private map[string]any) { private["ingressGateways"] = []any{} }, false},
		"no list":               {func(private map[string]any) { delete(private, "publicServices") }, false},
		"no list and no digest": {func(private map[string]any) { delete(private, "publicServices"); delete(private, "digest") }, false},
		"an empty list, which is something else": {func(private map[string]any) {
			private["publicServices"] = []any{}
			delete(private, "digest")
		}, true},
		"what is not gzip": {blocks([]byte("rubbish")), false},
		"a bomb":           {blocks(bomb.Bytes()), false},
		"what is cut off":  {blocks(bomb.Bytes()[:100]), false},
		"what another release calls its list": {func(private map[string]any) {
			private["publicServicesGzip"] = private["publicServices"]
			delete(private, "publicServices")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			encoded, err := json.Marshal(sealed)
			if err != nil {
				t.Fatal(err)
			}
			var private map[string]any
			if err := json.Unmarshal(encoded, &private); err != nil {
				t.Fatal(err)
			}
			test.change(private)
			document, err := json.Marshal(map[string]any{"private": private, "privateETag": `"tag"`, "publicETag": `"other"`})
			if err != nil {
				t.Fatal(err)
			}
			var cache v1alpha1.FederationCache
			if err := json.Unmarshal(document, &cache); err != nil {
				t.Fatal(err)
			}
			if known := cache.Private.PublicServices != nil; known != test.known {
				t.Errorf("known: %v", known)
			}
			if asked := cache.PrivateETag == ""; asked == test.known {
				t.Errorf("known, but its ETag is %q", cache.PrivateETag)
			}
			if cache.PublicETag == "" {
				t.Error("the other document's ETag is gone")
			}
			if !test.known && cache.Private.Digest != "" {
				t.Error("what is not known has a digest")
			}
		})
	}
}

// A peer chooses hostnames that never begin a block, and others each time.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	round := func(number int) {
		cache := v1alpha1.CachedFederation{}
		for index := range 10_000 {
			cache.PublicServices = append(cache.PublicServices, metadata.PublicService{
				Hostname:        fmt.Sprintf("api-%d-%d.shop.svc.cluster-b.local", number, index),
				Ports:           []metadata.ServicePort{{Name: strings.Repeat("p", 62), Port: 80, Protocol: "HTTP"}},
				ServiceAccounts: []string{"shop/" + strings.Repeat("s", 200), "shop/" + strings.Repeat("t", 200)},
			})
		}
		encoded, err := json.Marshal(cache)
		if err != nil {
			t.Fatal(err)
		}
		var decoded v1alpha1.CachedFederation
		if err := json.Unmarshal(encoded, &decoded); err != nil {
			t.Fatal(err)
		}
	}
	heap := func() int64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before := heap()
	for number := range 20 {
		round(number)
	}
	const bound = 70 << 20 // what is remembered, encoded and decoded, and some air
	if grown := heap() - before; grown > bound {
		t.Errorf("%d MiB are kept", grown>>20)
	}
}
