package pki

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"testing"
)

func TestCertificatesOfAnAuthority(t *testing.T) {
	authority, err := NewAuthority("lab")
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewAuthority("lab")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(Subject{
		CommonName: "server", DNSNames: []string{"istio.cluster-a.lab"},
		IPs: []net.IP{net.IPv4(127, 1, 2, 3)}, Server: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatalf("certificate and key do not belong together: %v", err)
	}
	leaf, err := x509.ParseCertificate(loaded.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}

	for name, test := range map[string]struct {
		roots   *Authority
		host    string
		usage   x509.ExtKeyUsage
		trusted bool
	}{
		"its name is accepted":                 {authority, "istio.cluster-a.lab", x509.ExtKeyUsageServerAuth, true},
		"its address is accepted":              {authority, "127.1.2.3", x509.ExtKeyUsageServerAuth, true},
		"another name is rejected":             {authority, "istio.cluster-b.lab", x509.ExtKeyUsageServerAuth, false},
		"client use of a server's is rejected": {authority, "istio.cluster-a.lab", x509.ExtKeyUsageClientAuth, false},
		"another authority is rejected":        {other, "istio.cluster-a.lab", x509.ExtKeyUsageServerAuth, false},
	} {
		t.Run(name, func(t *testing.T) {
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(test.roots.PEM)
			_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: test.host, KeyUsages: []x509.ExtKeyUsage{test.usage}})
			if (err == nil) != test.trusted {
				t.Fatalf("Verify: %v, want trusted = %t", err, test.trusted)
			}
		})
	}
}

func TestASigningKeyIsTwoPEMBlocksThatBelongTogether(t *testing.T) {
	private, public, err := NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	privateBlock, _ := pem.Decode(private)
	publicBlock, _ := pem.Decode(public)
	key, err := x509.ParsePKCS8PrivateKey(privateBlock.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	verifying, err := x509.ParsePKIXPublicKey(publicBlock.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !verifying.(*ecdsa.PublicKey).Equal(key.(*ecdsa.PrivateKey).Public()) {
		t.Fatal("the public key is not the private key's")
	}
}
