package statuspatch_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch"

	"github.com/deckhouse-mesh/istio/lib/statuspatch"
)

func apply(t *testing.T, operations []statuspatch.Operation, before string) string {
	t.Helper()
	encoded, err := json.Marshal(operations)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		t.Fatal(err)
	}
	after, err := patch.Apply([]byte(`{"status":` + before + `}`))
	if err != nil {
		t.Fatalf("apply %s: %v", encoded, err)
	}
	return string(after)
}

func TestDiffFindsTheSmallestPatch(t *testing.T) {
	for _, test := range []struct{ name, before, after, want string }{
		{"nothing", `{"a":[1,2]}`, `{"a":[1,2]}`, ``},
		{"a value that is another", `{"a":1,"b":2}`, `{"a":1,"b":3}`, `add /status/b 3`},
		{"a value that is new", `{}`, `{"b":{"c":1}}`, `add /status/b {"c":1}`},
		{"a value that is gone", `{"a":1,"b":{"c":1,"d":"which is longer"}}`, `{"a":1,"b":{"d":"which is longer"}}`, `remove /status/b/c `},
		{"a value of another kind", `{"a":{"b":1}}`, `{"a":[1]}`, `add /status/a [1]`},
		{"a name that a path cannot have as it is", `{"a/b~c":1}`, `{"a/b~c":2}`, `add /status/a~1b~0c 2`},
		{"a new element in the middle", `{"l":["an a","a b","a d"]}`, `{"l":["an a","a b","a c","a d"]}`, `add /status/l/2 "a c"`},
		{"a new element at the end", `{"l":["the first one"]}`, `{"l":["the first one","a b"]}`, `add /status/l/1 "a b"`},
		{"an element that is gone", `{"l":["a","b and what belongs to it, at length","c"]}`, `{"l":["a","c and more than what was written of it before"]}`,
			`add /status/l ["a","c and more than what was written of it before"]`},
		{"one that is gone of many", `{"l":["a","b","c","d","e","f","g","h","i","j","k","l","m"]}`, `{"l":["a","b","c","e","f","g","h","i","j","k","l","m"]}`,
			`remove /status/l/3 `},
		{"two that are others, far apart, of many", `{"l":[10000000,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,30,40]}`, `{"l":[10000000,0,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,31,40]}`,
			`remove /status/l/1 ; add /status/l/1 0; remove /status/l/21 ; add /status/l/21 31`},
		{"another order", `{"l":["an a","a b"]}`, `{"l":["a b","an a"]}`, `add /status/l ["a b","an a"]`},
		{"a list that is not named", `{"other":[1000000000,2,3],"l":[]}`, `{"other":[1000000000,2],"l":[]}`, `add /status/other [1000000000,2]`},
		{"equal elements", `{"l":[100000,100000]}`, `{"l":[100000,100000,100000]}`, `add /status/l/2 100000`},
	} {
		t.Run(test.name, func(t *testing.T) {
			operations, err := statuspatch.Diff("/status", []byte(test.before), []byte(test.after), "l")
			if err != nil {
				t.Fatal(err)
			}
			texts := make([]string, len(operations))
			for index, each := range operations {
				texts[index] = each.Op + " " + each.Path + " " + string(each.Value)
			}
			if got := strings.Join(texts, "; "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if patched := apply(t, operations, test.before); !jsonpatch.Equal([]byte(patched), []byte(`{"status":`+test.after+`}`)) {
				t.Errorf("applied, it makes %s", patched)
			}
		})
	}
}

func TestAPatchTurnsOneStatusIntoTheOther(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	service := func() map[string]any {
		return map[string]any{"hostname": fmt.Sprintf("api-%d.shop.svc.cluster-b.local", random.IntN(40)), "port": random.IntN(2)}
	}
	status := func() []byte {
		services := make([]any, random.IntN(30))
		for index := range services {
			services[index] = service()
		}
		slices.SortFunc(services, func(a, b any) int { return random.IntN(2) })
		encoded, err := json.Marshal(map[string]any{
			"conditions": []any{map[string]any{"type": "Ready", "status": random.IntN(2)}},
			"cache":      map[string]any{"private": map[string]any{"services": services}, fmt.Sprint("etag", random.IntN(2)): random.IntN(9)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	for range 2000 {
		before, after := status(), status()
		operations, err := statuspatch.Diff("/status", before, after, "services")
		if err != nil {
			t.Fatal(err)
		}
		if patched := apply(t, operations, string(before)); !jsonpatch.Equal([]byte(patched), []byte(`{"status":`+string(after)+`}`)) {
			t.Fatalf("from %s\nto   %s\ncame %s", before, after, patched)
		}
	}
}

func TestOneMoreElementOfAThousandIsOneOperation(t *testing.T) {
	services := make([]string, 1000)
	for index := range services {
		services[index] = fmt.Sprintf("api-%04d", 2*index)
	}
	encode := func(services []string) []byte {
		encoded, err := json.Marshal(map[string]any{"services": services})
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	more := slices.Insert(slices.Clone(services), 501, "api-1001")
	more = slices.Delete(more, 900, 901)
	operations, err := statuspatch.Diff("", encode(services), encode(more), "services")
	if err != nil {
		t.Fatal(err)
	}
	if len(operations) != 2 {
		t.Errorf("%d operations: %v", len(operations), operations)
	}
}

func TestAValueThatIsNoObjectIsAnError(t *testing.T) {
	for _, pair := range [][2]string{{`[]`, `{}`}, {`{}`, `1`}, {`{`, `{}`}} {
		if operations, err := statuspatch.Diff("/status", []byte(pair[0]), []byte(pair[1])); err == nil {
			t.Errorf("%v: %v", pair, operations)
		}
	}
}
