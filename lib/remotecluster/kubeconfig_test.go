package remotecluster_test

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/remotecluster"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type world struct {
	*testing.T
	peer   remotecluster.Peer
	caller remotecluster.Caller
	issuer clientcert.Issuer
	public string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	keys, err := authn.GenerateKeypair()
	if err != nil {
		t.Fatal(err)
	}
	authority, err := ca.Generate("cluster.local")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		T: t, public: keys.Pub,
		peer:   remotecluster.Peer{Name: "b", ClusterUUID: "uuid-b", APIHost: "istio-api-proxy.b.example.com", CA: authority.Root},
		caller: remotecluster.Caller{ClusterUUID: "uuid-a", PrivateKey: keys.Priv},
		issuer: clientcert.Issuer{Cert: authority.Cert, Key: authority.Key, Chain: authority.Chain, Root: authority.Root},
	}
	w.caller.Certificate = w.certificate(time.Now())
	return w
}

func (w *world) certificate(now time.Time) clientcert.Certificate {
	w.Helper()
	certificate, err := clientcert.Renew(clientcert.Certificate{}, w.issuer, now)
	if err != nil {
		w.Fatal(err)
	}
	return certificate
}

func (w *world) renew(current []byte, now time.Time) []byte {
	w.Helper()
	kubeconfig, err := remotecluster.Renew(current, w.peer, w.caller, now)
	if err != nil {
		w.Fatal(err)
	}
	return kubeconfig
}

func TestIstiodAcceptsTheKubeconfig(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	config, err := clientcmd.Load(w.renew(nil, now))
	if err != nil {
		t.Fatal(err)
	}
	if err := clientcmd.Validate(*config); err != nil {
		t.Fatal(err)
	}
	user, cluster := config.AuthInfos["b"], config.Clusters["b"]
	if user.TokenFile != "" || user.ClientCertificate != "" || user.ClientKey != "" || user.Exec != nil || user.AuthProvider != nil {
		t.Errorf("istiod rejects files and programs: %+v", user)
	}
	if config.CurrentContext != "b" || cluster.Server != "https://istio-api-proxy.b.example.com" || string(cluster.CertificateAuthorityData) != w.peer.CA {
		t.Errorf("context %s, cluster %+v", config.CurrentContext, cluster)
	}
	if string(user.ClientCertificateData) != w.caller.Certificate.Crt || string(user.ClientKeyData) != w.caller.Certificate.Key {
		t.Error("the client certificate is another")
	}
	key, err := authn.ParsePublicKey(w.public)
	if err != nil {
		t.Fatal(err)
	}
	for at, valid := range map[time.Duration]bool{0: true, remotecluster.TokenLifetime - time.Hour: true, remotecluster.TokenLifetime + time.Hour: false} {
		verifier := authn.Verifier{
			Audience: "uuid-b", Now: func() time.Time { return now.Add(at) },
			Key: func(subject string) (ed25519.PublicKey, bool) { return key, subject == "uuid-a" },
		}
		if _, err := verifier.Verify(user.Token, authn.ScopeAPI); (err == nil) != valid {
			t.Errorf("the token after %s: %v", at, err)
		}
	}
}

func TestWithoutVerificationThereIsNoCA(t *testing.T) {
	w := newWorld(t)
	w.peer.InsecureSkipVerify = true
	config, err := clientcmd.Load(w.renew(nil, start))
	if err != nil {
		t.Fatal(err)
	}
	if cluster := config.Clusters["b"]; !cluster.InsecureSkipTLSVerify || len(cluster.CertificateAuthorityData) > 0 || clientcmd.Validate(*config) != nil {
		t.Errorf("cluster %+v", cluster)
	}
}

func TestAKubeconfigChangesOnlyForAReason(t *testing.T) {
	life := remotecluster.TokenLifetime
	others, err := authn.GenerateKeypair()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		later   time.Duration
		change  func(*world)
		changes bool
	}{
		"nothing new":                                  {0, func(*world) {}, false},
		"shortly before two thirds":                    {life*2/3 - time.Hour, func(*world) {}, false},
		"after two thirds":                             {life*2/3 + time.Hour, func(*world) {}, true},
		"another client certificate, the old one good": {time.Hour, func(w *world) { w.caller.Certificate = w.certificate(time.Now().Add(time.Hour)) }, false},
		"no client certificate any more":               {time.Hour, func(w *world) { w.caller.Certificate = clientcert.Certificate{} }, false},
		"another host":                                 {0, func(w *world) { w.peer.APIHost = "other.example.com" }, true},
		"another cluster behind it":                    {0, func(w *world) { w.peer.ClusterUUID = "uuid-c" }, true},
		"another CA":                                   {0, func(w *world) { w.peer.CA = "" }, true},
		"verification switched off":                    {0, func(w *world) { w.peer.InsecureSkipVerify = true }, true},
		"another key":                                  {0, func(w *world) { w.caller.PrivateKey = others.Priv }, true},
		"another UUID of this cluster":                 {0, func(w *world) { w.caller.ClusterUUID = "uuid-z" }, true},
		"the clock was turned back":                    {-time.Hour, func(*world) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			now := time.Now()
			before := w.renew(nil, now)
			test.change(w)
			after := w.renew(before, now.Add(test.later))
			if changed := !bytes.Equal(before, after); changed != test.changes {
				t.Errorf("changed: %v, want %v", changed, test.changes)
			}
			if remotecluster.Replaced(before) != "" || (remotecluster.Replaced(after) != "") != test.changes {
				t.Errorf("they are marked as replaced: %q, %q", remotecluster.Replaced(before), remotecluster.Replaced(after))
			}
			if config, err := clientcmd.Load(after); err != nil || clientcmd.Validate(*config) != nil {
				t.Errorf("it is not valid: %v", err)
			}
			if again := w.renew(after, now.Add(test.later)); !bytes.Equal(after, again) {
				t.Error("it changes again")
			}
		})
	}
}

func TestAKubeconfigGetsAClientCertificateThatIsIssuedLater(t *testing.T) {
	w := newWorld(t)
	certificate := w.caller.Certificate
	w.caller.Certificate = clientcert.Certificate{}
	before := w.renew(nil, time.Now())
	if strings.Contains(string(before), "client-certificate-data") {
		t.Errorf("a certificate out of nothing:\n%s", before)
	}
	w.caller.Certificate = certificate
	if after := w.renew(before, time.Now()); !strings.Contains(string(after), "client-certificate-data") {
		t.Error("the certificate is missing")
	}
}

func TestAnUnreadableKubeconfigIsReplaced(t *testing.T) {
	w := newWorld(t)
	good := w.renew(nil, time.Now())
	for name, current := range map[string]string{
		"rubbish":       "{",
		"an edited one": strings.Replace(string(good), "https://istio", "https://evil", 1),
		"a program":     strings.Replace(string(good), "  user:\n", "  user:\n    exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never}\n", 1),
		"another name":  strings.ReplaceAll(string(good), "name: b\n", "name: c\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if current == string(good) {
				t.Fatal("the case changes nothing")
			}
			if got := w.renew([]byte(current), time.Now()); string(got) == current || !strings.Contains(string(got), "https://istio") || strings.Contains(string(got), "exec") {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

func TestWithoutAKeyThereIsNoKubeconfig(t *testing.T) {
	w := newWorld(t)
	w.caller.PrivateKey = ""
	if _, err := remotecluster.Renew(nil, w.peer, w.caller, start); err == nil || !strings.Contains(err.Error(), `IstioMulticluster "b"`) {
		t.Errorf("error %v", err)
	}
}
