package istiod

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kubelet"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

func podOf(labels map[string]string, container string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: container}}},
	}
}

func TestWhichContainersAreIstiod(t *testing.T) {
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"container discovery of a Pod of istiod":    {podOf(map[string]string{"app": "istiod"}, "discovery"), true},
		"container discovery of another Pod":        {podOf(map[string]string{"app": "consul"}, "discovery"), false},
		"another container of a Pod of istiod":      {podOf(map[string]string{"app": "istiod"}, "proxy"), false},
		"container discovery of a Pod that is bare": {podOf(nil, "discovery"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Is(test.pod, &test.pod.Spec.Containers[0]); got != test.want {
				t.Errorf("Is = %v", got)
			}
		})
	}
}

func TestIstiodKeepsToTheAddressAndTheIdentityOfItsPod(t *testing.T) {
	revision := istioversion.Default().Revision()
	file := filepath.Join(t.TempDir(), "pilot-discovery")
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := Program(podOf(map[string]string{RevisionLabel: revision}, "discovery"), func(string) string { return file })
	if err != nil {
		t.Fatal(err)
	}
	if program.Path != file || program.Process != "istiod-"+revision {
		t.Errorf("the program is %+v", program)
	}
	address := netip.MustParseAddr("127.5.6.17")
	args := program.Args(kubelet.Place{Address: address, Kubeconfig: "/pods/1/discovery.kubeconfig"})
	if !slices.Contains(args, "--kubeconfig=/pods/1/discovery.kubeconfig") {
		t.Errorf("no kubeconfig in %v", args)
	}
	listens := 0
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		if strings.HasSuffix(name, "Addr") || strings.HasSuffix(name, "address") {
			listens++
			if !strings.HasPrefix(value, address.String()) {
				t.Errorf("%s is not an address of the Pod's", arg)
			}
		}
	}
	if listens != 6 {
		t.Errorf("%d listeners in %v, want those of debug, plain and TLS xDS, webhooks, monitoring and ControlZ", listens, args)
	}
}

func TestAnIstiodThatCannotRunSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	notExecutable := filepath.Join(dir, "pilot-discovery")
	if err := os.WriteFile(notExecutable, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	known := istioversion.Default().Revision()
	for name, test := range map[string]struct{ revision, file, want string }{
		"it has not been built":               {known, filepath.Join(dir, "nothing"), "make tools"},
		"what was built cannot be executed":   {known, notExecutable, "make tools"},
		"a folder is in its place":            {known, dir, "make tools"},
		"the revision is not of the module's": {"v1x4", notExecutable, `"v1x4"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Program(podOf(map[string]string{RevisionLabel: test.revision}, "discovery"), func(string) string { return test.file })
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
