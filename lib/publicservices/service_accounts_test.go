package publicservices_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

func TestServiceAccountsOfEndpoints(t *testing.T) {
	pod := func(account string) publicservices.Endpoint {
		return publicservices.Endpoint{IsPod: true, ServiceAccount: account}
	}
	for name, test := range map[string]struct {
		annotation string
		endpoints  []publicservices.Endpoint
		want       []string
	}{
		"no endpoints are none, not unknown":             {"", nil, []string{}},
		"each account once, sorted":                      {"", []publicservices.Endpoint{pod("shop/web"), pod("shop/api"), pod("shop/web")}, []string{"shop/api", "shop/web"}},
		"a Pod outside of the mesh has no identity":      {"", []publicservices.Endpoint{pod("shop/web"), pod("")}, []string{"shop/web"}},
		"an address by hand makes it unknown":            {"", []publicservices.Endpoint{pod("shop/web"), {}}, nil},
		"virtual machines that the annotation speaks of": {"vm-a, vm-b,", []publicservices.Endpoint{pod("shop/web")}, []string{"shop/vm-a", "shop/vm-b", "shop/web"}},
		"names that no service account can have":         {`vm-a, "x", UPPER`, nil, []string{"shop/vm-a"}},
	} {
		t.Run(name, func(t *testing.T) {
			service := withSpec(t, "selector: {app: web}\nports: [{name: http, port: 80}]")
			service.Annotations = map[string]string{publicservices.AccountsAnnotation: test.annotation}
			if got := publicservices.ServiceAccounts(candidates(t, service)[0], test.endpoints); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %#v, want %#v", got, test.want)
			}
		})
	}
}

func TestWhoAnswersForAServiceWithoutSelectorIsUnknown(t *testing.T) {
	service := withSpec(t, "ports: [{name: tcp-db, port: 5432}]")
	if got := publicservices.ServiceAccounts(candidates(t, service)[0], nil); got != nil {
		t.Errorf("got %v: endpoints written by hand, which lack the label, would be rejected", got)
	}
	service.Annotations = map[string]string{publicservices.AccountsAnnotation: "vm"}
	if got := publicservices.ServiceAccounts(candidates(t, service)[0], nil); !slices.Equal(got, []string{"shop/vm"}) {
		t.Errorf("got %v, want what the annotation names", got)
	}
}

func TestTheDocumentSaysWhoAnswersForAService(t *testing.T) {
	services := candidates(t, withSpec(t, "ports: [{name: http, port: 80}]"))
	for name, test := range map[string]struct {
		accounts  []string
		published bool
	}{
		"unknown": {nil, true}, "none": {[]string{}, true}, "one": {[]string{"shop/web"}, true},
		"more than peers accept": {make([]string, 65), false},
	} {
		t.Run(name, func(t *testing.T) {
			for index := range test.accounts {
				test.accounts[index] = fmt.Sprint("shop/web-", index)
			}
			document, rejections := document(t, services, nil, func(*publicservices.Candidate) []string { return test.accounts })
			if got := len(document.PublicServices) == 1; got != test.published {
				t.Fatalf("published: %v", got)
			}
			if test.published {
				if got := document.PublicServices[0].ServiceAccounts; !reflect.DeepEqual(got, test.accounts) {
					t.Errorf("got %#v, want %#v", got, test.accounts)
				}
				return
			}
			if len(rejections) != 1 || rejections[0].Reason != publicservices.ReasonTooManyServiceAccounts || !strings.Contains(rejections[0].String(), "65") {
				t.Errorf("rejections %v", rejections)
			}
		})
	}
}
