package discovery

import (
	"fmt"
	"strings"
	"testing"
)

func TestAPeersManyRootsTakeNothingFromOthers(t *testing.T) {
	bundle := func(bytes int) string { return strings.Repeat("x", bytes*4/3) }
	budget := rootBudget{}
	if err := budget.claim("first", bundle(32<<10)); err != nil {
		t.Fatalf("one peer may have 32 KiB: %v", err)
	}
	accepted := 0
	for index := range 10 {
		if budget.claim(fmt.Sprint("hostile-", index), bundle(32<<10)) == nil {
			accepted++
		}
	}
	if accepted > 1 {
		t.Errorf("%d more peers have 32 KiB", accepted)
	}
	for index := range 100 {
		if err := budget.claim(fmt.Sprint("honest-", index), bundle(3<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := budget.claim("hostile-9", bundle(32<<10)); err == nil || !strings.Contains(err.Error(), "What was learned before stays in force") {
		t.Errorf("beyond the pool: %v", err)
	}
	if err := budget.claim("first", bundle(31<<10)); err != nil {
		t.Errorf("fewer than before: %v", err)
	}
	if err := budget.claim("first", bundle(1<<10)); err != nil {
		t.Error(err)
	}
	if err := budget.claim("hostile-9", bundle(20<<10)); err != nil {
		t.Errorf("what another gave back: %v", err)
	}
}
