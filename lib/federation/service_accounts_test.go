package federation_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func withAccounts(hostname string, accounts ...string) metadata.PublicService {
	made := service(hostname)
	made.ServiceAccounts = accounts
	return made
}

func TestProxiesAcceptTheIdentitiesThatThePeerPublishes(t *testing.T) {
	objects := objectsOf(t, peerB(ipGateway(), withAccounts("api.shop.svc."+domain, "shop/web", "shop/api"), service("db.shop.svc."+domain)))
	want := []any{"spiffe://" + domain + "/ns/shop/sa/api", "spiffe://" + domain + "/ns/shop/sa/web"}
	if got := objects["ServiceEntry api.shop.cluster-b"].Spec["subjectAltNames"]; !reflect.DeepEqual(got, any(want)) {
		t.Errorf("ServiceEntry: %v", got)
	}
	tls := func(name string) map[string]any {
		return objects["DestinationRule "+name].Spec["trafficPolicy"].(map[string]any)["tls"].(map[string]any)
	}
	if got := tls("api.shop.cluster-b")["subjectAltNames"]; !reflect.DeepEqual(got, any(want)) {
		t.Errorf("DestinationRule: %v", got)
	}
	if got, ok := tls("db.shop.cluster-b")["subjectAltNames"]; ok {
		t.Errorf("of a service whose identities are not named: %v", got)
	}
}

func TestJudgeServiceAccounts(t *testing.T) {
	var many []string
	for index := range metadata.MaxServiceAccounts + 1 {
		many = append(many, fmt.Sprint("shop/api-", index))
	}
	for name, test := range map[string]struct {
		published []string
		accepted  bool
		want      []string
		rejected  string // in the message; empty: nothing is rejected
	}{
		"what is not said stays unsaid":             {nil, true, nil, ""},
		"none is none":                              {[]string{}, true, []string{}, ""},
		"each once, sorted":                         {[]string{"shop/b", "shop/a", "shop/b"}, true, []string{"shop/a", "shop/b"}, ""},
		"a name with dots is one":                   {[]string{"shop/a.b"}, true, []string{"shop/a.b"}, ""},
		"a SPIFFE ID of our domain is not":          {[]string{"shop/a", "spiffe://cluster-a.local/ns/bank/sa/ledger"}, true, []string{"shop/a"}, "cluster-a.local"},
		"a path that leaves the namespace is not":   {[]string{"shop/a", "../bank/ledger"}, true, []string{"shop/a"}, "namespace"},
		"a service without a valid account":         {[]string{"shop", "shop/A"}, false, nil, "<namespace>/<name>"},
		"more than 64 are a mistake or a hindrance": {many, false, nil, "65 service accounts"},
	} {
		t.Run(name, func(t *testing.T) {
			verdict := federation.Judge([]metadata.PublicService{withAccounts("api.shop.svc."+domain, test.published...)}, domain)
			if test.published == nil {
				verdict = federation.Judge([]metadata.PublicService{service("api.shop.svc." + domain)}, domain)
			}
			if got := len(verdict.Accepted) == 1; got != test.accepted {
				t.Fatalf("accepted: %v", got)
			}
			if test.accepted && len(verdict.Accepted[0].ServiceAccounts)+len(test.want) > 0 && !reflect.DeepEqual(verdict.Accepted[0].ServiceAccounts, test.want) {
				t.Errorf("got %v, want %v", verdict.Accepted[0].ServiceAccounts, test.want)
			}
			var said []string
			for _, each := range verdict.Rejected {
				if each.Reason != federation.ReasonInvalidServiceAccounts || federation.BreaksTrust(each) {
					t.Errorf("rejected for %s", each.Reason)
				}
				said = append(said, each.Message)
			}
			if (test.rejected == "") != (len(said) == 0) || !strings.Contains(strings.Join(said, "\n"), test.rejected) {
				t.Errorf("rejections %q", said)
			}
		})
	}
}

func TestAServiceScaledToZeroRetainsItsLastIdentities(t *testing.T) {
	last := []metadata.PublicService{withAccounts("api.shop.svc."+domain, "shop/api"), service("db.shop.svc." + domain)}
	none := func(hostname string) metadata.PublicService {
		made := service(hostname)
		made.ServiceAccounts = []string{}
		return made
	}
	now := []metadata.PublicService{none("api.shop.svc." + domain), none("db.shop.svc." + domain), none("new.shop.svc." + domain), service("unsaid.shop.svc." + domain)}
	federation.RetainServiceAccounts(now, last)
	var got [][]string
	for _, each := range now {
		got = append(got, each.ServiceAccounts)
	}
	if want := [][]string{{"shop/api"}, nil, nil, nil}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
