package registrysecret_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/registrysecret"
)

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestCredentialsOfTheImagesRegistryArePassedOnAndNoOthers(t *testing.T) {
	const images = "registry.example.com:5000/mesh/istio"
	auth := `{"auth":"` + encoded("puller:secret") + `"}`
	for name, test := range map[string]struct{ images, config, want string }{
		"the host":               {images, `{"auths":{"registry.example.com:5000":` + auth + `}}`, `{"auths":{"registry.example.com:5000":` + auth + `}}`},
		"a URL":                  {images, `{"auths":{"https://registry.example.com:5000/v1/":` + auth + `}}`, `{"auths":{"https://registry.example.com:5000/v1/":` + auth + `}}`},
		"a repository":           {images, `{"auths":{"registry.example.com:5000/mesh":` + auth + `}}`, `{"auths":{"registry.example.com:5000/mesh":` + auth + `}}`},
		"a wildcard":             {images, `{"auths":{"*.example.com:5000":` + auth + `}}`, `{"auths":{"*.example.com:5000":` + auth + `}}`},
		"Docker's own registry":  {"deckhouse/istio", `{"auths":{"https://index.docker.io/v1/":` + auth + `}}`, `{"auths":{"https://index.docker.io/v1/":` + auth + `}}`},
		"the same, by its name":  {"docker.io/deckhouse/istio", `{"auths":{"docker.io":` + auth + `}}`, `{"auths":{"docker.io":` + auth + `}}`},
		"others are left out":    {images, `{"auths":{"other.example.com":` + auth + `,"registry.example.com:5000":` + auth + `},"credsStore":"x"}`, `{"auths":{"registry.example.com:5000":` + auth + `}}`},
		"a name and a password":  {images, `{"auths":{"registry.example.com:5000":{"username":"a","password":"b"}}}`, `{"auths":{"registry.example.com:5000":{"username":"a","password":"b"}}}`},
		"a token of an identity": {images, `{"auths":{"registry.example.com:5000":{"identitytoken":"a"}}}`, `{"auths":{"registry.example.com:5000":{"identitytoken":"a"}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := registrysecret.Credentials(dockerConfigJSON, encoded(test.config), test.images)
			if err != nil {
				t.Fatal(err)
			}
			if decoded, _ := base64.StdEncoding.DecodeString(got); string(decoded) != test.want {
				t.Errorf("passed on %s, want %s", decoded, test.want)
			}
		})
	}
}

func TestCredentialsThatNoKubeletCanUseAreRejectedAndNotRepeated(t *testing.T) {
	const images = "registry.example.com/istio"
	entry := func(auth string) string { return encoded(`{"auths":{"registry.example.com":` + auth + `}}`) }
	for name, test := range map[string]struct{ kind, config, want string }{
		"another type":        {"Opaque", entry(`{"auth":"x"}`), "kubectl create secret docker-registry"},
		"no base64":           {dockerConfigJSON, "%", "not base64"},
		"no JSON":             {dockerConfigJSON, encoded("hunter2"), "no JSON object"},
		"nothing":             {dockerConfigJSON, "", "no JSON object"},
		"another registry":    {dockerConfigJSON, encoded(`{"auths":{"other.example.com":{"auth":"aHVudGVyMg=="}}}`), `no credentials for registry.example.com, which the module's images come from, but for ["other.example.com"]`},
		"another port":        {dockerConfigJSON, encoded(`{"auths":{"registry.example.com:5000":{}}}`), "no credentials for registry.example.com"},
		"no object":           {dockerConfigJSON, entry(`"hunter2"`), `no JSON object with "auth"`},
		"an empty entry":      {dockerConfigJSON, entry(`{}`), "they are empty"},
		"auth without colon":  {dockerConfigJSON, entry(`{"auth":"` + encoded("hunter2") + `"}`), "username:password"},
		"auth that is no b64": {dockerConfigJSON, entry(`{"auth":"hunter2"}`), "username:password"},
		"too much":            {dockerConfigJSON, entry(`{"password":"` + strings.Repeat("hunter2", 4000) + `"}`), "at most 16384"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := registrysecret.Credentials(test.kind, test.config, images)
			if got != "" || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %q and %v, want an error with %q", got, err, test.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a credential: %v", err)
			}
		})
	}
}
