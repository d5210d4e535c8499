package egress

import (
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

// WriteConfiguration writes what the API server's --egress-selector-config-file
// is to name, with the certificates that it refers to, below the folder.
func (p *Proxy) WriteConfiguration(dir string) (file string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("write the configuration of the API server's egress: %w", err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	content, err := yaml.Marshal(map[string]any{
		"apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration",
		"egressSelections": []any{map[string]any{
			"name": "cluster",
			"connection": map[string]any{
				"proxyProtocol": "HTTPConnect",
				// Not a Unix socket: the length of its path is limited, that of a state dir's is not.
				"transport": map[string]any{"tcp": map[string]any{
					"url": "https://" + p.Address().String(),
					"tlsConfig": map[string]any{
						"caBundle": in("ca.crt"), "clientCert": in("client.crt"), "clientKey": in("client.key"),
					},
				}},
			},
		}},
	})
	if err != nil {
		return "", fmt.Errorf("write the configuration of the API server's egress: %w", err)
	}
	for name, content := range map[string][]byte{
		"ca.crt":        p.identity.authority.PEM,
		"client.crt":    p.identity.client.Certificate,
		"client.key":    p.identity.client.Key,
		"selector.yaml": content,
	} {
		if err := state.WriteFile(in(name), content, 0o600); err != nil {
			return "", err
		}
	}
	return in("selector.yaml"), nil
}
