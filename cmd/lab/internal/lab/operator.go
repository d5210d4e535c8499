package lab

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/loopback"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

const (
	operatorName = "operator"
	// operatorTimeout bounds the wait for readiness.
	operatorTimeout = 4 * time.Minute
	// operatorCrashes is how many restarts before readiness mean that waiting is in vain.
	operatorCrashes = 3
	operatorGrace   = 10 * time.Second
)

// operator of one cluster: addon-operator with the module in it.
type operator struct {
	keeper  *process.Keeper
	log     string
	address string
}

func startOperator(c *cluster, address netip.Addr) (*operator, error) {
	port, err := loopback.Port(address, operatorPort)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.dir, operatorName)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("prepare the operator: %w", err)
	}
	digests, err := writeDigests(filepath.Join(c.layout.Root, "images"), dir)
	if err != nil {
		return nil, err
	}
	started := &operator{
		log:     filepath.Join(c.dir, "logs", operatorName+".log"),
		address: netip.AddrPortFrom(address, uint16(port)).String(),
	}
	command := process.Command{
		Path: c.layout.Operator(),
		Args: []string{
			"start",
			"--kubeconfig", c.plane.Kubeconfig(),
			"--namespace", operatorNamespace,
			"--modules-dir", c.layout.ModulesDir(),
			"--global-hooks-dir", c.layout.GlobalHooksDir(),
			"--images-digests", digests,
			"--temp-dir", dir,
			"--listen-address", address.String(),
			"--listen-port", strconv.Itoa(port),
			"--leader-elect=false",
			"--istio-versions", strings.Join(builtIstios(), ","),
		},
		Env: append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir,
			// Where the hooks find the module's crds/.
			"ISTIO_MODULE_DIR=" + c.layout.Root,
		}, c.abroad()...),
		Dir: dir,
		Log: started.log,
	}
	started.keeper = c.group.Keep(process.Options{
		Grace: operatorGrace, Changed: c.changed,
		Next: func(context.Context) (process.Command, error) { return command, nil },
	})
	return started, nil
}

// writeDigests writes into dir a digest for each folder of images, and returns
// the file's path. This lab pulls no images: the digests are of none.
func writeDigests(images, dir string) (string, error) {
	entries, err := os.ReadDir(images)
	if err != nil {
		return "", fmt.Errorf("look for the module's images: %w", err)
	}
	digests := map[string]string{}
	for _, entry := range entries {
		words := strings.Split(entry.Name(), "-")
		for i := 1; i < len(words); i++ {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
		digests[strings.Join(words, "")] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("not built: "+entry.Name())))
	}
	encoded, err := json.Marshal(digests)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "images_digests.json")
	return file, os.WriteFile(file, encoded, 0o600)
}

// builtIstios are the full versions of the istiods that `make tools` builds.
func builtIstios() []string {
	var built []string
	for _, version := range istioversion.All() {
		built = append(built, version.ModuleFull())
	}
	return built
}

// metrics is where addon-operator's own are, hookMetrics where those of the module's hooks are.
func (o *operator) metrics() string     { return "http://" + o.address + "/metrics" }
func (o *operator) hookMetrics() string { return o.metrics() + "/hooks" }

func (o *operator) awaitReady(ctx context.Context, note func(string)) error {
	client := &http.Client{Timeout: 5 * time.Second}
	return poll(ctx, operatorTimeout, func(ctx context.Context) (bool, string, error) {
		status := o.keeper.Status()
		if status.StartError != nil {
			return false, "", status.StartError
		}
		if status.Restarts >= operatorCrashes {
			return false, "", fmt.Errorf("it ended %d times, last with %s", status.Restarts, status.Last.Reason)
		}
		if status.Last != nil && status.State == process.BackOff {
			note("it ended with " + status.Last.Reason + " and is started again")
			return false, status.Last.Reason, nil
		}
		answer := get(ctx, client, "http://"+o.address+"/readyz")
		return answer == "", answer, nil
	})
}

// get returns what is wrong with the answer, nothing when it is 200.
func get(ctx context.Context, client *http.Client, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusOK {
		return ""
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, 300))
	return strings.TrimSpace(fmt.Sprintf("GET %s: %s: %s", url, response.Status, strings.TrimSpace(string(body))))
}
