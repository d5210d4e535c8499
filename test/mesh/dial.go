package mesh

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// anySize lets istiod send all there is: a mesh does not fit into gRPC's 4 MiB.
var anySize = grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32))

// DialPlaintext connects to istiod's port 15010, where nobody has to say who they are.
func DialPlaintext(address string) (*grpc.ClientConn, error) {
	connection, err := grpc.NewClient(passthrough(address), grpc.WithTransportCredentials(insecure.NewCredentials()), anySize)
	if err != nil {
		return nil, fmt.Errorf("connect to istiod at %s: %w", address, err)
	}
	return connection, nil
}

// Secure is how a sidecar reaches istiod's port 15012.
type Secure struct {
	// Address to connect to, and the name that istiod's certificate must have, such as istiod-v1x31.d8-istio.svc.
	Address, ServerName string
	// Roots that istiod's certificate must chain to.
	Roots *x509.CertPool
	// Token of the caller's ServiceAccount with audience istio-ca; none is sent when it is empty.
	Token string
}

// DialSecure connects to istiod's port 15012.
func DialSecure(to Secure) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{anySize, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		ServerName: to.ServerName, RootCAs: to.Roots, MinVersion: tls.VersionTLS12,
	}))}
	if to.Token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(to.Token)))
	}
	connection, err := grpc.NewClient(passthrough(to.Address), options...)
	if err != nil {
		return nil, fmt.Errorf("connect to istiod at %s: %w", to.Address, err)
	}
	return connection, nil
}

// passthrough keeps gRPC from looking the address up, and from asking the environment for a proxy.
func passthrough(address string) string { return "passthrough:///" + address }

// bearer is a token that goes with every call, and never over plaintext.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }
