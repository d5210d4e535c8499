package guarded

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
)

const (
	peersSecret = "d8-remote-clusters-public-metadata"
	peersKey    = "remote-public-metadata.json"

	peerUUID = "22222222-2222-4222-8222-222222222222"
	// PeerName is the name of the IstioMulticluster that admits the peer.
	PeerName = "cluster-b"
)

// peer is the cluster that asks.
type peer struct{ key ed25519.PrivateKey }

// admit makes a peer and writes it where the proxy looks.
func (c *Cluster) admit(ctx context.Context, rootCA string) (*peer, error) {
	keys, err := authn.GenerateKeypair()
	if err != nil {
		return nil, fmt.Errorf("make the peer's keys: %w", err)
	}
	private, err := authn.ParsePrivateKey(keys.Priv)
	if err != nil {
		return nil, fmt.Errorf("make the peer's keys: %w", err)
	}
	uid, err := c.AddPeer(ctx)
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(map[string]any{peerUUID: map[string]string{
		"kind": v1alpha1.IstioMulticlusterKind, "name": PeerName, "resourceUID": string(uid), "clusterUUID": peerUUID,
		"trustDomain": "cluster.local", "authnKeyPub": keys.Pub, "rootCA": rootCA,
	}})
	if err != nil {
		return nil, fmt.Errorf("encode the peer: %w", err)
	}
	secrets := c.Client.CoreV1().Secrets(Namespace)
	if err := secrets.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=" + peersSecret}); err != nil {
		return nil, fmt.Errorf("delete the former peer: %w", err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: peersSecret}, Data: map[string][]byte{peersKey: content}}
	if _, err := secrets.Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("admit the peer: %w", err)
	}
	return &peer{private}, nil
}

// AddPeer creates the peer's IstioMulticluster, unless it exists, and returns its UID.
func (c *Cluster) AddPeer(ctx context.Context) (types.UID, error) {
	client, err := dynamic.NewForConfig(c.Admin)
	if err != nil {
		return "", fmt.Errorf("make a client: %w", err)
	}
	resources := client.Resource(schema.GroupVersionResource{
		Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioMulticlusterResource,
	})
	resource, err := resources.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.APIVersion, "kind": v1alpha1.IstioMulticlusterKind,
		"metadata": map[string]any{"name": PeerName},
		"spec":     map[string]any{"metadataEndpoint": "https://peer.example/metadata/"},
	}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		resource, err = resources.Get(ctx, PeerName, metav1.GetOptions{})
	}
	if err != nil {
		return "", fmt.Errorf("create the peer's IstioMulticluster: %w", err)
	}
	return resource.GetUID(), nil
}

// token for the API proxy, valid for an hour.
func (n *peer) token() (string, error) {
	now := time.Now()
	return authn.Sign(n.key, authn.Token{
		Subject: peerUUID, Audience: UUID, Scope: authn.ScopeAPI,
		NotBefore: now.Add(-authn.MaxClockSkew), Expires: now.Add(time.Hour),
	})
}
