// Package remotecluster makes the kubeconfigs with which this cluster's istiods
// read the APIs of peers, through the peers' API proxies.
//
// istiod (pkg/kube/multicluster, secretcontroller.go and component.go) compares a
// kubeconfig with the previous one by its SHA-256. When it differs, istiod reads the
// whole remote cluster again: it builds a new registry, waits until that has synced,
// and ends the previous one. Some patch releases then read no remote cluster until
// they are restarted (istioversion.NeedsRestartOnReplacedKubeconfig): 1.29.0 to
// 1.29.2 wait in prev.Client.Shutdown() for informers that only closing the previous
// registry would end, which comes after. Measured on 1.29.1: the cluster is `closed`
// in /debug/clusterz for good, its endpoints stay as they were, and no other remote
// Secret is read; deleting a Secret and creating it again works (1 ms and 98 ms).
// So a kubeconfig changes as rarely as its credentials allow, all of them at the same
// time, and records that it has replaced another (Replaced).
package remotecluster

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/certs"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
)

// TokenLifetime is how long a token in a kubeconfig is valid: as long as a client
// certificate, so that both are renewed together.
const TokenLifetime = clientcert.Lifetime

// Peer is the cluster whose API is to be read.
type Peer struct {
	// Name of the IstioMulticluster, by which istiod calls the cluster.
	Name        string
	ClusterUUID string
	// APIHost is where its API proxy is: a host, with or without a port.
	APIHost string
	// CA is a PEM bundle to verify the API proxy's certificate with; empty: the system's roots.
	CA string
	// InsecureSkipVerify switches the verification off.
	InsecureSkipVerify bool
}

// Caller is this cluster and its credentials.
type Caller struct {
	ClusterUUID string
	// PrivateKey is the PEM Ed25519 key that signs this cluster's tokens.
	PrivateKey string
	// Certificate may be the zero one: then the token alone proves this cluster.
	Certificate clientcert.Certificate
}

// Renew returns the kubeconfig to use from now on: current while it leads to peer
// and its credentials are this cluster's and younger than two thirds of their
// lifetime, else a new one.
func Renew(current []byte, peer Peer, caller Caller, now time.Time) ([]byte, error) {
	name := peer.Name
	if len(current) > 0 {
		if stillGood(current, peer, caller, now) {
			return current, nil
		}
		name += replacedMark + strconv.FormatInt(now.Unix(), 36)
	}
	key, err := authn.ParsePrivateKey(caller.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("make the kubeconfig for IstioMulticluster %q: %w", peer.Name, err)
	}
	token, err := authn.Sign(key, authn.Token{
		Subject: caller.ClusterUUID, Audience: peer.ClusterUUID, Scope: authn.ScopeAPI,
		NotBefore: now.Add(-authn.MaxClockSkew), Expires: now.Add(TokenLifetime),
	})
	if err != nil {
		return nil, fmt.Errorf("make the kubeconfig for IstioMulticluster %q: %w", peer.Name, err)
	}
	config := wanted(peer, name)
	user := api.NewAuthInfo()
	user.Token = token
	user.ClientCertificateData, user.ClientKeyData = []byte(caller.Certificate.Crt), []byte(caller.Certificate.Key)
	config.AuthInfos[peer.Name] = user
	encoded, err := clientcmd.Write(config)
	if err != nil {
		return nil, fmt.Errorf("encode the kubeconfig for IstioMulticluster %q: %w", peer.Name, err)
	}
	return encoded, nil
}

// replacedMark precedes the time in the name of the context of a kubeconfig that has replaced another.
const replacedMark = "@"

// Replaced returns when kubeconfig replaced another, as a word that is different
// each time; it is empty for a cluster's first one.
func Replaced(kubeconfig []byte) string {
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return ""
	}
	_, serial, _ := strings.Cut(config.CurrentContext, replacedMark)
	return serial
}

// wanted is the kubeconfig without credentials; name is that of its context.
func wanted(peer Peer, name string) api.Config {
	cluster := api.NewCluster()
	cluster.Server = "https://" + peer.APIHost
	cluster.InsecureSkipTLSVerify = peer.InsecureSkipVerify
	if !peer.InsecureSkipVerify { // a CA beside it would be an error
		cluster.CertificateAuthorityData = []byte(peer.CA)
	}
	context := api.NewContext()
	context.Cluster, context.AuthInfo = peer.Name, peer.Name
	config := api.NewConfig()
	config.Clusters[peer.Name] = cluster
	config.Contexts[name] = context
	config.CurrentContext = name
	return *config
}

func stillGood(current []byte, peer Peer, caller Caller, now time.Time) bool {
	config, err := clientcmd.Load(current)
	if err != nil {
		return false
	}
	user := config.AuthInfos[peer.Name]
	if user == nil {
		return false
	}
	expected := wanted(peer, config.CurrentContext)
	expected.AuthInfos[peer.Name] = user
	if again, err := clientcmd.Write(expected); err != nil || string(again) != string(current) {
		return false
	}
	// A certificate that was issued since is worth a replacement: a peer may ask for one.
	if len(user.ClientCertificateData) == 0 && !caller.Certificate.IsZero() {
		return false
	}
	return tokenIsYoung(user.Token, peer, caller, now) && certificateIsYoung(user.ClientCertificateData, now)
}

// tokenIsYoung verifies the token as the peer would.
func tokenIsYoung(token string, peer Peer, caller Caller, now time.Time) bool {
	key, err := authn.ParsePrivateKey(caller.PrivateKey)
	if err != nil {
		return true // nothing better could be made
	}
	var claims struct {
		jwt.RegisteredClaims
		Scope string `json:"scope"`
	}
	_, err = jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()})).
		ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return key.Public(), nil })
	if err != nil || claims.NotBefore == nil || claims.ExpiresAt == nil {
		return false
	}
	isFor := claims.Subject == caller.ClusterUUID && len(claims.Audience) == 1 && claims.Audience[0] == peer.ClusterUUID &&
		claims.Scope == authn.ScopeAPI
	return isFor && isYoung(claims.NotBefore.Time, claims.ExpiresAt.Time, now)
}

// certificateIsYoung is true without one, too. It need not be the newest: after a
// change of the CA, peers accept certificates of the previous one until they expire.
func certificateIsYoung(text []byte, now time.Time) bool {
	if len(text) == 0 {
		return true
	}
	chain, err := certs.Parse(string(text))
	return err == nil && isYoung(chain[0].NotBefore, chain[0].NotAfter, now)
}

// isYoung is true in the first two thirds of a lifetime.
func isYoung(from, to, now time.Time) bool {
	return !now.Before(from) && now.Before(certs.RenewAt(from, to))
}
