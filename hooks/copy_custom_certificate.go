package hooks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	customCertificateMetric = "d8_istio_custom_certificate_refused"
	// customCertificateCopy is the Secret that the templates render from the values.
	customCertificateCopy = "metadata-exporter-ingress-tls-customcertificate"
)

var customCertificatePath = names.ValuesPath("internal.customCertificateData")

// copyCustomCertificate copies the person's TLS Secret, named by
// https.customCertificate.secretName in the module's or the global settings,
// from the operator's namespace into the values. A Secret that is missing or
// invalid does not replace the certificate in use, which a new process finds in
// the copy that the module rendered.
func copyCustomCertificate() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "copy_custom_certificate",
		Config: sdk.HookConfig{
			OnBeforeHelm: at(orderFacts),
			Kubernetes: []sdk.KubernetesConfig{
				{
					Name:              "tls_secrets",
					APIVersion:        "v1",
					Kind:              "Secret",
					NamespaceSelector: inNamespace(names.OperatorNamespace),
					FieldSelector: &sdk.FieldSelector{MatchExpressions: []sdk.FieldSelectorRequirement{
						{Field: "type", Operator: "Equals", Value: "kubernetes.io/tls"},
					}},
					JqFilter: `{name: .metadata.name, data: (.data // {})}`,
				},
				// What the templates made of the values.
				withoutEvents(secretBinding("rendered", names.Namespace, customCertificateCopy)),
			},
		},
		Run: runCopyCustomCertificate,
	}
}

func runCopyCustomCertificate(ctx context.Context, in *sdk.HookInput) error {
	rejected := false
	defer func() { in.MetricsCollector.Set(customCertificateMetric, gauge(rejected), nil) }()
	if httpsSetting(in, "mode") != "CustomCertificate" {
		in.Values.Remove(customCertificatePath)
		return nil
	}
	name := httpsSetting(in, "customCertificate.secretName")
	data, err := tlsSecret(in, name)
	if err != nil {
		in.Logger.Error("https.customCertificate.secretName: the certificate is rejected, the one in use is retained", "error", err.Error())
		rejected = true
		report(ctx, in, moduleConfigEvent("CustomCertificateRefused", fmt.Sprintf("https.customCertificate.secretName: %v", err)))
		if in.Values.Exists(customCertificatePath) {
			return nil
		}
		if data, err = secret(in, "rendered"); err != nil {
			return err
		}
		if _, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"]); err != nil {
			return nil // none is in use
		}
	}
	values := map[string]string{"tls.crt": string(data["tls.crt"]), "tls.key": string(data["tls.key"])}
	if authority := string(data["ca.crt"]); authority != "" {
		values["ca.crt"] = authority
	}
	in.Values.Set(customCertificatePath, values)
	return nil
}

func tlsSecret(in *sdk.HookInput, name string) (secretData, error) {
	if name == "" {
		return nil, errors.New("is not set, but https.mode is CustomCertificate")
	}
	secrets, err := snapshot[struct {
		Name string     `json:"name"`
		Data secretData `json:"data"`
	}](in, "tls_secrets")
	if err != nil {
		return nil, err
	}
	for _, found := range secrets {
		if found.Name != name {
			continue
		}
		if _, err := tls.X509KeyPair(found.Data["tls.crt"], found.Data["tls.key"]); err != nil {
			return nil, fmt.Errorf("secret %s/%s: %w", names.OperatorNamespace, name, err)
		}
		return found.Data, nil
	}
	return nil, fmt.Errorf("secret %s/%s of type kubernetes.io/tls does not exist", names.OperatorNamespace, name)
}

// httpsSetting reads a setting below https, the module's own if it has one, else the global one.
func httpsSetting(in *sdk.HookInput, name string) string {
	if in.Values.Exists(names.ValuesPath("https.mode")) {
		return in.Values.Get(names.ValuesPath("https." + name)).String()
	}
	return in.Values.Get("global.modules.https." + name).String()
}
