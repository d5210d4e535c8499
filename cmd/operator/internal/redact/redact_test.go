package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/cmd/operator/internal/redact"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/ca"
)

func TestNoCredentialReachesTheLog(t *testing.T) {
	authority, err := ca.Generate("cluster-a.local")
	if err != nil {
		t.Fatal(err)
	}
	keypair, err := authn.GenerateKeypair()
	if err != nil {
		t.Fatal(err)
	}
	token := "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJkOC1pc3RpbyJ9.c2lnbmF0dXJl"
	dockerConfig := base64.StdEncoding.EncodeToString([]byte(`{"auths":{"r":{"auth":"c2VjcmV0"}}}`))
	values := map[string]any{
		"istio": map[string]any{"internal": map[string]any{
			"ca": map[string]any{"key": authority.Key, "root": authority.Root}, "remoteAuthnKeypair": map[string]any{"priv": keypair.Priv, "pub": keypair.Pub},
			"kubeconfig": "users: [{user: {token: " + token + ", client-key-data: " + base64.StdEncoding.EncodeToString([]byte(authority.Key)) + "}}]",
		}, "registry": map[string]any{"dockercfg": dockerConfig}},
		"proxy": map[string]any{"password": "hunter2hunter2"},
	}
	asYAML, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{token, dockerConfig, "hunter2hunter2"}
	for _, key := range []string{authority.Key, keypair.Priv} {
		lines := strings.Split(strings.TrimSpace(key), "\n")
		secrets = append(secrets, lines[1], base64.StdEncoding.EncodeToString([]byte(key))[30:90])
	}
	for name, text := range map[string]string{"YAML": string(asYAML), "JSON": string(asJSON), "the first half": string(asYAML[:len(asYAML)/2])} {
		t.Run(name, func(t *testing.T) {
			// As the logger writes it: a text in a JSON line.
			record, err := json.Marshal(map[string]string{"level": "debug", "msg": "values: " + text})
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			if written, err := (redact.Writer{To: &log}).Write(record); err != nil || written != len(record) {
				t.Fatalf("%d bytes of %d written: %v", written, len(record), err)
			}
			for _, secret := range secrets {
				if strings.Contains(log.String(), secret) {
					t.Errorf("the log has %.30q…", secret)
				}
			}
			if !json.Valid(log.Bytes()) {
				t.Errorf("the record is no JSON any more: %s", log.String())
			}
		})
	}
}

func TestARecordWithoutCredentialsStaysAsItIs(t *testing.T) {
	record := `{"level":"info","msg":"hook finished","hook":"ca","duration":"0.1s","certificate":"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"}`
	if got := string(redact.Bytes([]byte(record))); got != record {
		t.Errorf("got %s", got)
	}
}
