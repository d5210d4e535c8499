package federation

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// judgeServiceAccounts returns the service accounts that may answer for a
// service, sorted, without invalid ones; nil stays nil, since a peer that does not
// publish them differs from one that publishes none. It is false when the peer
// names some and none is valid: then no identity could be accepted.
func judgeServiceAccounts(published []string, reject func(reason, format string, args ...any)) ([]string, bool) {
	if len(published) == 0 {
		return published, true
	}
	if len(published) > metadata.MaxServiceAccounts {
		reject(ReasonInvalidServiceAccounts, "has %d service accounts, more than %d", len(published), metadata.MaxServiceAccounts)
		return nil, false
	}
	usable := make([]string, 0, len(published))
	for _, account := range published {
		if err := checkServiceAccount(account); err != nil {
			reject(ReasonInvalidServiceAccounts, "service account %.120q: %v", account, err)
			continue
		}
		usable = append(usable, account)
	}
	slices.Sort(usable)
	return slices.Compact(usable), len(usable) > 0
}

func checkServiceAccount(account string) error {
	namespace, name, ok := strings.Cut(account, "/")
	if !ok {
		return errors.New("is not <namespace>/<name>")
	}
	if messages := validation.IsDNS1123Label(namespace); len(messages) > 0 {
		return fmt.Errorf("namespace: %s", strings.Join(messages, "; "))
	}
	if messages := validation.IsDNS1123Subdomain(name); len(messages) > 0 {
		return fmt.Errorf("name: %s", strings.Join(messages, "; "))
	}
	return nil
}

// identities are the SPIFFE IDs that proxies accept for a service, or nil when the
// peer does not publish them. They are of the peer's own trust domain, whatever it publishes.
func identities(serviceAccounts []string, trustDomain string) []any {
	var ids []any
	for _, account := range serviceAccounts {
		namespace, name, _ := strings.Cut(account, "/")
		ids = append(ids, "spiffe://"+trustDomain+"/ns/"+namespace+"/sa/"+name)
	}
	return ids
}

// RetainServiceAccounts puts the last known service accounts into services that
// have no endpoints now: unknown is not absent. Those of a service that was not known stay unknown.
func RetainServiceAccounts(services, last []metadata.PublicService) {
	var known map[string][]string
	for index := range services {
		service := &services[index]
		if service.ServiceAccounts == nil || len(service.ServiceAccounts) > 0 {
			continue
		}
		if known == nil {
			known = make(map[string][]string, len(last))
			for _, seen := range last {
				known[seen.Hostname] = seen.ServiceAccounts
			}
		}
		service.ServiceAccounts = known[service.Hostname]
	}
}
