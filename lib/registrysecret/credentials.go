package registrysecret

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// maxCredentials bounds what is passed on, in bytes: each namespace with sidecars gets a copy, and so does the module's release.
const maxCredentials = 16 << 10

// dockerHub has no host in references to its images, and this one in credentials.
const dockerHub = "index.docker.io"

// Credentials returns what a person's Secret says about the registry of images (a
// repository), as a .dockerconfigjson in base64. What it says about other registries
// is left out: the result is readable in every namespace with sidecars.
func Credentials(secretType, config, images string) (string, error) {
	if secretType != string(corev1.SecretTypeDockerConfigJson) {
		return "", fmt.Errorf("its type is %q: make it with `kubectl create secret docker-registry`, which gives it %s", secretType, corev1.SecretTypeDockerConfigJson)
	}
	raw, err := base64.StdEncoding.DecodeString(config)
	if err != nil {
		return "", fmt.Errorf("its %s is not base64: %w", corev1.DockerConfigJsonKey, err)
	}
	var document struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if json.Unmarshal(raw, &document) != nil {
		// The parser's words may quote a password.
		return "", fmt.Errorf(`its %s is no JSON object with "auths"`, corev1.DockerConfigJsonKey)
	}
	host := registryHost(images)
	wanted, others := map[string]json.RawMessage{}, []string{}
	for pattern, auth := range document.Auths {
		if matchesHost(pattern, host) {
			wanted[pattern] = auth
		} else {
			others = append(others, pattern)
		}
	}
	if len(wanted) == 0 {
		slices.Sort(others)
		return "", fmt.Errorf("it has no credentials for %s, which the module's images come from, but for %q", host, others)
	}
	passedOn, err := json.Marshal(map[string]any{"auths": wanted})
	if err != nil {
		return "", fmt.Errorf("write the credentials for %s: %w", host, err)
	}
	if len(passedOn) > maxCredentials {
		return "", fmt.Errorf("its credentials for %s have %d bytes, at most %d are possible", host, len(passedOn), maxCredentials)
	}
	for pattern, auth := range wanted {
		if err := usable(auth); err != nil {
			return "", fmt.Errorf("its credentials for %s: %w", pattern, err)
		}
	}
	return base64.StdEncoding.EncodeToString(passedOn), nil
}

// usable says what a kubelet could not do with an entry of "auths".
func usable(auth json.RawMessage) error {
	var entry struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
		RegistryToken string `json:"registrytoken"`
	}
	if json.Unmarshal(auth, &entry) != nil {
		return errors.New(`they are no JSON object with "auth"`)
	}
	if entry.Auth == "" {
		if entry.Username+entry.Password+entry.IdentityToken+entry.RegistryToken == "" {
			return errors.New("they are empty")
		}
		return nil
	}
	decoded, err := base64.StdEncoding.DecodeString(entry.Auth)
	if err != nil || !strings.Contains(string(decoded), ":") {
		return errors.New(`"auth" must be "username:password" in base64`)
	}
	return nil
}

// registryHost is the host, and the port where there is one, of a repository.
func registryHost(repository string) string {
	first, _, more := strings.Cut(repository, "/")
	if !more || !strings.ContainsAny(first, ".:") && first != "localhost" || first == "docker.io" {
		return dockerHub
	}
	return first
}

// matchesHost is true for a key of "auths" that a kubelet uses for the host:
// a host or a URL, whose labels may have wildcards.
func matchesHost(key, host string) bool {
	if _, rest, isURL := strings.Cut(key, "://"); isURL {
		key = rest
	}
	key, _, _ = strings.Cut(key, "/")
	if key == "docker.io" {
		key = dockerHub
	}
	wanted, labels := strings.Split(key, "."), strings.Split(host, ".")
	if len(wanted) != len(labels) {
		return false
	}
	for index, pattern := range wanted {
		if matched, err := path.Match(pattern, labels[index]); err != nil || !matched {
			return false
		}
	}
	return true
}
