package meshconfig

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// caCertificatesField of Istio's MeshConfig is what proxies trust besides the cluster's own roots.
const caCertificatesField = "caCertificates"

// CACertificate is an entry of MeshConfig.caCertificates as templates/istiod/_mesh.tpl renders it.
type CACertificate struct {
	PEM string `json:"pem"`
	// TrustDomains whose identities may come in; none for clusters of the same mesh.
	TrustDomains []string `json:"trustDomains,omitempty"`
}

// domains is equal for entries that can replace one another.
func (c CACertificate) domains() string { return strings.Join(c.TrustDomains, "\n") }

func (c CACertificate) equal(other CACertificate) bool {
	return strings.TrimSpace(c.PEM) == strings.TrimSpace(other.PEM) && slices.Equal(c.TrustDomains, other.TrustDomains)
}

// Withdraw returns a MeshConfig, YAML, without the CA certificates that are not among the wanted ones, and how many
// these were. It never adds any, and leaves everything else as it is: the result is what Helm renders once the
// values have the wanted ones, except for what is left to Helm.
//
// Left to Helm is a certificate that another one of the same trust domains is to replace, which is not there yet, as
// when a peer's root or its anchor is renewed: without both, the peer would be rejected for the time in between. So is
// an entry of a form that the module does not write. A MeshConfig that cannot be read is an error, and is left whole.
func Withdraw(mesh string, wanted []CACertificate) (without string, withdrawn int, err error) {
	var config map[string]any
	if err := yaml.Unmarshal([]byte(mesh), &config); err != nil {
		return mesh, 0, fmt.Errorf("read the mesh configuration: %w", err)
	}
	if config[caCertificatesField] == nil {
		return mesh, 0, nil
	}
	entries, ok := config[caCertificatesField].([]any)
	if !ok {
		return mesh, 0, fmt.Errorf("read the mesh configuration: %s is no list", caCertificatesField)
	}
	present := make([]*CACertificate, len(entries))
	for index, entry := range entries {
		present[index] = ofModule(entry)
	}
	replaced := outstanding(present, wanted)
	var retained []any
	for index, entry := range entries {
		certificate := present[index]
		if certificate == nil || replaced[certificate.domains()] || slices.ContainsFunc(wanted, certificate.equal) {
			retained = append(retained, entry)
		}
	}
	if withdrawn = len(entries) - len(retained); withdrawn == 0 {
		return mesh, 0, nil
	}
	if config[caCertificatesField] = retained; len(retained) == 0 {
		delete(config, caCertificatesField)
	}
	encoded, err := yaml.Marshal(config)
	if err != nil {
		return mesh, 0, fmt.Errorf("write the mesh configuration without withdrawn certificates: %w", err)
	}
	return strings.TrimSuffix(string(encoded), "\n"), withdrawn, nil
}

// ofModule is the entry, nil when it has another form than those that the module writes.
func ofModule(entry any) *CACertificate {
	encoded, err := json.Marshal(entry)
	if err != nil {
		return nil
	}
	var certificate CACertificate
	if err := yaml.UnmarshalStrict(encoded, &certificate); err != nil || certificate.PEM == "" {
		return nil
	}
	return &certificate
}

// outstanding are the trust domains of wanted certificates that are not there yet.
func outstanding(present []*CACertificate, wanted []CACertificate) map[string]bool {
	domains := map[string]bool{}
	for _, certificate := range wanted {
		if !slices.ContainsFunc(present, func(other *CACertificate) bool { return other != nil && certificate.equal(*other) }) {
			domains[certificate.domains()] = true
		}
	}
	return domains
}
