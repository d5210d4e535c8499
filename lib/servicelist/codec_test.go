package servicelist_test

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
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

// encode is the list as it is written.
func encode(tb testing.TB, codec *servicelist.Codec, list v1alpha1.CachedFederation) []byte {
	tb.Helper()
	packed, err := codec.Pack(list)
	if err != nil {
		tb.Fatal(err)
	}
	encoded, err := json.Marshal(packed)
	if err != nil {
		tb.Fatal(err)
	}
	return encoded
}

// decode is the list that was written.
func decode(tb testing.TB, codec *servicelist.Codec, encoded []byte) v1alpha1.CachedFederation {
	tb.Helper()
	cache := v1alpha1.FederationCache{Private: &v1alpha1.CachedFederation{}}
	if err := json.Unmarshal(encoded, cache.Private); err != nil {
		tb.Fatal(err)
	}
	codec.Unpack(&cache)
	return *cache.Private
}

func cacheOf(services int) v1alpha1.CachedFederation {
	cache := v1alpha1.CachedFederation{
		IngressGateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}}, PublicServices: []metadata.PublicService{},
	}
	for index := range services {
		cache.PublicServices = append(cache.PublicServices, metadata.PublicService{
			Hostname:        fmt.Sprintf("api-%d.shop.svc.cluster-b.local", index),
			Ports:           []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}},
			ServiceAccounts: []string{"shop/api"},
		})
	}
	return cache
}

func TestAListOfOrdinarySizeIsWrittenInTheFormOfTheContract(t *testing.T) {
	encoded := encode(t, new(servicelist.Codec), cacheOf(1))
	if want := `{"ingressGateways":[{"address":"192.0.2.1","port":15443}],"publicServices":[{"hostname":"api-0.shop.svc.cluster-b.local",` +
		`"ports":[{"name":"http","port":80,"protocol":"HTTP"}],"serviceAccounts":["shop/api"]}]}`; string(encoded) != want {
		t.Errorf("got  %s\nwant %s", encoded, want)
	}
}

func TestAListOfAnySizeIsReadAsItWasWritten(t *testing.T) {
	for _, services := range []int{0, 1, 1000, 10_000, 20_000} {
		t.Run(fmt.Sprint(services, " services"), func(t *testing.T) {
			cache, codec := cacheOf(services), new(servicelist.Codec)
			plain, err := json.Marshal(cache.PublicServices)
			if err != nil {
				t.Fatal(err)
			}
			encoded := encode(t, codec, cache)
			if compressed := strings.Contains(string(encoded), "publicServicesBlocks"); compressed != (len(plain) > servicelist.MaxPlain) {
				t.Errorf("%d bytes are compressed: %v", len(plain), compressed)
			}
			if len(encoded) > 1<<20 {
				t.Errorf("%d bytes do not fit into a status", len(encoded))
			}
			for name, codec := range map[string]*servicelist.Codec{"the codec that wrote it": codec, "another": new(servicelist.Codec), "one without a memory": nil} {
				if !reflect.DeepEqual(cache, decode(t, codec, encoded)) {
					t.Errorf("%s reads another list", name)
				}
			}
			if !bytes.Equal(encoded, encode(t, nil, cache)) {
				t.Error("without a memory another text is written")
			}
		})
	}
}

func TestOneMoreServiceChangesOneBlock(t *testing.T) {
	codec := new(servicelist.Codec)
	blocks := func(cache v1alpha1.CachedFederation) (all []string) {
		t.Helper()
		var decoded struct{ PublicServicesBlocks []string }
		if err := json.Unmarshal(encode(t, codec, cache), &decoded); err != nil {
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

func TestAListThatIsRememberedIsNotMistakenForAnother(t *testing.T) {
	service := func(change func(*metadata.PublicService)) v1alpha1.CachedFederation {
		cache := cacheOf(1)
		change(&cache.PublicServices[0])
		return cache
	}
	codec := new(servicelist.Codec)
	for name, change := range map[string]func(*metadata.PublicService){
		"the same":         func(*metadata.PublicService) {},
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
				encoded := encode(t, codec, cache)
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

func TestAListThatCannotBeReadIsUnknown(t *testing.T) {
	sealed, codec := cacheOf(3), new(servicelist.Codec)
	if err := codec.Seal(&sealed); err != nil {
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
			var private map[string]any
			if err := json.Unmarshal(encode(t, codec, sealed), &private); err != nil {
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
			codec.Unpack(&cache)
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
func TestTheMemoryIsBounded(t *testing.T) {
	codec := new(servicelist.Codec)
	round := func(number int) {
		cache := v1alpha1.CachedFederation{}
		for index := range 10_000 {
			cache.PublicServices = append(cache.PublicServices, metadata.PublicService{
				Hostname:        fmt.Sprintf("api-%d-%d.shop.svc.cluster-b.local", number, index),
				Ports:           []metadata.ServicePort{{Name: strings.Repeat("p", 62), Port: 80, Protocol: "HTTP"}},
				ServiceAccounts: []string{"shop/" + strings.Repeat("s", 200), "shop/" + strings.Repeat("t", 200)},
			})
		}
		decode(t, codec, encode(t, codec, cache))
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
		t.Errorf("%d MiB are retained", grown>>20)
	}
	runtime.KeepAlive(codec)
}

// BenchmarkCodec writes and reads a list of which one service changes each time.
func BenchmarkCodec(b *testing.B) {
	for _, services := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(services, " services"), func(b *testing.B) {
			codec, list := new(servicelist.Codec), cacheOf(services)
			b.ReportAllocs()
			for b.Loop() {
				list.PublicServices[services/2].Ports = []metadata.ServicePort{{Name: "http", Port: list.PublicServices[services/2].Ports[0].Port%60_000 + 1, Protocol: "HTTP"}}
				if err := codec.Seal(&list); err != nil {
					b.Fatal(err)
				}
				if got := decode(b, codec, encode(b, codec, list)); len(got.PublicServices) != services {
					b.Fatal("services were lost")
				}
			}
		})
	}
}
