package federation_test

import (
	"fmt"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// forSizes runs a benchmark over so many published services.
func forSizes(b *testing.B, run func(b *testing.B, services []metadata.PublicService)) {
	b.Helper()
	for _, count := range []int{100, 1000, 10_000} {
		services := make([]metadata.PublicService, 0, count)
		for index := range count {
			each := service(fmt.Sprintf("api-%05d.shop.svc.%s", index, domain))
			each.ServiceAccounts = []string{"shop/api"}
			services = append(services, each)
		}
		b.Run(fmt.Sprintf("%d services", count), func(b *testing.B) { run(b, services) })
	}
}

func BenchmarkJudge(b *testing.B) {
	forSizes(b, func(b *testing.B, services []metadata.PublicService) {
		b.Helper()
		for b.Loop() {
			if verdict := federation.Judge(services, domain); len(verdict.Accepted) != len(services) {
				b.Fatal(verdict.Rejected)
			}
		}
	})
}

func BenchmarkImport(b *testing.B) {
	globs := []string{"db-*.shop", "*.bank", "api-*.shop"}
	forSizes(b, func(b *testing.B, services []metadata.PublicService) {
		b.Helper()
		for b.Loop() {
			if imported := federation.Import(services, globs); len(imported) != len(services) {
				b.Fatal(len(imported))
			}
		}
	})
}

func BenchmarkObjects(b *testing.B) {
	forSizes(b, func(b *testing.B, services []metadata.PublicService) {
		b.Helper()
		peers := []federation.Peer{peerB(ipGateway(), services...)}
		for b.Loop() {
			if objects := federation.Objects(peers); len(objects) != 2*len(services) {
				b.Fatal(len(objects))
			}
		}
	})
}

func BenchmarkDiff(b *testing.B) {
	forSizes(b, func(b *testing.B, services []metadata.PublicService) {
		b.Helper()
		found := federation.Objects([]federation.Peer{peerB(ipGateway(), services...)})
		wanted := federation.Objects([]federation.Peer{peerB(ipGateway(), services[1:]...)})
		for b.Loop() {
			if changes, _ := federation.Diff(wanted, found); len(changes) != 2 {
				b.Fatal(changes)
			}
		}
	})
}
