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
	neighboursSecret = "d8-remote-clusters-public-metadata"
	neighboursKey    = "remote-public-metadata.json"

	neighbourUUID = "22222222-2222-4222-8222-222222222222"
	// NeighbourName is that of the IstioMulticluster which lets the neighbour in.
	NeighbourName = "cluster-b"
)

// neighbour is the cluster that asks.
type neighbour struct{ key ed25519.PrivateKey }

// admit makes a neighbour and writes it where the proxy looks.
func (c *Cluster) admit(ctx context.Context, authority *authority) (*neighbour, error) {
	keys, err := authn.GenerateKeypair()
	if err != nil {
		return nil, fmt.Errorf("make the neighbour's keys: %w", err)
	}
	private, err := authn.ParsePrivateKey(keys.Priv)
	if err != nil {
		return nil, fmt.Errorf("make the neighbour's keys: %w", err)
	}
	uid, err := c.Join(ctx)
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(map[string]any{neighbourUUID: map[string]string{
		"kind": v1alpha1.IstioMulticlusterKind, "name": NeighbourName, "resourceUID": string(uid), "clusterUUID": neighbourUUID,
		"trustDomain": "cluster.local", "authnKeyPub": keys.Pub, "rootCA": string(authority.pem),
	}})
	if err != nil {
		return nil, fmt.Errorf("encode the neighbour: %w", err)
	}
	secrets := c.Client.CoreV1().Secrets(Namespace)
	if err := secrets.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=" + neighboursSecret}); err != nil {
		return nil, fmt.Errorf("forget the former neighbour: %w", err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: neighboursSecret}, Data: map[string][]byte{neighboursKey: content}}
	if _, err := secrets.Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("admit the neighbour: %w", err)
	}
	return &neighbour{private}, nil
}

// Join makes the neighbour's IstioMulticluster, unless it is there, and returns its UID.
func (c *Cluster) Join(ctx context.Context) (types.UID, error) {
	client, err := dynamic.NewForConfig(c.Admin)
	if err != nil {
		return "", fmt.Errorf("make a client: %w", err)
	}
	resources := client.Resource(schema.GroupVersionResource{
		Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioMulticlusterResource,
	})
	joined, err := resources.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.APIVersion, "kind": v1alpha1.IstioMulticlusterKind,
		"metadata": map[string]any{"name": NeighbourName},
		"spec":     map[string]any{"metadataEndpoint": "https://neighbour.example/metadata/"},
	}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		joined, err = resources.Get(ctx, NeighbourName, metav1.GetOptions{})
	}
	if err != nil {
		return "", fmt.Errorf("create the neighbour's IstioMulticluster: %w", err)
	}
	return joined.GetUID(), nil
}

// token for the API proxy, valid for an hour.
func (n *neighbour) token() (string, error) {
	now := time.Now()
	return authn.Sign(n.key, authn.Token{
		Subject: neighbourUUID, Audience: UUID, Scope: authn.ScopeAPI,
		NotBefore: now.Add(-authn.MaxClockSkew), Expires: now.Add(time.Hour),
	})
}
