//go:build e2e

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/await"
)

// startTimeout of a lab without the module, on a machine that has other work, too.
const startTimeout = 5 * time.Minute

// root of the project.
func root(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// runningLab is a lab that a test has started.
type runningLab struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
}

// description is what tests need of lab.json.
type description struct {
	PID      int
	Ready    bool
	Fabric   struct{ Network string }
	Clusters []struct {
		Name, Kubeconfig, PodSubnet string
		Nodes                       []struct {
			Name, Address string
			PID           int
		}
	}
}

// up starts a lab and waits until it is ready. It is stopped when the test ends, whatever the test did.
func up(t *testing.T, arguments ...string) *runningLab {
	t.Helper()
	lab := &runningLab{t: t, dir: t.TempDir()}
	log, err := os.Create(filepath.Join(lab.dir, "up.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	lab.cmd = exec.Command(filepath.Join(root(t), "bin", "lab"), append([]string{"up", "--without-module", "--state-dir", lab.dir}, arguments...)...)
	lab.cmd.Stdout, lab.cmd.Stderr = log, log
	if err := lab.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = lab.cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = lab.cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("lab up said:\n%s", said)
		}
	})
	lab.eventually(startTimeout, "the lab is ready", func() (bool, string) {
		select {
		case <-ended:
			t.Fatal("lab up ended")
		default:
		}
		content, err := os.ReadFile(filepath.Join(lab.dir, "lab.json"))
		return err == nil && lab.parse(content).Ready, "lab.json does not say so"
	})
	return lab
}

func (l *runningLab) parse(content []byte) description {
	var described description
	if err := json.Unmarshal(content, &described); err != nil {
		l.t.Fatalf("lab.json: %v", err)
	}
	return described
}

func (l *runningLab) describe() description {
	l.t.Helper()
	content, err := os.ReadFile(filepath.Join(l.dir, "lab.json"))
	if err != nil {
		l.t.Fatal(err)
	}
	return l.parse(content)
}

// lab runs a command of the lab to its end.
func (l *runningLab) lab(arguments ...string) (string, error) {
	end := slices.Index(arguments, "--") // what follows is a command's
	if end < 0 {
		end = len(arguments)
	}
	command := exec.Command(filepath.Join(root(l.t), "bin", "lab"), slices.Insert(slices.Clone(arguments), end, "--state-dir", l.dir)...)
	output, err := command.CombinedOutput()
	return strings.TrimSpace(string(output)), err
}

// kubectl of the first cluster, from this shell.
func (l *runningLab) kubectl(arguments ...string) (string, error) {
	return l.kubectlOf("cluster-a", "", arguments...)
}

func (l *runningLab) kubectlOf(cluster, input string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(root(l.t), ".cache", "tools", "kube", "kubectl"), arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(l.dir, cluster, "kubeconfig"))
	command.Stdin = strings.NewReader(input)
	var output, errors bytes.Buffer
	command.Stdout, command.Stderr = &output, &errors
	err := command.Run()
	if err != nil {
		return strings.TrimSpace(errors.String()), err
	}
	return strings.TrimSpace(output.String()), nil
}

// must have no error.
func (l *runningLab) must(output string, err error) string {
	l.t.Helper()
	if err != nil {
		l.t.Fatalf("%v: %s", err, output)
	}
	return output
}

// eventually polls until the condition holds; it returns what is missing until then.
func (l *runningLab) eventually(timeout time.Duration, what string, condition func() (bool, string)) {
	l.t.Helper()
	err := await.Until(context.Background(), timeout, func(context.Context) (bool, string, error) {
		done, missing := condition()
		return done, missing, nil
	})
	if err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
}

// in another test's place: failures belong to the test that runs.
func (l *runningLab) in(t *testing.T) *runningLab {
	t.Helper()
	copied := *l
	copied.t = t
	return &copied
}
