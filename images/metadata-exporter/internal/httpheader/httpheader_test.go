package httpheader

import (
	"net/http"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/peer"
)

func TestTheFirstWaitPreferenceCounts(t *testing.T) {
	for name, test := range map[string]struct {
		prefer []string
		want   time.Duration
	}{
		"no preference":                        {nil, 0},
		"a wait":                               {[]string{"wait=10"}, 10 * time.Second},
		"another preference only":              {[]string{"respond-async"}, 0},
		"among others":                         {[]string{"respond-async, wait=10, handling=lenient"}, 10 * time.Second},
		"in a second field":                    {[]string{"respond-async", "wait=7"}, 7 * time.Second},
		"with parameters":                      {[]string{"wait=10; foo=bar"}, 10 * time.Second},
		"in quotes":                            {[]string{`wait="10"`}, 10 * time.Second},
		"with space around the sign":           {[]string{"wait = 10"}, 10 * time.Second},
		"in capitals":                          {[]string{"WAIT=10"}, 10 * time.Second},
		"inside another preference's quotes":   {[]string{`foo="a, wait=10"`}, 0},
		"as a parameter of another preference": {[]string{`foo; wait=10`}, 0},
		"the longest":                          {[]string{"wait=55"}, 55 * time.Second},
		"longer than the longest":              {[]string{"wait=3600"}, 55 * time.Second},
		"the first of two":                     {[]string{"wait=3, wait=9"}, 3 * time.Second},
		"the first of two, though it is wrong": {[]string{"wait=x, wait=9"}, 0},
		"no time at all":                       {[]string{"wait=0"}, 0},
		"a negative time":                      {[]string{"wait=-5"}, 0},
		"a time beyond 31 bits":                {[]string{"wait=99999999999999999999"}, 0},
		"a fraction":                           {[]string{"wait=1.5"}, 0},
		"no argument":                          {[]string{"wait"}, 0},
		"a longer name":                        {[]string{"waiting=10"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Wait(http.Header{"Prefer": test.prefer})
			if got != test.want || ok != (test.want > 0) {
				t.Errorf("Wait(%q) = %v, %v; want %v", test.prefer, got, ok, test.want)
			}
		})
	}
}

func TestIfNoneMatchMatchesAnyListedTag(t *testing.T) {
	const etag = `"abc"`
	for name, test := range map[string]struct {
		fields []string
		want   bool
	}{
		"no field":                          {nil, false},
		"the tag":                           {[]string{`"abc"`}, true},
		"the tag, weak":                     {[]string{`W/"abc"`}, true},
		"another tag":                       {[]string{`"abd"`}, false},
		"any":                               {[]string{`*`}, true},
		"a list with it":                    {[]string{`"x", W/"abc" , "y"`}, true},
		"a list without it":                 {[]string{`"x","y"`}, false},
		"a second field with it":            {[]string{`"x"`, `"abc"`}, true},
		"the tag without its quotes":        {[]string{`abc`}, false},
		"a tag with a comma that ends so":   {[]string{`"x,"abc""`}, false},
		"a tag in capitals":                 {[]string{`"ABC"`}, false},
		"an empty field":                    {[]string{``}, false},
		"a star inside quotes is only text": {[]string{`"*"`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Matches(http.Header{"If-None-Match": test.fields}, etag); got != test.want {
				t.Errorf("Matches(%q) = %v", test.fields, got)
			}
		})
	}
}

func FuzzWaitPreferenceIsNeverLongerThanTheLongest(f *testing.F) {
	for _, seed := range []string{"wait=10", `a="b,c", wait=5; x`, `wait="`, ";;,,==", "wait=99999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, prefer string) {
		wait, ok := Wait(http.Header{"Prefer": {prefer}})
		if wait < 0 || wait > peer.MaxWait || ok != (wait > 0) || wait%time.Second != 0 {
			t.Errorf("Wait(%q) = %v, %v", prefer, wait, ok)
		}
	})
}

func FuzzIfNoneMatchFindsATagAddedToAnyWellFormedList(f *testing.F) {
	for _, seed := range []string{`"a"`, `W/"a", "b"`, `*`, `"`, `,,`} {
		f.Add(seed)
	}
	const etag = `"0123456789abcdef"`
	f.Fuzz(func(t *testing.T, field string) {
		quotes := 0
		for index := range len(field) {
			if field[index] == '"' {
				quotes++
			}
		}
		if quotes%2 == 0 && !Matches(http.Header{"If-None-Match": {field + ", " + etag}}, etag) {
			t.Errorf("not found after %q", field)
		}
		if field != etag && field != "*" && len(field) < len(etag) && Matches(http.Header{"If-None-Match": {field}}, etag) &&
			!containsStar(field) {
			t.Errorf("%q matches %s", field, etag)
		}
	})
}

func containsStar(field string) bool {
	for _, tag := range splitList(field, ',') {
		if tag == "*" {
			return true
		}
	}
	return false
}
