// Package federationtest makes what peers may publish, at random: ordinary
// services, everything at the edge of what is allowed, and rubbish beside it.
// Whatever package federation makes of it must pass Istio's own checks.
package federationtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Objects are those of count peers, made by seed: as they are written to the API server.
func Objects(seed uint64, count int) ([]federation.Object, error) {
	random := rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // repeatable on purpose
	peers := make([]federation.Peer, 0, count)
	for index := range count {
		peer, err := randomPeer(random, index)
		if err != nil {
			return nil, err
		}
		peers = append(peers, peer)
	}
	return federation.Objects(peers), nil
}

// randomPeer is made as from a real document: from JSON to what is stored of it.
func randomPeer(random *rand.Rand, index int) (federation.Peer, error) {
	domain := oneOf(random, "cluster-b.local", "b", "cluster.local", domainName(random, 253), domainName(random, 100), domainName(random, 20))
	document := metadata.Federation{}
	for range random.IntN(40) {
		document.IngressGateways = append(document.IngressGateways, randomGateway(random))
	}
	for range random.IntN(30) {
		document.PublicServices = append(document.PublicServices, randomService(random, domain))
	}
	body, err := json.Marshal(document)
	if err != nil {
		return federation.Peer{}, fmt.Errorf("encode a peer's document: %w", err)
	}
	parsed, err := metadata.ParseFederation(body)
	if err != nil {
		return federation.Peer{}, fmt.Errorf("parse a peer's document: %w", err)
	}
	gateways, _ := metadata.UsableGateways(parsed.IngressGateways, metadata.Network{})
	name := oneOf(random, fmt.Sprint("b", index), domainName(random, 253), domainName(random, 60))
	return federation.Peer{Name: name, TrustDomain: domain, Gateways: gateways, Services: parsed.PublicServices}, nil
}

func randomGateway(random *rand.Rand) metadata.IngressGateway {
	var v4 [4]byte
	var v6 [16]byte
	for index := range v4 {
		v4[index] = byte(random.Uint32())
	}
	for index := range v6 {
		v6[index] = byte(random.Uint32())
	}
	address := oneOf(random,
		netip.AddrFrom4(v4).String(), netip.AddrFrom4(v4).String(), netip.AddrFrom16(v6).String(),
		"::ffff:"+netip.AddrFrom4(v4).String(), strings.ToUpper(netip.AddrFrom16(v6).String()), "fe80::1%eth0", "0:0:0:0:0:0:0:1",
		"gw.example.com", "localhost", domainName(random, 253), domainName(random, 30), label(random, 63)+".example.com", label(random, 80)+".example.com",
		"1.2.3", "010.1.2.3", "256.1.1.1", "1.2.3.4.5", "gw.example.com.", "*.example.com", "GW.example.com", "gw_1.example.com", "", "unix:///run/x", "xn--a.example")
	return metadata.IngressGateway{Address: address, Port: oneOf[int32](random, 15443, 443, 1, 65535, 0, 65536, -1)}
}

func randomService(random *rand.Rand, domain string) metadata.PublicService {
	name, namespace := label(random, 1+random.IntN(63)), label(random, 1+random.IntN(63))
	service := metadata.PublicService{Hostname: oneOf(random,
		"api.shop.svc."+domain, name+"."+namespace+".svc."+domain, name+"."+namespace+".svc."+domain, name+"."+namespace+".svc."+domain,
		label(random, 63)+"."+label(random, 63)+".svc."+domain, "a.b.svc."+domain, "1.2.svc."+domain,
		"*.shop.svc."+domain, name+".svc."+domain, "x."+name+"."+namespace+".svc."+domain, "www.example.com", strings.ToUpper(name)+".shop.svc."+domain, "",
	)}
	ports := oneOf(random, 1, 1, 1, 2, 3, 0, 16, 128, 129)
	for index := range ports {
		number := int32(80 + index)
		if random.IntN(10) == 0 {
			number = oneOf[int32](random, 1, 65535, 0, 65536, 80)
		}
		portName := oneOf(random, fmt.Sprint("http-", index), fmt.Sprint("p", index), fmt.Sprint(index, "x"), label(random, 15), label(random, 62), label(random, 63))
		service.Ports = append(service.Ports, metadata.ServicePort{Name: portName, Port: number, Protocol: oneOf(random,
			"HTTP", "HTTP2", "HTTPS", "GRPC", "GRPC-WEB", "TLS", "TCP", "MONGO", "MYSQL", "REDIS", "http", "Grpc", "tcp", "UDP", "SCTP", "", "HBONE", "DoubleHBONE")})
	}
	service.ServiceAccounts = oneOf(random, nil, []string{}, []string{"shop/api"}, []string{namespace + "/" + name, "shop/" + domainName(random, 253)},
		[]string{"spiffe://" + domain + "/ns/a/sa/b"}, []string{"shop/api", "../x/y", "shop/"})
	return service
}

// label is a DNS label of so many characters.
func label(random *rand.Rand, length int) string {
	const inner, outer = "abcdefghijklmnopqrstuvwxyz0123456789-", "abcdefghijklmnopqrstuvwxyz0123456789"
	text := make([]byte, length)
	for index := range text {
		alphabet := inner
		if index == 0 || index == length-1 {
			alphabet = outer
		}
		text[index] = alphabet[random.IntN(len(alphabet))]
	}
	return string(text)
}

// domainName has at most so many characters, and often exactly so many.
func domainName(random *rand.Rand, length int) string {
	var labels []string
	for rest := length; rest > 0; {
		size := min(rest, 1+random.IntN(63))
		if rest-size == 1 { // no room for a dot and a label
			size = rest
		}
		if size > 63 {
			break
		}
		labels = append(labels, label(random, size))
		rest -= size + 1
	}
	return strings.Join(labels, ".")
}

func oneOf[T any](random *rand.Rand, choices ...T) T { return choices[random.IntN(len(choices))] }
