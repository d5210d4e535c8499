//go:build apiserver

package install

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
)

// operatorUser is the operator to the API server.
const operatorUser = "system:serviceaccount:d8-system:istio-operator"

const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  users: [` + operatorUser + `]
- level: None
`

// server is a bare API server.
type server struct {
	clients *kube.Clients
	audit   string
}

func startServer(t *testing.T, root string) *server {
	t.Helper()
	dir := t.TempDir()
	policy := filepath.Join(dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	started := &server{audit: filepath.Join(dir, "audit.log")}
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join(root, ".cache", "tools", "kube")
	}
	log.SetLogger(logr.Discard()) // envtest has nothing to say that an error does not
	// On a loaded machine a start takes longer than envtest expects.
	environment := &envtest.Environment{ControlPlaneStartTimeout: 2 * time.Minute, ControlPlaneStopTimeout: time.Minute}
	environment.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(assets, "etcd")}
	environment.ControlPlane.APIServer = &envtest.APIServer{Path: filepath.Join(assets, "kube-apiserver")}
	environment.ControlPlane.APIServer.Configure().Set("audit-policy-file", policy).Set("audit-log-path", started.audit)
	config, err := environment.Start()
	if err != nil {
		t.Fatalf("start an API server from %s (`make tools` builds it): %v", assets, err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	config.QPS = -1
	started.clients = clientsOf(t, config)
	return started
}

func clientsOf(t *testing.T, config *rest.Config) *kube.Clients {
	t.Helper()
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &kube.Clients{Config: config, Typed: typed, Dynamic: untyped}
}

// operatorConfig is access as the operator's ServiceAccount.
func (s *server) operatorConfig(t *testing.T) *rest.Config {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3600)}}
	token, err := s.clients.Typed.CoreV1().ServiceAccounts("d8-system").CreateToken(t.Context(), "istio-operator", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(s.clients.Config)
	config.BearerToken, config.QPS = token.Status.Token, -1
	return config
}

// operatorKubeconfig is a file with that access.
func (s *server) operatorKubeconfig(t *testing.T) string {
	t.Helper()
	access := s.operatorConfig(t)
	return writeKubeconfig(t, access, &clientcmdapi.AuthInfo{Token: access.BearerToken})
}

// writeKubeconfig writes a file with the access of that user.
func writeKubeconfig(t *testing.T, access *rest.Config, user *clientcmdapi.AuthInfo) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: access.Host, CertificateAuthorityData: access.CAData}
	config.AuthInfos["u"] = user
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// request is a line of the audit log.
type request struct {
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
	Response   struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"responseStatus"`
}

// requests of the operator so far.
func (s *server) requests(t *testing.T) []request {
	t.Helper()
	content, err := os.ReadFile(s.audit)
	if err != nil {
		t.Fatal(err)
	}
	var all []request
	scanner := bufio.NewScanner(bytes.NewReader(content))
	for scanner.Buffer(nil, 1<<20); scanner.Scan(); {
		var next request
		if err := json.Unmarshal(scanner.Bytes(), &next); err != nil {
			t.Fatalf("read the audit log: %v: %s", err, scanner.Bytes())
		}
		all = append(all, next)
	}
	return all
}
